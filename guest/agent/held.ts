/** Answers' bytes that stay in the kernel: moved from a process's pipe into one of ours, and from there to the channel. */
import { errnoOf } from './error.ts';
import type { Sys } from './sys.ts';

/** Most answers of a connection whose bytes wait in pipes; the bytes of further ones are read into memory. */
export const MAX_HELD = 8;

/** What a pipe through which much flows holds, bytes: each answer costs the same however much it brings. */
export const LARGE_PIPE_BYTES = 1024 * 1024;

type Pipe = readonly [read: number, write: number];

/** Bytes in a pipe of ours; nothing else is in it. */
export class Held {
  constructor(
    readonly pipe: Pipe,
    /** Bytes not sent yet. */
    public length: number,
  ) {}
}

/** The pipes of one connection. They are made when they are needed, and kept for the next answer. */
export class Holder {
  private readonly free: Pipe[] = [];
  private used = 0;

  constructor(private readonly sys: Sys) {}

  /**
   * Moves up to `most` bytes out of a pipe.
   * @returns what was moved; 0: the end; -1: nothing there yet; undefined: this cannot be done (now)
   * @throws SysError
   */
  take(pipe: number, most: number): Held | 0 | -1 | undefined {
    const { sys } = this;
    if (this.used >= MAX_HELD) return undefined;
    const own = this.free.pop() ?? this.make();
    let count: number;
    try {
      count = sys.splice(pipe, own[1], most);
    } catch (thrown) {
      this.free.push(own);
      // Not a pipe after all.
      if (errnoOf(thrown) === 'EINVAL') return undefined;
      throw thrown;
    }
    if (count > 0) {
      this.used++;
      return new Held(own, count);
    }
    this.free.push(own);
    return count === 0 ? 0 : -1;
  }

  /** Everything was sent, or nobody wants it: the pipe is used again if it is empty. */
  release(held: Held): void {
    this.used--;
    if (held.length === 0) this.free.push(held.pipe);
    else this.close(held.pipe);
  }

  /** Closes the pipes that hold nothing. */
  end(): void {
    for (const pipe of this.free.splice(0)) this.close(pipe);
  }

  private make(): Pipe {
    const pipe = this.sys.pipe();
    this.sys.setPipeSize(pipe[1], LARGE_PIPE_BYTES);
    return pipe;
  }

  private close(pipe: Pipe): void {
    this.sys.close(pipe[0]);
    this.sys.close(pipe[1]);
  }
}
