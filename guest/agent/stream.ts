/** A process's stdin, stdout and stderr as the protocol sees them: long-poll reads, whole writes, both in order. */
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { type Call, type Loop, POLLIN, POLLOUT } from './loop-interface.ts';
import { Pace } from './pace.ts';
import type { Sys } from './sys.ts';

/** Most bytes of one answer: what the largest pipe a container can make holds (fs.pipe-max-size). A frame takes 4 MiB. */
export const MAX_READ_BYTES = 1024 * 1024;
/** Most reads that wait on one stream. */
export const MAX_PENDING_READS = 64;
/** Most bytes of stdin that wait for a process to take them. */
export const MAX_PENDING_WRITE_BYTES = 16 * 1024 * 1024;
/** How long output may still come, ms, from children that outlive their process and hold its stdout. */
export const DRAIN_MS = 500;

/** End of transmission: what a terminal's line discipline turns into end of file. */
const EOT = 4;
const NEWLINES: readonly (number | undefined)[] = [undefined, 10, 13, EOT];
const BROKEN_PIPE = 'EPIPE: Broken pipe: the process does not read its stdin any more';
const EMPTY = new Uint8Array(0);

/** A descriptor with several users; the last to release it closes it. */
export class SharedFd {
  constructor(
    private readonly sys: Sys,
    readonly fd: number,
    private users: number,
  ) {}

  release(): void {
    if (--this.users === 0) this.sys.close(this.fd);
  }
}

interface PendingRead {
  readonly bytes: number;
  readonly call: Call | undefined;
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (reason: Error) => void;
}

/** stdout, stderr, or a terminal's output. Nothing is read before somebody asks: a full pipe stops the process. */
export class OutputStream {
  private readonly pending: PendingRead[] = [];
  private unwatch: (() => void) | undefined;
  private closed = false;
  private processGone = false;
  /** DRAIN_MS after the process: an empty pipe counts as ended. */
  private late = false;
  private bytesSinceEnd = 0;
  private readonly pace = new Pace();
  private resting: 'no' | 'yes' | 'rested' = 'no';

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    private readonly shared: SharedFd,
  ) {}

  /** True once the end of file has been handed out or the stream was closed. */
  get ended(): boolean {
    return this.closed;
  }

  /**
   * Up to `length` bytes, at least one; empty at the end. Reads are answered in the order they came.
   * @throws AgentError resource_exhausted over MAX_PENDING_READS
   */
  read(length: number, call?: Call): Promise<Uint8Array> {
    if (length < 1) throw new AgentError('invalid_argument', 'a read of 0 bytes; ask for at least 1');
    if (this.pending.length >= MAX_PENDING_READS) {
      throw new AgentError('resource_exhausted', `${MAX_PENDING_READS} reads wait on this stream already`);
    }
    return new Promise((resolve, reject) => {
      this.pending.push({ bytes: Math.min(length, MAX_READ_BYTES), call, resolve, reject });
      this.pump();
    });
  }

  /** The process is gone: what it wrote is still read, what its children write only for DRAIN_MS. */
  processEnded(): void {
    if (this.closed) return;
    this.processGone = true;
    if (this.resting === 'yes') this.pump();
    this.loop.sleep(DRAIN_MS).then(() => {
      this.late = true;
      this.pump();
    });
  }

  /** Ends the stream; waiting reads get the end of file. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.disarm();
    this.shared.release();
    this.pump();
  }

  private pump(): void {
    for (;;) {
      const first = this.pending[0];
      if (!first) break;
      // Bytes given to a caller who has left would be lost.
      if (first.call?.gone) {
        this.pending.shift();
        first.resolve(EMPTY);
        continue;
      }
      if (this.rests()) return;
      let data: Uint8Array | null;
      try {
        data = this.closed ? EMPTY : this.next(first.bytes);
      } catch (thrown) {
        this.pending.shift();
        first.reject(new AgentError('internal', `reading output: ${reasonOf(thrown)}`));
        this.close();
        return;
      }
      if (data === null) {
        this.unwatch ??= this.loop.watch(this.shared.fd, POLLIN, () => this.pump());
        return;
      }
      this.pending.shift();
      first.resolve(data);
      if (data.length === 0) this.close();
    }
    this.disarm();
  }

  /** Whether the process gets time to write before it is read again. What it leaves behind is not waited for. */
  private rests(): boolean {
    if (this.closed || this.processGone || this.pace.pause === 0 || this.resting === 'rested') return false;
    if (this.resting === 'yes') return true;
    this.resting = 'yes';
    this.disarm();
    this.loop.sleep(this.pace.pause).then(() => {
      this.resting = 'rested';
      this.pump();
    });
    return true;
  }

  /** null: nothing yet. */
  private next(bytes: number): Uint8Array | null {
    // All the process itself had left behind fits one pipe; a child that never stops writing does not keep it open.
    if (this.late && this.bytesSinceEnd >= MAX_READ_BYTES) return EMPTY;
    const data = this.resting === 'rested' ? this.drain(bytes) : this.sys.read(this.shared.fd, bytes);
    this.resting = 'no';
    this.pace.read(data?.length ?? 0, this.sys.now());
    if (data === null) return this.late ? EMPTY : null;
    if (this.processGone) this.bytesSinceEnd += data.length;
    return data;
  }

  /** A terminal gives 4 KiB at a time, however much there is. */
  private drain(bytes: number): Uint8Array | null {
    const first = this.sys.read(this.shared.fd, bytes);
    if (first === null || first.length === 0) return first;
    const chunks = [first];
    let length = first.length;
    while (length < bytes) {
      const next = this.more(bytes - length);
      if (!next) break;
      chunks.push(next);
      length += next.length;
    }
    if (chunks.length === 1) return first;
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** What there is besides; an end or a failure is for the next read to tell. */
  private more(bytes: number): Uint8Array | undefined {
    try {
      const data = this.sys.read(this.shared.fd, bytes);
      return data && data.length > 0 ? data : undefined;
    } catch {
      return undefined;
    }
  }

  private disarm(): void {
    this.unwatch?.();
    this.unwatch = undefined;
  }
}

