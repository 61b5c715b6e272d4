/** How long calls take, as a histogram by action: recording costs a look-up and two additions, and no text is made. */
import type { Description, Families } from './family.ts';
import { labelText, numberText } from './family.ts';

/** Upper bounds of the buckets, ms: powers of two, as Kata's are. What took longer is in +Inf. */
export const BOUNDS_MS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;

export class Durations {
  readonly #rows = new Map<string, Row>();

  /** @param action one of few: each has a row for good */
  record(action: string, milliseconds: number): void {
    let row = this.#rows.get(action);
    if (row === undefined) {
      row = { counts: new Uint32Array(BOUNDS_MS.length + 1), sum: 0 };
      this.#rows.set(action, row);
    }
    const bucket = bucketOf(milliseconds);
    row.counts[bucket] = (row.counts[bucket] as number) + 1;
    row.sum += milliseconds;
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

  /** Adds the histogram, with the label `action`. */
  addTo(families: Families, description: Description): void {
    for (const [action, { counts, sum }] of this.#rows) {
      const labels = labelText({ action });
      let total = 0;
      counts.forEach((count, bucket) => {
        total += count;
        families.add(description, `${labels},le="${numberText(BOUNDS_MS[bucket] ?? Infinity)}"`, total, '_bucket');
      });
      families.add(description, labels, sum, '_sum');
      families.add(description, labels, total, '_count');
    }
  }
}

/** Observations under one action. */
interface Row {
  readonly counts: Uint32Array;
  /** Milliseconds. */
  sum: number;
}

/** Of durations in (2^(n-1), 2^n] ms it is n; of all up to 1 ms, 0. */
function bucketOf(milliseconds: number): number {
  if (!(milliseconds > 1)) return 0;
  if (milliseconds > 512) return BOUNDS_MS.length;
  return 32 - Math.clz32(Math.ceil(milliseconds) - 1);
}
