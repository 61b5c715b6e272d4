/**
 * Which hypervisor annotations a node's administrator lets pods use: `enable_annotations`, a list of regular expressions.
 * Only names of our own table are ever matched, never a pod's text.
 */

/** Longest expression, characters. */
export const MAX_EXPRESSION_LENGTH = 256;
/** Most repetitions (`*`, `+`, `{…}`) in an expression: with more, even without nesting, a match could take seconds. */
export const MAX_REPETITIONS = 6;

/**
 * What is wrong with an expression of `enable_annotations`.
 * @returns undefined: nothing
 */
export function expressionFault(text: string): string | undefined {
  if (text.length > MAX_EXPRESSION_LENGTH)
    return `has ${text.length} characters; at most ${MAX_EXPRESSION_LENGTH} are taken`;
  try {
    new RegExp(text, 'u');
  } catch {
    return 'is no regular expression';
  }
  return isSlow(text) ? 'repeats what repeats or branches in itself, and could take for ever to match' : undefined;
}

/**
 * Whether an expression allows a name. It has to match from end to end: a search within the name, as Kata's, lets `image`
 * enable `image_hash`.
 * @param names of one annotation
 */
export function enables(expressions: readonly string[], names: readonly string[]): boolean {
  return expressions.some((expression) => {
    const whole = new RegExp(`^(?:${expression})$`, 'u');
    return names.some((name) => whole.test(name));
  });
}

/** Whether the list holds a name itself, letter by letter: `.*` does not count. */
export function lists(expressions: readonly string[], name: string): boolean {
  return expressions.includes(name);
}

/** Whether matching could take time beyond a power of the name's length: a repeated group that repeats or branches itself. */
function isSlow(text: string): boolean {
  /** For each open group whether it holds a repetition or a branch. */
  const groups: boolean[] = [false];
  let repetitions = 0;
  /** Whether what stands before is a group with such a thing in it. */
  let complex = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (/[*+{]/.test(character)) {
      if (complex || ++repetitions > MAX_REPETITIONS) return true;
      groups[groups.length - 1] = true;
      complex = false;
      continue;
    }
    complex = false;
    // What may be there or not multiplies where its group repeats.
    if (character === '?') groups[groups.length - 1] = true;
    else if (character === '\\') at++;
    else if (character === '[') at = endOfClass(text, at);
    else if (character === '|') groups[groups.length - 1] = true;
    else if (character === '(') {
      groups.push(false);
      // As in `(?:`.
      if (text[at + 1] === '?') at++;
    } else if (character === ')') {
      complex = groups.pop() ?? false;
      if (complex) groups[groups.length - 1] = true;
    }
  }
  return false;
}

/** Index of the bracket that closes a class of characters. */
function endOfClass(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === ']') return at;
  }
  return text.length;
}
