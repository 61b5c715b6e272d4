/** Repeated measurements, and how they are told. */

/** Measurements of each kind, at least. */
export const RUNS = 7;

/** Calls `measure` RUNS times, after one call that does not count. */
export async function repeat(measure: (run: number) => Promise<number>): Promise<number[]> {
  await measure(-1);
  const all: number[] = [];
  for (let run = 0; run < RUNS; run++) all.push(await measure(run));
  return all;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** `median (min-max)`, with so many digits after the point. */
export function summary(values: readonly number[], digits = 0): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}
