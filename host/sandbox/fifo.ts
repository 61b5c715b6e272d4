/**
 * Where a process's output goes and its input comes from, on the host. Named pipes are never touched through Node's
 * thread pool: an open or a read there can block one of its few threads for ever.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import { Backlog } from './backlog.ts';

/** How often a pipe that was written for nobody is looked at for its reader, ms. */
const READER_LOOK_MS = 200;

/** What a pipe for much output holds, bytes: an answer of the agent fits into it at once. Pages are taken only while they hold bytes. */
const PIPE_BYTES = 256 * 1024;

/** Takes a stream of output. */
export interface Sink {
  /** Bytes that were taken and are not written yet. */
  readonly waiting: number;
  /**
   * @param data may be reused as soon as this returns
   * @returns undefined when all of it is written; else settles (never rejects) when everything taken so far is
   */
  write(data: Uint8Array): Promise<void> | undefined;
  /** The process has ended: from here on a reader that is gone, and has left a full pipe, is not waited for. */
  release(): void;
  /** All is written: lets the reader see the end, and one that is away (containerd restarts) when it comes. */
  end(): void;
  /** Lets the reader see the end. What was taken but not written is lost. Idempotent. */
  close(): void;
}

/** Output nobody wants. It is read from the guest all the same: a full pipe there would stop the process. */
export const DISCARD: Sink = { waiting: 0, write: () => undefined, release: () => {}, end: () => {}, close: () => {} };

/**
 * Output into a named pipe. We keep a read end of our own until `release`, so that a reader may go and come back
 * (containerd restarts) without the process getting EPIPE for it.
 */
export class FifoSink implements Sink {
  private fd: number;
  private readEnd: number;
  private socket: Socket | undefined;
  private readonly backlog = new Backlog();
  /** Settles when the backlog has been written. */
  private written: Promise<void> | undefined;
  private settle: (() => void) | undefined;
  private enlarged = false;
  private look: NodeJS.Timeout | undefined;

  /** @throws KataError `invalid_argument` when it cannot be opened */
  constructor(private readonly path: string) {
    this.readEnd = openStream(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      this.fd = openStream(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (thrown) {
      closeSync(this.readEnd);
      throw thrown;
    }
  }

  get waiting(): number {
    return this.backlog.bytes;
  }

  write(data: Uint8Array): Promise<void> | undefined {
    let written = 0;
    if (this.fd < 0) return undefined;
    if (this.backlog.bytes === 0) {
      written = this.writeNow(data);
      if (written < data.length && this.enlarge()) written += this.writeNow(data.subarray(written));
      if (written === data.length || this.fd < 0) return undefined;
    }
    this.backlog.add(data.subarray(written));
    this.written ??= this.drained();
    return this.written;
  }

  release(): void {
    this.leaveReading();
    if (this.backlog.bytes > 0 || this.fd < 0 || this.hasReader()) return;
    // What fits the pipe is kept for a reader that comes back.
    try {
      this.readEnd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      // The pipe is removed: nobody will come.
    }
  }

  end(): void {
    this.leaveReading();
    if (this.fd < 0 || this.look) return;
    // A pipe keeps what it holds only while somebody has it open.
    if (this.backlog.bytes > 0 || this.hasReader()) {
      this.close();
      return;
    }
    this.look = setInterval(() => {
      if (this.hasReader()) this.close();
    }, READER_LOOK_MS);
    this.look.unref();
  }

  close(): void {
    clearInterval(this.look);
    this.leaveReading();
    const fd = this.fd;
    this.fd = -1;
    if (this.socket) this.socket.destroy();
    else if (fd >= 0) closeSync(fd);
    this.socket = undefined;
    // Closed, nothing writes them any more.
    this.backlog.clear();
    this.settle?.();
  }

  private readonly onWritten = (error: Error | null | undefined): void => {
    if (error || this.fd < 0) return;
    this.backlog.taken();
    this.drain();
  };

  private drained(): Promise<void> {
    this.drain();
    return new Promise((resolve) => {
      this.settle = () => {
        this.settle = undefined;
        this.written = undefined;
        resolve();
      };
    });
  }

  /** Writes the backlog as the pipe takes it. */
  private drain(): void {
    const bytes = this.backlog.next();
    if (bytes) this.poll().write(bytes, this.onWritten);
    else this.settle?.();
  }

  private leaveReading(): void {
    if (this.readEnd >= 0) closeSync(this.readEnd);
    this.readEnd = -1;
  }

  /** Whether somebody else has the pipe open for reading, or will never have: it is removed. */
  private hasReader(): boolean {
    try {
      closeSync(openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK));
      return true;
    } catch (thrown) {
      return (thrown as NodeJS.ErrnoException).code !== 'ENXIO';
    }
  }

  /**
   * The first time the pipe is full it is made larger: most output never fills one. Whether it was.
   */
  private enlarge(): boolean {
    if (this.enlarged || this.fd < 0) return false;
    this.enlarged = true;
    try {
      return native().setPipeSize(this.fd, PIPE_BYTES) >= PIPE_BYTES;
    } catch {
      // Beyond a limit of the kernel's: it is only slower.
      return false;
    }
  }

  private writeNow(data: Uint8Array): number {
    try {
      return writeSync(this.fd, data);
    } catch (thrown) {
      // EAGAIN: full. EPIPE: nobody will ever read it.
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') this.close();
      return 0;
    }
  }

  /** Most pipes never fill up, so the poll handle is made when one does. */
  private poll(): Socket {
    if (!this.socket) {
      this.socket = new Socket({ fd: this.fd, readable: false, writable: true });
      // EPIPE: the callbacks of the writes are called too, and nothing is left to be done.
      this.socket.on('error', () => this.close());
    }
    return this.socket;
  }
}

/** Output appended to a file: `file://` addresses, or a path that is no pipe. */
export class FileSink implements Sink {
  readonly waiting = 0;
  private fd: number;

