/** Counts of observations by upper bound. */
import { type Description, type Families, type Labels, labelText, numberText } from './family.ts';

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Uint32Array;
  #sum = 0;

  /** @param bounds ascending; what is larger than the last is counted in +Inf */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Uint32Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  /** Adds its series. `le` goes behind `labels`. */
  addTo(families: Families, description: Description, labels: Labels = {}): void {
    const text = labelText(labels);
    let total = 0;
    this.#counts.forEach((count, bucket) => {
      total += count;
      const le = `le="${numberText(this.#bounds[bucket] ?? Infinity)}"`;
      families.add(description, text === '' ? le : `${text},${le}`, total, '_bucket');
    });
    families.add(description, text, this.#sum, '_sum');
    families.add(description, text, total, '_count');
  }
}
