/** TCP connections into the guest that the host asks for. They are read and written as a process's streams are. */
import { formatIp, parseIp } from './address.ts';
import { listAddresses } from './addresses.ts';
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { InputStream } from './input.ts';
import { type Call, type Loop, POLLOUT } from './loop-interface.ts';
import type { AgentHandlers, ForwardHandlers } from './service-table.ts';
import { OutputStream, SharedFd } from './stream.ts';
import type { Sys } from './sys.ts';

/** Most connections at a time. */
export const MAX_CONNECTIONS = 256;
/** Longest name of a connection, characters. */
export const MAX_ID_CHARS = 64;
/** How long one address may take to answer, ms; all are this guest's own. */
export const CONNECT_MS = 5000;
/** Most addresses that are tried. */
const MAX_ADDRESSES = 16;
/** The `container_id` of a connection's streams: no container can have it. */
const NO_CONTAINER = '';

interface Connection {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
}

/** A socket's writing half: its last release tells the other side that there is no more. */
class WritingHalf extends SharedFd {
  constructor(
    private readonly ownSys: Sys,
    private readonly whole: SharedFd,
  ) {
    super(ownSys, whole.fd, 1);
  }

  override release(): void {
    try {
      this.ownSys.shutdownWrite(this.fd);
    } catch {
      // The other side has gone already.
    }
    this.whole.release();
  }
}

export class Forwards {
  /** undefined: still connecting. */
  private readonly connections = new Map<string, Connection | undefined>();

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
  ) {}

  /** The service's methods. */
  handlers(): ForwardHandlers {
    return {
      Open: async ({ exec_id: id, port }) => {
        await this.open(id, port);
        return {};
      },
      Close: ({ exec_id: id }) => {
        this.close(id);
        return {};
      },
    };
  }

  /** The same handlers, which also serve the streams of connections. */
  streams(handlers: AgentHandlers): AgentHandlers {
    const { ReadStdout, WriteStdin, CloseStdin } = handlers;
    if (!ReadStdout || !WriteStdin || !CloseStdin) throw new Error('streams are not served');
    return {
      ...handlers,
      // Every promise between a process's output and its answer costs as much as a system call.
      ReadStdout: (request, call?: Call) =>
        request.container_id === NO_CONTAINER
          ? this.read(request.exec_id, request.len, call)
          : ReadStdout(request, call),
      WriteStdin: async (request, call?: Call) => {
        if (request.container_id !== NO_CONTAINER) return WriteStdin(request, call);
        await this.connection(request.exec_id).stdin.write(request.data);
        return { len: request.data.length };
      },
      CloseStdin: (request, call?: Call) => {
        if (request.container_id !== NO_CONTAINER) return CloseStdin(request, call);
        this.connection(request.exec_id).stdin.close();
        return {};
      },
    };
  }

  /**
   * Connects to the first address at which something listens.
   * @throws AgentError unavailable when nothing does, invalid_argument, already_exists, resource_exhausted
   */
  private async open(id: string, port: number): Promise<void> {
    if (id === '' || id.length > MAX_ID_CHARS) {
      throw new AgentError('invalid_argument', `a connection's exec_id has 1 to ${MAX_ID_CHARS} characters`);
    }
    if (port < 1 || port > 0xffff) throw new AgentError('invalid_argument', `${port} is not a TCP port of 1 to 65535`);
    if (this.connections.has(id)) throw new AgentError('already_exists', `connection ${id} exists already`);
    if (this.connections.size >= MAX_CONNECTIONS) {
      throw new AgentError('resource_exhausted', `${MAX_CONNECTIONS} forwarded connections are open already`);
    }
    this.connections.set(id, undefined);
    try {
      const fd = await this.connect(port);
      // Closed by the host meanwhile.
      if (!this.connections.has(id)) {
        this.sys.close(fd);
        throw new AgentError('unavailable', `connection ${id} was closed while it was being made`);
      }
      const whole = new SharedFd(this.sys, fd, 2);
      const stdin = new InputStream(this.sys, this.loop, new WritingHalf(this.sys, whole), false);
      this.connections.set(id, { stdin, stdout: new OutputStream(this.sys, this.loop, whole) });
    } catch (thrown) {
      this.connections.delete(id);
      throw thrown;
    }
  }

  private async read(id: string, length: number, call: Call | undefined) {
    return { data: await this.connection(id).stdout.read(length, call) };
  }

  private close(id: string): void {
    const connection = this.connections.get(id);
    this.connections.delete(id);
    connection?.stdin.abort('the connection is closed');
    connection?.stdout.close();
  }

  private connection(id: string): Connection {
    const connection = this.connections.get(id);
    if (!connection) throw new AgentError('not_found', `no connection ${JSON.stringify(id.slice(0, MAX_ID_CHARS))}`);
    return connection;
  }

  private async connect(port: number): Promise<number> {
    let last = 'no address';
    for (const address of this.addresses()) {
      try {
        return await this.connectTo(address, port);
      } catch (thrown) {
        last = `${formatIp(address)}: ${errnoOf(thrown) || reasonOf(thrown)}`;
      }
    }
    throw new AgentError('unavailable', `nothing in the pod answers on TCP port ${port} (${last})`);
  }

  private async connectTo(address: Uint8Array, port: number): Promise<number> {
    const { sys, loop } = this;
    const fd = sys.connectTcp(address, port);
    let unwatch: (() => void) | undefined;
    try {
      const ready = new Promise<boolean>((resolve) => {
        unwatch = loop.watch(fd, POLLOUT, () => resolve(true));
      });
      if (!(await Promise.race([ready, loop.sleep(CONNECT_MS)]))) throw new Error(`no answer within ${CONNECT_MS} ms`);
      sys.checkSocket(fd);
    } catch (thrown) {
      unwatch?.();
      sys.close(fd);
      throw thrown;
    }
    unwatch?.();
    return fd;
  }

  /** Listeners are mostly on the loopback addresses or on all; one may be on an address of the pod alone. */
  private addresses(): Uint8Array[] {
    const loopback = ['127.0.0.1', '::1'].map(parseIp);
    const known = loopback.map(formatIp);
    const others = listAddresses(this.sys)
      .map(({ bytes }) => bytes)
      // A link-local address is none without its link.
      .filter((bytes) => !known.includes(formatIp(bytes)) && !(bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80));
    return [...loopback, ...others].slice(0, MAX_ADDRESSES);
  }
}