  /** @throws KataError `invalid_argument` when it cannot be opened */
  constructor(path: string) {
    try {
      mkdirSync(path.slice(0, path.lastIndexOf('/')) || '/', { recursive: true, mode: 0o755 });
    } catch (thrown) {
      throw new KataError('invalid_argument', `cannot make the directory of ${path}: ${reasonOf(thrown)}`);
    }
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NONBLOCK;
    this.fd = openStream(path, flags, 0o640);
  }

  write(data: Uint8Array): undefined {
    let written = 0;
    try {
      while (this.fd >= 0 && written < data.length) written += writeSync(this.fd, data, written);
    } catch {
      // A full disk: the process goes on, as it would with its output on the host.
    }
    return undefined;
  }

  release(): void {}

  end(): void {
    this.close();
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

/**
 * Opens where a stream of output goes: a path, `fifo://` or `file://`; empty: nowhere.
 * @throws KataError `invalid_argument`
 */
export function openSink(uri: string): Sink {
  if (uri === '') return DISCARD;
  const path = pathOf(uri, ['fifo', 'file']);
  if (uri.startsWith('file://')) return new FileSink(path);
  return isFifo(path) ? new FifoSink(path) : new FileSink(path);
}

/** Where input comes from. */
export interface Source {
  readonly fd: number;
  /** A named pipe: writers may come and go. */
  readonly fifo: boolean;
}

/**
 * Opens where a process's input comes from.
 * @returns a non-blocking descriptor and whether it is a named pipe; undefined: no input
 * @throws KataError `invalid_argument`
 */
export function openSource(uri: string): Source | undefined {
  if (uri === '') return undefined;
  const fd = openStream(pathOf(uri, ['fifo']), constants.O_RDONLY | constants.O_NONBLOCK);
  return { fd, fifo: fstatSync(fd).isFIFO() };
}

/**
 * Reads what is there without waiting.
 * @returns bytes read; 0: the end; -1: nothing there now
 */
export function readNow(fd: number, buffer: Uint8Array): number {
  try {
    return readSync(fd, buffer, 0, buffer.length, null);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EAGAIN' ? -1 : 0;
  }
}

function pathOf(uri: string, schemes: readonly string[]): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri);
  const path = scheme ? decodeURIComponent(uri.slice(scheme[0].length)) : uri;
  if (scheme && !schemes.includes((scheme[1] ?? '').toLowerCase())) {
    throw new KataError(
      'invalid_argument',
      `stream ${JSON.stringify(uri)}: ${scheme[1]}:// is not supported here; use a path or ${schemes.map((s) => `${s}://`).join(', ')}`,
    );
  }
  if (!path.startsWith('/') || path.includes('\0')) {
    throw new KataError('invalid_argument', `stream ${JSON.stringify(uri)} must be an absolute path`);
  }
  return path;
}

function isFifo(path: string): boolean {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return fstatSync(fd).isFIFO();
  } catch {
    return false;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function openStream(path: string, flags: number, mode?: number): number {
  try {
    return openSync(path, flags, mode);
  } catch (thrown) {
    throw new KataError('invalid_argument', `cannot open the stream ${path}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}
