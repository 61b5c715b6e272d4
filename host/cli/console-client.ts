/** The client's end of a debug console: this process's terminal, or its pipes, on a shell in a guest. */
import { request as ask } from 'node:http';
import type { Socket } from 'node:net';
import type { ReadStream } from 'node:tty';
import { KataError, reasonOf } from '../error.ts';
import {
  CONSOLE_PROTOCOL,
  type ConsoleOrder,
  DATA_BYTES,
  FRAME,
  type Frame,
  FrameReader,
  frame,
  resizeFrame,
  statusOf,
} from '../management/console-frames.ts';

/** How long the shim may take to answer, ms. */
const ANSWER_MS = 30_000;
/** Longest text of a refusal, bytes. */
const MAX_REFUSAL_BYTES = 16 * 1024;
/** Pressed so often within so many ms, Ctrl-] leaves a shell that does not answer. */
const ESCAPE = 0x1d;
const ESCAPE_COUNT = 3;
const ESCAPE_MS = 1000;
const BROKEN = 255;
/** Signals that end this process: the terminal is put right before. */
const SIGNALS = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1, SIGQUIT: 3 } as const;

export interface ExecOptions {
  readonly id: string;
  /** The sandbox's management socket; undefined: its shim is older than that. */
  readonly socketPath: string | undefined;
  /** Empty: a shell. */
  readonly args: readonly string[];
  readonly port: number | undefined;
  /** Whether the shell has a terminal even if this process has none. */
  readonly terminal?: boolean;
  readonly tell: (message: string) => void;
  readonly fail: (message: string) => void;
  /** Tests have their own. */
  readonly stdin?: ReadStream | NodeJS.ReadableStream;
  readonly stdout?: NodeJS.WriteStream;
  readonly stderr?: NodeJS.WritableStream;
}

/**
 * Runs until the shell, or the connection, ends.
 * @returns the exit status
 * @throws KataError when no shell was opened
 */
export async function execInGuest(options: ExecOptions): Promise<number> {
  const { id, socketPath } = options;
  if (!socketPath) {
    throw new KataError('unimplemented', `sandbox ${id} is served by an older version, which has no debug console`);
  }
  const { socket, head } = await upgraded(socketPath, id);
  return await new Terminal(socket, options).run(head);
}

/** One session at this process's end. */
class Terminal {
  readonly #stdin: NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode' | 'isRaw'>>;
  readonly #stdout: NodeJS.WriteStream;
  readonly #stderr: NodeJS.WritableStream;
  readonly #terminal: boolean;
  readonly #reader = new FrameReader();
  readonly #undo: (() => void)[] = [];
  #escapes: number[] = [];
  #over = false;
  #settle: (status: number) => void = () => {};
  readonly #status: Promise<number>;

  constructor(
    private readonly socket: Socket,
    private readonly options: ExecOptions,
  ) {
    this.#stdin = options.stdin ?? process.stdin;
    this.#stdout = options.stdout ?? process.stdout;
    this.#stderr = options.stderr ?? process.stderr;
    this.#terminal = Boolean(this.#stdin.isTTY && this.#stdout.isTTY);
    this.#status = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  async run(head: Buffer): Promise<number> {
    const { args, port, id, tell } = this.options;
    const { rows = 0, columns = 0 } = this.#terminal ? this.#stdout : {};
    const order: ConsoleOrder = {
      args,
      terminal: this.#terminal || this.options.terminal === true,
      rows,
      columns,
      term: process.env.TERM ?? '',
      ...(port === undefined ? {} : { port }),
    };
    const bytes = Buffer.from(JSON.stringify(order));
    if (this.#terminal && args.length === 0) {
      tell(`a shell in the guest of sandbox ${id}; Ctrl-] pressed three times within a second leaves it`);
    }
    try {
      this.#listen();
      this.#takeTerminal();
      this.#forward();
      this.socket.write(frame(FRAME.open, bytes));
      if (head.length > 0) this.#received(head);
      this.socket.resume();
      return await this.#status;
    } finally {
      for (const step of this.#undo.splice(0).reverse()) step();
      this.socket.destroy();
      this.#stdin.pause();
      // A pipe or terminal that is still read keeps the process.
      if (this.#stdin === process.stdin) process.stdin.destroy();
    }
  }

  #listen(): void {
    const { socket } = this;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#broken('the connection to the shim has ended: the sandbox may have stopped'));
  }

  #received(chunk: Buffer): void {
    try {
      this.#reader.push(chunk, (each) => this.#take(each));
    } catch (thrown) {
      this.#broken(reasonOf(thrown));
    }
  }

