/** When a process's output is read at once, and when the process is given time to write more of it first. */

/**
 * Reads of these sizes that follow each other within STREAM_MS are a program that writes little at a time, for long: each costs
 * more than it carries (1 ms under emulation). Below, somebody types or waits for a line: that is never held back.
 */
export const STREAM_MIN_BYTES = 1024;
export const STREAM_MAX_BYTES = 16 * 1024;
/** Between two reads, without the pause, ms. */
const STREAM_MS = 4;
/** Longest pause, ms; the first is 1, each next one twice as long. */
export const MAX_PAUSE_MS = 8;

/**
 * A program that writes much at a time gets a pause where answers take long, so that more than one of its writes goes into each: on one
 * processor the reader runs as soon as there is anything to be read. The pipe is to be about half full by then.
 */
export const MUCH_MS = 20;
export const MUCH_ENOUGH_BYTES = 512 * 1024;
export const MUCH_PLENTY_BYTES = 960 * 1024;
export const MUCH_MAX_PAUSE_MS = 4;
/** Where so many bytes a millisecond are read without a pause none is needed. */
export const FAST_BYTES_PER_MS = 400 * 1024;

export class Pace {
  /** How long the process may write before the next read, ms. */
  pause = 0;
  private last = Number.NEGATIVE_INFINITY;

  /**
   * Notes a read.
   * @param bytes it gave; 0: nothing was there
   * @param now milliseconds
   */
  read(bytes: number, now: number): void {
    const since = now - this.last;
    this.last = now;
    if (bytes < STREAM_MIN_BYTES || since >= this.pause + (bytes < STREAM_MAX_BYTES ? STREAM_MS : MUCH_MS))
      this.pause = 0;
    else if (bytes < STREAM_MAX_BYTES) this.pause = Math.min(Math.max(1, this.pause * 2), MAX_PAUSE_MS);
    else this.much(bytes, since);
  }

  private much(bytes: number, since: number): void {
    if (bytes >= MUCH_PLENTY_BYTES) this.pause = this.pause >> 1;
    else if (bytes < MUCH_ENOUGH_BYTES && (this.pause > 0 || bytes < since * FAST_BYTES_PER_MS))
      this.pause = Math.min(Math.max(1, this.pause * 2), MUCH_MAX_PAUSE_MS);
  }
}
