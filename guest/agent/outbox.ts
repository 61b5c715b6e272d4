/** What a connection has to send: frames in memory, and bytes that wait in pipes of the kernel's. In order, as the peer takes them. */
import { reasonOf } from './error.ts';
import type { Held, Holder } from './held.ts';
import { type Loop, POLLHUP, POLLOUT } from './loop-interface.ts';
import type { Sys } from './sys.ts';

/** One piece of what is to be sent. */
export type Chunk = Uint8Array | Held;

export class Outbox {
  /** Bytes the peer has not taken. */
  bytes = 0;
  private queue: Chunk[] = [];
  private unwatch: (() => void) | undefined;
  private ended = false;

  /**
   * @param fd non-blocking
   * @param holder owns the pipes of what is held
   * @param onTaken called when the peer has taken something after it had been full
   * @param onBroken called once when the peer is gone
   */
  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    private readonly fd: number,
    private readonly holder: Holder,
    private readonly onTaken: () => void,
    private readonly onBroken: () => void,
  ) {}

  send(chunks: readonly Chunk[]): void {
    if (this.ended) {
      for (const chunk of chunks) this.drop(chunk);
      return;
    }
    for (const chunk of chunks) {
      this.queue.push(chunk);
      this.bytes += chunk.length;
    }
    // While the channel is full the watch sends; the order is kept either way.
    if (!this.unwatch) this.flush();
  }

  /** Forgets what was not sent. Idempotent. */
  end(): void {
    this.ended = true;
    this.unwatch?.();
    this.unwatch = undefined;
    for (const chunk of this.queue.splice(0)) this.drop(chunk);
    this.bytes = 0;
  }

  private drop(chunk: Chunk): void {
    if (!(chunk instanceof Uint8Array)) this.holder.release(chunk);
  }

  private flush(): void {
    try {
      while (this.queue.length > 0 && this.step());
    } catch (error) {
      this.sys.log(`agent: writing the channel failed: ${reasonOf(error)}`);
      this.onBroken();
      return;
    }
    if (this.queue.length === 0) {
      this.unwatch?.();
      this.unwatch = undefined;
    } else {
      this.unwatch ??= this.loop.watch(this.fd, POLLOUT, (revents) => {
        // A peer that is gone never becomes writable again.
        if (revents & POLLHUP && !(revents & POLLOUT)) {
          this.onBroken();
          return;
        }
        this.flush();
        if (!this.ended) this.onTaken();
      });
    }
  }

  /** Sends what comes first. @returns whether the peer has taken all of it */
  private step(): boolean {
    const [first] = this.queue;
    if (first && !(first instanceof Uint8Array)) return this.splice(first);
    const held = this.queue.findIndex((chunk) => !(chunk instanceof Uint8Array));
    const chunks = (held < 0 ? this.queue : this.queue.slice(0, held)) as Uint8Array[];
    let rest = this.sys.writev(this.fd, chunks);
    this.bytes -= rest;
    let count = 0;
    for (const { length } of chunks) {
      if (rest < length) break;
      rest -= length;
      count++;
    }
    const done = count === chunks.length;
    this.queue.splice(0, count);
    if (rest > 0) this.queue[0] = (this.queue[0] as Uint8Array).subarray(rest);
    return done;
  }

  private splice(held: Held): boolean {
    const moved = this.sys.splice(held.pipe[0], this.fd, held.length);
    if (moved < 0) return false;
    // A frame that was begun cannot be taken back: what follows would be read as its bytes.
    if (moved === 0) throw new Error(`${held.length} bytes of output are lost in the channel`);
    held.length -= moved;
    this.bytes -= moved;
    if (held.length > 0) return false;
    this.queue.shift();
    this.holder.release(held);
    return true;
  }
}