interface PendingWrite {
  readonly data: Uint8Array;
  offset: number;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** stdin. For a terminal the end of input is a character, since its descriptor carries the output too. */
export class InputStream {
  private readonly pending: PendingWrite[] = [];
  private pendingBytes = 0;
  private unwatch: (() => void) | undefined;
  private state: 'open' | 'closing' | 'closed' = 'open';
  private lastByte: number | undefined;

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    private readonly shared: SharedFd,
    private readonly terminal: boolean,
  ) {}

  /**
   * Resolves once the process's pipe has taken all of `data`.
   * @throws AgentError internal when stdin is closed or the process no longer reads it, resource_exhausted over MAX_PENDING_WRITE_BYTES
   */
  write(data: Uint8Array): Promise<void> {
    if (this.state !== 'open') return Promise.reject(new AgentError('internal', 'Cannot get writer: stdin is closed'));
    if (this.pendingBytes + data.length > MAX_PENDING_WRITE_BYTES) {
      const text = `${MAX_PENDING_WRITE_BYTES} bytes of stdin wait already; wait for the answers`;
      return Promise.reject(new AgentError('resource_exhausted', text));
    }
    this.lastByte = data.length > 0 ? data[data.length - 1] : this.lastByte;
    // Most writes fit the pipe as they come, and need no copy.
    const taken = this.pending.length === 0 ? this.take(data) : 0;
    if (taken === undefined) return Promise.reject(new AgentError('internal', BROKEN_PIPE));
    return taken === data.length ? Promise.resolve() : this.enqueue(data.slice(taken));
  }

  /** End of input, after all that was written before. Idempotent. */
  close(): void {
    if (this.state !== 'open') return;
    if (this.terminal) {
      // In the middle of a line the first EOT only flushes the line.
      const marks = NEWLINES.includes(this.lastByte) ? [EOT] : [EOT, EOT];
      this.enqueue(new Uint8Array(marks)).catch(() => {});
    }
    this.state = 'closing';
    this.pump();
  }

  /** Nobody reads any more: waiting writes fail. */
  abort(reason: string): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.unwatch?.();
    this.unwatch = undefined;
    this.shared.release();
    for (const write of this.pending.splice(0)) write.reject(new AgentError('internal', reason));
    this.pendingBytes = 0;
  }

  private enqueue(data: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pending.push({ data, offset: 0, resolve, reject });
      this.pendingBytes += data.length;
      this.pump();
    });
  }

  /** Bytes the process's pipe has taken; undefined: it takes no more, and the stream is closed. */
  private take(data: Uint8Array): number | undefined {
    try {
      return this.sys.write(this.shared.fd, data);
    } catch (thrown) {
      const gone = errnoOf(thrown) === 'EPIPE' || errnoOf(thrown) === 'EIO';
      this.abort(gone ? BROKEN_PIPE : reasonOf(thrown));
      return undefined;
    }
  }

  private pump(): void {
    for (;;) {
      const first = this.pending[0];
      if (!first) break;
      if (first.offset < first.data.length) {
        const taken = this.take(first.data.subarray(first.offset));
        if (taken === undefined) return;
        first.offset += taken;
        this.pendingBytes -= taken;
        if (first.offset < first.data.length) {
          this.unwatch ??= this.loop.watch(this.shared.fd, POLLOUT, () => this.pump());
          return;
        }
      }
      this.pending.shift();
      first.resolve();
    }
    this.unwatch?.();
    this.unwatch = undefined;
    if (this.state === 'closing' && !this.terminal) this.abort('stdin is closed');
  }
}
