/**
 * `GET /debug-console` with `Upgrade: kata-debug-console`: a shell in the guest, for `kata-runtime exec`. Loaded when the
 * first one is asked for.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { KataError, reasonOf } from '../error.ts';
import { agentConsole, type ConsoleAgent } from './agent-console.ts';
import {
  CONSOLE_PROTOCOL,
  type ConsoleOrder,
  exitFrame,
  FRAME,
  type Frame,
  FrameReader,
  frame,
  orderOf,
  sizeOf,
} from './console-frames.ts';
import { type Dial, dialledConsole } from './dialled-console.ts';

/** How long the first frame may be in coming, ms. */
export const ORDER_MS = 10_000;
/** Input that waits for a process to take it; beyond it the client is not read, bytes. */
export const MAX_WAITING_BYTES = 256 * 1024;
/** While the client is not read, its end is only noticed by writing to it: how often that is tried, ms. */
export const PROBE_MS = 5000;
/** Longest text of an error, bytes. */
const MAX_ERROR_BYTES = 4096;

/** What of a sandbox a console is made of. */
export interface ConsoleTarget {
  /** Whether the operator's configuration allows it. */
  readonly allowed: boolean;
  /** Path of the configuration that says so, or does not; empty: there is none. */
  readonly configuration: string;
  /** The guest's agent; undefined while there is none. */
  readonly agent: () => ConsoleAgent | undefined;
  /** Connects to a port of a Kata guest, which has its shell there; undefined: the guest is ours. */
  readonly dial: Dial | undefined;
}

/** A shell that runs. */
export interface Console {
  /** Resolves when it can take more. Never rejects: a process that takes no input is told so by its shell. */
  write(data: Buffer): Promise<void>;
  /** There is no more input. */
  end(): void;
  resize(rows: number, columns: number): void;
  /** Ends it. Idempotent. */
  close(): void;
  /** Settles when it has ended and all of its output was handed over. @throws KataError */
  readonly status: Promise<number>;
}

/** Takes a shell's output; what it returns is waited for before more is handed over. */
export type OnOutput = (type: typeof FRAME.stdout | typeof FRAME.stderr, data: Buffer) => Promise<void> | void;

let serial = 0;

/**
 * Takes over a connection that asks for an upgrade; resolves at once.
 * @param head what the client sent behind its request
 * @throws KataError `invalid_argument`, `permission_denied`, `unavailable`: nothing was written then
 */
