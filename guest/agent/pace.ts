/** When a process's output is read at once, and when the process is given time to write more of it first. */

/**
 * Reads of these sizes that follow each other within STREAM_MS are a program that writes little at a time, for long: each costs
 * more than it carries (1.5 ms under emulation). Below, somebody types or waits for a line: that is never held back. Above, the
 * program fills its pipe faster than it is read.
 */
export const STREAM_MIN_BYTES = 1024;
export const STREAM_MAX_BYTES = 16 * 1024;
/** Between two reads, without the pause, ms. */
const STREAM_MS = 4;
/** Longest pause, ms; the first is 1, each next one twice as long. */
export const MAX_PAUSE_MS = 8;

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
    const streams = bytes >= STREAM_MIN_BYTES && now - this.last < this.pause + STREAM_MS;
    this.last = now;
    // Enough for the price: the pause stays as it is.
    if (streams && this.pause > 0 && bytes >= STREAM_MAX_BYTES) return;
    this.pause = streams && bytes < STREAM_MAX_BYTES ? Math.min(Math.max(1, this.pause * 2), MAX_PAUSE_MS) : 0;
  }
}
