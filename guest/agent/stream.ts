/** A process's stdin, stdout and stderr as the protocol sees them: long-poll reads, whole writes, both in order. */
import { AgentError, reasonOf } from './error.ts';
import { LARGE_PIPE_BYTES } from './held.ts';
import { type Call, type Loop, POLLIN } from './loop-interface.ts';
import { Pace } from './pace.ts';
import type { Sys } from './sys.ts';

/** Most bytes of one answer: what the largest pipe a container can make holds (fs.pipe-max-size). A frame takes 4 MiB. */
export const MAX_READ_BYTES = 1024 * 1024;
/** Most reads that wait on one stream. */
export const MAX_PENDING_READS = 64;
/** How long output may still come, ms, from children that outlive their process and hold its stdout. */
export const DRAIN_MS = 500;

/** Output that follows so much of it at once stays in the kernel on its way to the channel, bytes. */
export const HOLD_BYTES = 16 * 1024;

/** Output that once has left so much at a time gets a larger pipe, bytes. */
export const LARGE_BYTES = 128 * 1024;

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
  /** A lot was there last time. */
  private streams = false;
  private large = false;

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    private readonly shared: SharedFd,
    /** The descriptor is a pipe's, and of no other kind. */
    private readonly pipe = false,
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
      let data: Uint8Array | null | undefined;
      try {
        data = this.closed ? EMPTY : this.next(first);
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
      first.resolve(data ?? EMPTY);
      if (data?.length === 0) this.close();
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

  /** null: nothing yet; undefined: the call holds it. */
  private next({ bytes, call }: PendingRead): Uint8Array | null | undefined {
    // All the process itself had left behind fits one pipe; a child that never stops writing does not keep it open.
    if (this.late && this.bytesSinceEnd >= MAX_READ_BYTES) return EMPTY;
    const rested = this.resting === 'rested';
    this.resting = 'no';
    const held = this.hold(bytes, call);
    const data = held !== undefined ? undefined : rested ? this.drain(bytes) : this.sys.read(this.shared.fd, bytes);
    const length = data === undefined ? Math.max(held ?? 0, 0) : (data?.length ?? 0);
    this.pace.read(length, this.sys.now());
    if (length > 0) this.streams = length >= HOLD_BYTES;
    if (length >= LARGE_BYTES) this.enlarge();
    if (data === null || held === -1) return this.late ? EMPTY : null;
    if (held === 0) return EMPTY;
    if (this.processGone) this.bytesSinceEnd += length;
    return data;
  }

  /** Has the call take what there is without a copy. undefined: it has to be read. */
  private hold(bytes: number, call: Call | undefined): number | undefined {
    // Little is read faster than it is moved.
    return this.pipe && this.streams ? call?.hold?.(this.shared.fd, bytes) : undefined;
  }

  private enlarge(): void {
    if (!this.pipe || this.large) return;
    this.large = true;
    this.sys.setPipeSize(this.shared.fd, LARGE_PIPE_BYTES);
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
