/** Which of some words was probably meant. */

/** Longest word that is compared, characters: the work grows with the square. */
export const MAX_WORD = 64;
/** Letters that may differ; of short words a third. */
const MAX_DISTANCE = 4;

/**
 * The word that takes fewest letters to become the one written, if these are few.
 * @returns undefined: nothing is near
 */
export function nearest(written: string, words: Iterable<string>): string | undefined {
  if (written.length > MAX_WORD) return undefined;
  const lower = written.toLowerCase();
  let best: string | undefined;
  let least = Math.max(1, Math.min(MAX_DISTANCE, Math.floor(written.length / 3))) + 1;
  for (const word of words) {
    const distance = word.length > MAX_WORD ? least : distanceBetween(lower, word.toLowerCase());
    if (distance < least) [best, least] = [word, distance];
  }
  return best;
}

/** Letters to insert, remove, replace or exchange with their neighbour. */
export function distanceBetween(from: string, to: string): number {
  let [before, above] = [[] as number[], Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = at(above, column - 1) + Number(from[row - 1] !== to[column - 1]);
      let distance = Math.min(at(above, column) + 1, at(current, column - 1) + 1, replaced);
      const exchanged = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (exchanged) distance = Math.min(distance, at(before, column - 2) + 1);
      current.push(distance);
    }
    [before, above] = [above, current];
  }
  return at(above, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0;
}
