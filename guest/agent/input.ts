/** A process's stdin as the protocol sees it: whole writes, in order. */
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { type Loop, POLLOUT } from './loop-interface.ts';
import type { SharedFd } from './stream.ts';
import type { Sys } from './sys.ts';

/** Most bytes of stdin that wait for a process to take them. */
export const MAX_PENDING_WRITE_BYTES = 16 * 1024 * 1024;
/** End of transmission: what a terminal's line discipline turns into end of file. */
const EOT = 4;
const NEWLINES: readonly (number | undefined)[] = [undefined, 10, 13, EOT];
const BROKEN_PIPE = 'EPIPE: Broken pipe: the process does not read its stdin any more';

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