  #take({ type, payload }: Frame): void {
    if (type === FRAME.stdout) this.#show(this.#stdout, payload);
    else if (type === FRAME.stderr) this.#show(this.#stderr, payload);
    else if (type === FRAME.exit) this.#end(statusOf(payload) & 0xff);
    else if (type === FRAME.error) this.#broken(payload.toString('utf8'), 1);
  }

  #broken(reason: string, status = BROKEN): void {
    // What comes after the end is of no interest.
    if (this.#over) return;
    this.#restore();
    this.options.fail(reason);
    this.#end(status);
  }

  #end(status: number): void {
    this.#over = true;
    this.#settle(status);
  }

  #show(to: NodeJS.WritableStream, data: Buffer): void {
    // The reader's buffer is its own again when this returns.
    if (to.write(Buffer.from(data))) return;
    this.socket.pause();
    to.once('drain', () => this.socket.resume());
  }

  #forward(): void {
    const stdin = this.#stdin;
    stdin.on('data', (chunk: Buffer | string) => {
      const data = Buffer.from(chunk as Buffer);
      if (this.#terminal && this.#leaves(data)) return;
      let room = true;
      for (let at = 0; at < data.length; at += DATA_BYTES) {
        room = this.socket.write(frame(FRAME.stdin, data.subarray(at, at + DATA_BYTES)));
      }
      if (room) return;
      stdin.pause();
      this.socket.once('drain', () => stdin.resume());
    });
    const end = (): void => {
      if (this.socket.writable) this.socket.write(frame(FRAME.stdin));
    };
    stdin.on('end', end);
    stdin.on('error', end);
  }

  #leaves(data: Buffer): boolean {
    const now = performance.now();
    for (const byte of data) {
      if (byte === ESCAPE) this.#escapes.push(now);
      else this.#escapes = [];
    }
    this.#escapes = this.#escapes.slice(-ESCAPE_COUNT);
    if (this.#escapes.length < ESCAPE_COUNT || now - (this.#escapes[0] ?? 0) > ESCAPE_MS) return false;
    this.#restore();
    this.options.tell('left');
    this.#end(0);
    return true;
  }

  /** Every key goes to the guest; however this process ends, its terminal is as it was. */
  #takeTerminal(): void {
    for (const [name, number] of Object.entries(SIGNALS)) this.#on(name, () => this.#end(128 + number));
    if (!this.#terminal) return;
    this.#stdin.setRawMode?.(true);
    const restore = (): void => this.#restore();
    process.once('exit', restore);
    this.#undo.push(restore, () => process.off('exit', restore));
    const resize = (): void => {
      this.socket.write(resizeFrame(this.#stdout.rows ?? 0, this.#stdout.columns ?? 0));
    };
    this.#stdout.on('resize', resize);
    this.#undo.push(() => this.#stdout.off('resize', resize));
    // Who was stopped and goes on finds its terminal as the shell had it meanwhile.
    this.#on('SIGCONT', () => {
      this.#stdin.setRawMode?.(false);
      this.#stdin.setRawMode?.(true);
      resize();
    });
  }

  #on(signal: string, act: () => void): void {
    process.on(signal, act);
    this.#undo.push(() => process.off(signal, act));
  }

  #restore(): void {
    if (this.#terminal && this.#stdin.isRaw) this.#stdin.setRawMode?.(false);
  }
}

/** A connection that carries frames. */
function upgraded(socketPath: string, id: string): Promise<{ socket: Socket; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const asked = ask({
      socketPath,
      method: 'GET',
      path: '/debug-console',
      headers: { Host: 'shim', Connection: 'Upgrade', Upgrade: CONSOLE_PROTOCOL },
      agent: false,
    });
    const fail = (thrown: unknown): void => {
      clearTimeout(timer);
      asked.destroy();
      reject(thrown);
    };
    const timer = setTimeout(
      () => fail(new KataError('deadline_exceeded', `the shim of sandbox ${id} does not answer`)),
      ANSWER_MS,
    );
    asked.once('upgrade', (_response, socket, head) => {
      clearTimeout(timer);
      socket.pause();
      resolve({ socket: socket as Socket, head });
    });
    asked.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        if (text.length < MAX_REFUSAL_BYTES) text += part;
      });
      response.on('close', () => fail(refusal(response.statusCode ?? 0, text.slice(0, MAX_REFUSAL_BYTES).trim(), id)));
    });
    asked.once('error', (thrown: NodeJS.ErrnoException) => fail(unreachable(thrown, socketPath, id)));
    asked.end();
  });
}

function refusal(status: number, text: string, id: string): KataError {
  if (status === 403) return new KataError('permission_denied', `sandbox ${id}: ${text}`);
  if (status === 404) {
    return new KataError('unimplemented', `sandbox ${id} is served by an older version, which has no debug console`);
  }
  return new KataError('unavailable', `sandbox ${id}: ${text || `the shim answers ${status}`}`);
}

function unreachable(thrown: NodeJS.ErrnoException, socketPath: string, id: string): KataError {
  if (thrown.code === 'EACCES' || thrown.code === 'EPERM') {
    return new KataError('permission_denied', `${socketPath} is root's alone; run this as root`);
  }
  if (thrown.code === 'ENOENT' || thrown.code === 'ECONNREFUSED') {
    return new KataError('unavailable', `nobody serves ${socketPath}: sandbox ${id} has ended`);
  }
  return new KataError('unavailable', `sandbox ${id}: ${thrown.message}`);
}