export async function debugConsole(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  target: ConsoleTarget,
): Promise<void> {
  if (request.headers.upgrade?.toLowerCase() !== CONSOLE_PROTOCOL) {
    throw new KataError('invalid_argument', `"Upgrade: ${CONSOLE_PROTOCOL}" is expected`);
  }
  if (!target.allowed) throw new KataError('permission_denied', notAllowed(target.configuration));
  if (!target.agent()) throw new KataError('unavailable', 'the virtual machine is not up, or has ended');
  socket.on('error', () => socket.destroy());
  // An idle shell is nobody's fault.
  (socket as Duplex & { setTimeout?(ms: number): void }).setTimeout?.(0);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${CONSOLE_PROTOCOL}\r\nConnection: Upgrade\r\n\r\n`);
  new Session(socket, target).begin(head);
}

/** What an operator has to do to get a shell. */
export function notAllowed(configuration: string): string {
  const where = configuration || 'configuration.toml (there is none yet: kata-runtime --show-default-config-paths)';
  return `the debug console is not enabled: set debug_console_enabled = true under [agent.kata] in ${where}; pods that are started after that have it`;
}

/** One client with its shell. */
class Session {
  #console: Console | undefined;
  #opening = false;
  #over = false;
  readonly #reader = new FrameReader();
  readonly #waiting: (Buffer | 'end')[] = [];
  #waitingBytes = 0;
  #pumping = false;
  #probe: NodeJS.Timeout | undefined;
  readonly #late: NodeJS.Timeout;

  constructor(
    private readonly socket: Duplex,
    private readonly target: ConsoleTarget,
  ) {
    this.#late = setTimeout(
      () => this.#fail(new KataError('deadline_exceeded', 'no order for a console came')),
      ORDER_MS,
    );
    this.#late.unref();
  }

  begin(head: Buffer): void {
    const { socket } = this;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    // Who hangs up wants nothing more of it.
    socket.on('end', () => this.#finish());
    socket.on('close', () => this.#finish());
    if (head.length > 0) this.#received(head);
    socket.resume();
  }

  #received(chunk: Buffer): void {
    if (this.#over) return;
    try {
      this.#reader.push(chunk, (frame) => this.#take(frame));
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #take({ type, payload }: Frame): void {
    if (this.#over || type === FRAME.nothing) return;
    if (!this.#opening) {
      if (type !== FRAME.open) throw new KataError('invalid_argument', 'the first frame has to be an order');
      this.#opening = true;
      clearTimeout(this.#late);
      this.#start(orderOf(payload)).catch((thrown) => this.#fail(thrown));
      return;
    }
    if (type === FRAME.resize) {
      const { rows, columns } = sizeOf(payload);
      this.#console?.resize(rows, columns);
    } else if (type === FRAME.stdin) {
      this.#waiting.push(payload.length === 0 ? 'end' : Buffer.from(payload));
      this.#waitingBytes += payload.length;
      if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#hold();
      void this.#pump();
    } else throw new KataError('invalid_argument', `a frame of type ${type} is not for a shim`);
  }

  async #start(order: ConsoleOrder): Promise<void> {
    const console = await this.#open(order, (type, data) => this.#send(frame(type, data)));
    if (this.#over) {
      console.close();
      return;
    }
    this.#console = console;
    console.status.then(
      (status) => {
        this.socket.end(exitFrame(status));
        this.#finish();
      },
      (thrown) => this.#fail(thrown),
    );
    await this.#pump();
  }

  #open(order: ConsoleOrder, onOutput: OnOutput): Promise<Console> {
    const { target } = this;
    if (target.dial) return dialledConsole(target.dial, order, onOutput);
    const agent = target.agent();
    if (!agent) throw new KataError('unavailable', 'the virtual machine has ended');
    return agentConsole(agent, `console-${++serial}`, order, onOutput);
  }

  /** Input goes to the process one piece after the other. */
  async #pump(): Promise<void> {
    const console = this.#console;
    if (!console || this.#pumping) return;
    this.#pumping = true;
    for (let piece = this.#waiting.shift(); piece !== undefined && !this.#over; piece = this.#waiting.shift()) {
      if (piece === 'end') console.end();
      else {
        await console.write(piece);
        this.#waitingBytes -= piece.length;
      }
      if (this.#waitingBytes < MAX_WAITING_BYTES) this.#release();
    }
    this.#pumping = false;
  }

  #hold(): void {
    this.socket.pause();
    this.#probe ??= setInterval(() => this.socket.write(frame(FRAME.nothing)), PROBE_MS).unref();
  }

  #release(): void {
    if (!this.#probe) return;
    clearInterval(this.#probe);
    this.#probe = undefined;
    this.socket.resume();
  }

  /** Resolves when the client has room for more. */
  #send(bytes: Buffer): Promise<void> | undefined {
    if (this.#over || this.socket.destroyed || this.socket.write(bytes)) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }

  #fail(thrown: unknown): void {
    if (this.#over) return;
    const text = Buffer.from(reasonOf(thrown)).subarray(0, MAX_ERROR_BYTES);
    if (!this.socket.destroyed) this.socket.end(frame(FRAME.error, text));
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#late);
    clearInterval(this.#probe);
    this.#waiting.length = 0;
    this.#console?.close();
    // What was said last goes out; what comes in from here on is nobody's.
    if (!this.socket.writableEnded) this.socket.end();
    this.socket.resume();
  }
}
