/** Repeated measurements. */

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
