/** The agent's event loop: one `turn` polls once, reaps, and calls back. guest/sys/main.c turns it and runs promise jobs between. */
import { reasonOf } from './error.ts';
import type { Loop } from './loop-interface.ts';
import type { PollEntry, Sys } from './sys.ts';

/** Exit statuses kept for those who ask after the fact. */
export const MAX_KEPT_STATUSES = 4096;

/** Reported by poll(2) for a descriptor that is not open. */
const POLLNVAL = 32;

interface Watch extends PollEntry {
  readonly callback: (revents: number) => void;
  ended: boolean;
}

interface Timer {
  /** Milliseconds of the monotonic clock. */
  readonly at: number;
  readonly callback: () => void;
}

export class EventLoop implements Loop {
  private watches: Watch[] = [];
  private watchesChanged = false;
  /** Sorted, the earliest last. */
  private readonly timers: Timer[] = [];
  private readonly waiting = new Map<number, ((status: number) => void)[]>();
  /** By insertion, so the first key is the oldest. */
  private readonly statuses = new Map<number, number>();

  constructor(private readonly sys: Sys) {}

  watch(fd: number, events: number, callback: (revents: number) => void): () => void {
    const watch: Watch = { fd, events, callback, ended: false };
    this.watches.push(watch);
    return () => {
      watch.ended = true;
      this.watchesChanged = true;
    };
  }

  /** Calls back once after `ms` milliseconds, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.sys.now() + ms, callback };
    let low = 0;
    for (let high = this.timers.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.timers[middle] as Timer).at > timer.at) low = middle + 1;
      else high = middle;
    }
    this.timers.splice(low, 0, timer);
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  exited(pid: number): Promise<number> {
    const status = this.statuses.get(pid);
    if (status !== undefined) {
      this.statuses.delete(pid);
      return Promise.resolve(status);
    }
    return new Promise((resolve) => {
      const waiting = this.waiting.get(pid);
      if (waiting) waiting.push(resolve);
      else this.waiting.set(pid, [resolve]);
    });
  }

  /**
   * Waits until something happens and calls back.
   * @param longest milliseconds to wait at most; -1: until something happens
   */
  turn(longest = -1): void {
    if (this.watchesChanged) {
      this.watches = this.watches.filter((watch) => !watch.ended);
      this.watchesChanged = false;
    }
    const watches = this.watches;
    // What is added while calling back must not be taken for one of those polled.
    const count = watches.length;
    const revents = this.sys.poll(watches, this.timeout(longest));
    this.reap();
    for (let i = 0; i < count; i++) {
      const ready = revents[i];
      const watch = watches[i] as Watch;
      if (!ready || watch.ended) continue;
      try {
        // Closed by mistake while watched: polling it again would return at once, for ever.
        if (ready & POLLNVAL) throw new Error('it is closed');
        watch.callback(ready);
      } catch (error) {
        watch.ended = true;
        this.watchesChanged = true;
        this.sys.log(`agent: a watch of descriptor ${watch.fd} failed: ${reasonOf(error)}`);
      }
    }
    this.fire();
  }

  private timeout(longest: number): number {
    const next = this.timers.at(-1);
    if (!next) return longest;
    // Rounded up: waking a fraction too early would turn again for nothing.
    const rest = Math.max(0, Math.ceil(next.at - this.sys.now()));
    return longest < 0 ? rest : Math.min(rest, longest);
  }

  private fire(): void {
    if (this.timers.length === 0) return;
    const now = this.sys.now();
    while (this.timers.length > 0 && (this.timers.at(-1) as Timer).at <= now) {
      const timer = this.timers.pop() as Timer;
      try {
        timer.callback();
      } catch (error) {
        this.sys.log(`agent: a timer failed: ${reasonOf(error)}`);
      }
    }
  }

  private reap(): void {
    for (const { pid, status } of this.sys.reap()) {
      const waiting = this.waiting.get(pid);
      if (waiting) {
        this.waiting.delete(pid);
        for (const resolve of waiting) resolve(status);
        continue;
      }
      this.statuses.delete(pid);
      this.statuses.set(pid, status);
      if (this.statuses.size > MAX_KEPT_STATUSES) this.statuses.delete(this.statuses.keys().next().value as number);
    }
  }
}
