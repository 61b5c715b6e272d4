/**
 * Shells in the guest itself, outside of its containers: what `kata-runtime exec` shows. They are read and written as a
 * process's streams are. Nobody gets one unless the kernel command line allows it.
 */
import type { ConsoleOpenRequest } from '../../host/proto/messages/console.ts';
import { withPipes } from './crun.ts';
import { AgentError } from './error.ts';
import { attempt } from './files.ts';
import type { Call, Loop } from './loop-interface.ts';
import { Process, SIGKILL, type Stdio } from './process.ts';
import type { AgentHandlers, ConsoleHandlers } from './service-table.ts';
import type { Sys } from './sys.ts';

/** Most shells at a time. */
export const MAX_CONSOLES = 8;
/** Longest name of one, characters. */
export const MAX_ID_CHARS = 64;
/** How long what was told to hang up may take to end, ms. */
export const HANG_UP_MS = 2000;
/** The `container_id` of a console's streams: no container can have it. */
const NO_CONTAINER = '';
const SIGHUP = 1;
const SHELL = '/bin/sh';
/** What is asked for may be a program or, where the shell has them built in, an applet: the shell finds either. */
const COMMAND = ['-c', 'exec "$@"', 'sh'];
const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'USER=root', `SHELL=${SHELL}`];
const DEFAULT_TERM = 'linux';
const TERM = /^[A-Za-z0-9._+-]{1,64}$/;

export class Consoles {
  private readonly open = new Map<string, Process>();
  private opening = 0;

  /** @param allowed whether the kernel command line has `agent.debug_console` */
  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    private readonly allowed: boolean,
  ) {}

  /** The service's methods. */
  handlers(): ConsoleHandlers {
    return {
      Open: async (request) => {
        await this.start(request);
        return {};
      },
      Resize: ({ exec_id: id, rows, columns }) => {
        this.console(id).resize(rows, columns);
        return {};
      },
      Wait: async ({ exec_id: id }, call) => ({ status: await this.console(id).wait(call) }),
      Close: ({ exec_id: id }) => {
        this.close(id);
        return {};
      },
    };
  }

  /** The same handlers, which also serve the streams of consoles. */
  streams(handlers: AgentHandlers): AgentHandlers {
    const { ReadStdout, ReadStderr, WriteStdin, CloseStdin } = handlers;
    if (!ReadStdout || !ReadStderr || !WriteStdin || !CloseStdin) throw new Error('streams are not served');
    return {
      ...handlers,
      ReadStdout: (request, call?: Call) =>
        this.has(request) ? this.read(request.exec_id, 'stdout', request.len, call) : ReadStdout(request, call),
      ReadStderr: (request, call?: Call) =>
        this.has(request) ? this.read(request.exec_id, 'stderr', request.len, call) : ReadStderr(request, call),
      WriteStdin: async (request, call?: Call) => {
        if (!this.has(request)) return WriteStdin(request, call);
        await this.console(request.exec_id).stdin.write(request.data);
        return { len: request.data.length };
      },
      CloseStdin: (request, call?: Call) => {
        if (!this.has(request)) return CloseStdin(request, call);
        this.console(request.exec_id).stdin.close();
        return {};
      },
    };
  }

  /** @throws AgentError permission_denied unless allowed, invalid_argument, already_exists, resource_exhausted */
  private async start(request: ConsoleOpenRequest): Promise<void> {
    const { exec_id: id } = request;
    if (!this.allowed) {
      throw new AgentError('permission_denied', 'the kernel command line has no agent.debug_console');
    }
    if (id === '' || id.length > MAX_ID_CHARS) {
      throw new AgentError('invalid_argument', `a console's exec_id has 1 to ${MAX_ID_CHARS} characters`);
    }
    if (this.open.has(id)) throw new AgentError('already_exists', `console ${id} exists already`);
    if (this.open.size + this.opening >= MAX_CONSOLES) {
      throw new AgentError('resource_exhausted', `${MAX_CONSOLES} shells are open already`);
    }
    this.opening++;
    try {
      const { pid, stdio } = request.terminal ? this.onTerminal(request) : await this.onPipes(request);
      this.open.set(id, new Process(this.sys, this.loop, id, pid, stdio));
    } finally {
      this.opening--;
    }
  }

  private onTerminal(request: ConsoleOpenRequest): { pid: number; stdio: Stdio } {
    const { sys } = this;
    const { rows, columns } = request;
    const { master, path } = sys.openTerminal();
    try {
      // Before its program can ask.
      if (rows > 0 && columns > 0) sys.setWindowSize(master, rows, columns);
      const pid = sys.spawn({ ...programOf(request), stdio: [-1, -1, -1], terminal: path });
      return { pid, stdio: { terminal: true, master } };
    } catch (thrown) {
      sys.close(master);
      throw thrown;
    }
  }

  private async onPipes(request: ConsoleOpenRequest): Promise<{ pid: number; stdio: Stdio }> {
    let pid = 0;
    const stdio = await withPipes(this.sys, async (fds) => {
      pid = this.sys.spawn({ ...programOf(request), stdio: fds, newSession: true });
    });
    return { pid, stdio };
  }

  private async read(id: string, stream: 'stdout' | 'stderr', length: number, call: Call | undefined) {
    const { terminal, stdout, stderr } = this.console(id);
    const from = stream === 'stdout' || terminal ? stdout : stderr;
    return { data: (await from?.read(length, call)) ?? new Uint8Array(0) };
  }

  /** What a hung-up session leaves running ends a little later; what has left its session is its own affair. */
  private close(id: string): void {
    const process = this.open.get(id);
    this.open.delete(id);
    if (!process) return;
    process.close();
    const signal = (number: number): void => {
      attempt(() => this.sys.kill(-process.pid, number));
    };
    if (process.status !== undefined) return;
    signal(SIGHUP);
    void this.loop.sleep(HANG_UP_MS).then(() => {
      if (process.status === undefined) signal(SIGKILL);
    });
  }

  private has({ container_id: container, exec_id: id }: { container_id: string; exec_id: string }): boolean {
    return container === NO_CONTAINER && this.open.has(id);
  }

  private console(id: string): Process {
    const process = this.open.get(id);
    if (!process) throw new AgentError('not_found', `no console ${JSON.stringify(id.slice(0, MAX_ID_CHARS))}`);
    return process;
  }
}

function programOf({ args, terminal, term }: ConsoleOpenRequest): { argv: string[]; env: string[]; cwd: string } {
  const env = [...ENVIRONMENT, ...(terminal ? [`TERM=${TERM.test(term) ? term : DEFAULT_TERM}`] : [])];
  return { argv: args.length === 0 ? [SHELL] : [SHELL, ...COMMAND, ...args], env, cwd: '/' };
}
