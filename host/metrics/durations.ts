/** How long calls take, as a histogram by action: recording costs a look-up and two additions, and no text is made. */
import type { Description, Families } from './family.ts';
import { Histogram } from './histogram.ts';

/** Upper bounds of the buckets, ms: powers of two, as Kata's are. */
export const BOUNDS_MS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;

export class Durations {
  readonly #actions = new Map<string, Histogram>();

  /** @param action one of few: each has its counts for good */
  record(action: string, milliseconds: number): void {
    this.#of(action).observe(milliseconds);
  }

  /** The same function, timed: how long it takes until it gives something, or the promise that it gives settles, however that ends. */
  timed<Args extends unknown[], Result>(action: string, call: (...args: Args) => Result): (...args: Args) => Result {
    let histogram: Histogram | undefined;
    const record = (began: number): void => {
      // Only what is called has counts.
      histogram ??= this.#of(action);
      histogram.observe(performance.now() - began);
    };
    return (...args) => {
      const began = performance.now();
      let result: Result;
      try {
        result = call(...args);
      } catch (thrown) {
        record(began);
        throw thrown;
      }
      if (result instanceof Promise) {
        const settled = (): void => record(began);
        result.then(settled, settled);
      } else record(began);
      return result;
    };
  }

  /** Adds the histograms, with the label `action`. */
  addTo(families: Families, description: Description): void {
    for (const [action, histogram] of this.#actions) histogram.addTo(families, description, { action });
  }

  #of(action: string): Histogram {
    let histogram = this.#actions.get(action);
    if (histogram === undefined) {
      histogram = new Histogram(BOUNDS_MS);
      this.#actions.set(action, histogram);
    }
    return histogram;
  }
}
