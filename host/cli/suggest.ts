/** What somebody may have meant by a word of the command line. */
import { nearest } from '../config/nearest.ts';

/** Fewest letters that are taken for the beginning of a word. */
const MIN_BEGINNING = 3;

/**
 * The known word that is closest to `word`.
 * @returns undefined when none is close
 */
export function closest(word: string, known: readonly string[]): string | undefined {
  const begun = word.length >= MIN_BEGINNING ? known.filter((each) => each.startsWith(word)) : [];
  return begun.length === 1 ? begun[0] : nearest(word, known);
}
