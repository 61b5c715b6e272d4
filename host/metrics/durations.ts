/** How long calls take, as a histogram by action: recording costs a look-up and two additions, and no text is made. */
import type { Description, Families } from './family.ts';
import { Histogram } from './histogram.ts';

/** Upper bounds of the buckets, ms: powers of two, as Kata's are. */
export const BOUNDS_MS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;

export class Durations {
  readonly #actions = new Map<string, Histogram>();

  /** @param action one of few: each has its counts for good */
  record(action: string, milliseconds: number): void {
    let histogram = this.#actions.get(action);
    if (histogram === undefined) {
      histogram = new Histogram(BOUNDS_MS);
      this.#actions.set(action, histogram);
    }
    histogram.observe(milliseconds);
  }

  /** Records how long a call took, whether it succeeds or fails. What it gives is left as it is. */
  timed<Result>(action: string, call: () => Result): Result {
    const began = performance.now();
    const record = (): void => this.record(action, performance.now() - began);
    let result: Result;
    try {
      result = call();
    } catch (thrown) {
      record();
      throw thrown;
    }
    if (result instanceof Promise) result.then(record, record);
    else record();
    return result;
  }

  /** Adds the histograms, with the label `action`. */
  addTo(families: Families, description: Description): void {
    for (const [action, histogram] of this.#actions) histogram.addTo(families, description, { action });
  }
}
