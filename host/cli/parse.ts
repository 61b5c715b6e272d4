/** From words to a command and its options, in the manner of GNU and in that of Go's flag package: `-json` is `--json` too. */
import { type Command, goesBy, type Option } from './command.ts';
import { closest } from './suggest.ts';
import { UsageError } from './usage-error.ts';

export interface Parsed {
  readonly path: readonly Command[];
  readonly values: ReadonlyMap<string, string>;
  readonly words: readonly string[];
  readonly rest: readonly string[];
  /** What is wrong with the words that are there, or not there; --help is answered all the same. */
  readonly fault: UsageError | undefined;
}

/**
 * @param commands those there are
 * @param globals options that every command has, unless it has its own of that name
 * @throws UsageError for an unknown command, an unknown option, or an option's value
 */
export function parse(words: readonly string[], commands: readonly Command[], globals: readonly Option[]): Parsed {
  const path: Command[] = [];
  const values = new Map<string, string>();
  const operands: string[] = [];
  let rest: readonly string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      rest = words.slice(at + 1);
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      const below = path.length === 0 ? commands : path[path.length - 1]?.commands;
      if (below) path.push(commandOf(word, below, path));
      else operands.push(word);
      continue;
    }
    const known = [...path.flatMap((command) => command.options ?? []).reverse(), ...globals];
    for (const { option, value } of optionsOf(word, known, path)) {
      if (option.value === undefined) {
        if (switched(option, value, path)) values.set(option.name, '');
        else values.delete(option.name);
        continue;
      }
      const given = value ?? words[++at];
      if (given === undefined) throw new UsageError(`--${option.name} needs a value: ${option.value}`, path);
      values.set(option.name, chosen(option, given, path));
    }
  }
  const last = path[path.length - 1];
  // A command that takes nothing behind `--` takes those words as operands, as getopt does.
  if (last && last.rest === undefined && rest.length > 0) {
    operands.push(...rest);
    rest = [];
  }
  return { path, values, words: operands, rest, fault: faultOf(operands, path) };
}

function commandOf(word: string, below: readonly Command[], path: readonly Command[]): Command {
  const found = below.find((command) => goesBy(command, word));
  if (found) return found;
  const names = below.flatMap((command) => [command.name, ...(command.aliases ?? [])]);
  const near = closest(word, names);
  const where = path.length === 0 ? 'command' : `command of ${path.map(({ name }) => name).join(' ')}`;
  throw new UsageError(`unknown ${where}: ${quoted(word)}${near ? `; did you mean ${near}?` : ''}`, path);
}

interface Found {
  readonly option: Option;
  readonly value: string | undefined;
}

/** `--name`, `--name=value`, `-name`, `-n`, `-nvalue`, `-nv`. */
function optionsOf(word: string, known: readonly Option[], path: readonly Command[]): Found[] {
  const equals = word.indexOf('=');
  const name = (equals < 0 ? word : word.slice(0, equals)).replace(/^--?/, '');
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const short = !word.startsWith('--');
  const option = known.find(
    (one) => one.name === name || one.aliases?.includes(name) || (short && one.letter === name && name !== ''),
  );
  if (option) return [{ option, value }];
  const letters = short ? bundle(word.slice(1), known) : undefined;
  if (letters) return letters;
  const names = known.flatMap((one) => [one.name, ...(one.aliases ?? [])]);
  const near = closest(name, names);
  const where = path.length === 0 ? '' : ` of ${path.map((command) => command.name).join(' ')}`;
  throw new UsageError(
    `unknown option${where}: ${quoted(equals < 0 ? word : word.slice(0, equals))}${near ? `; did you mean --${near}?` : ''}`,
    path,
  );
}

/** Letters of one word; the first that takes a value has the remainder. */
function bundle(letters: string, known: readonly Option[]): Found[] | undefined {
  const found: Found[] = [];
  for (let at = 0; at < letters.length; at++) {
    const option = known.find((one) => one.letter === letters[at]);
    if (!option) return undefined;
    if (option.value !== undefined) {
      found.push({ option, value: letters.slice(at + 1) || undefined });
      return found;
    }
    found.push({ option, value: undefined });
  }
  return found;
}

/** Go's flag package has `--json=false`. */
function switched(option: Option, value: string | undefined, path: readonly Command[]): boolean {
  if (value === undefined || value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new UsageError(`--${option.name} takes no value, but got ${quoted(value)}`, path);
}

function chosen(option: Option, value: string, path: readonly Command[]): string {
  if (!option.choices || option.choices.includes(value)) return value;
  throw new UsageError(`--${option.name} is ${quoted(value)}; it must be one of ${option.choices.join(', ')}`, path);
}

function faultOf(words: readonly string[], path: readonly Command[]): UsageError | undefined {
  const command = path[path.length - 1];
  if (!command) return undefined;
  if (command.commands) {
    const names = command.commands.map(({ name }) => name).join(', ');
    return new UsageError(`${command.name} needs one of: ${names}`, path);
  }
  const operands = command.operands ?? [];
  const missing = operands.slice(words.length).find((operand) => !operand.optional);
  if (missing) return new UsageError(`${missing.name} is missing`, path);
  const extra = words[operands.length];
  if (extra !== undefined) {
    const advice = command.rest === undefined ? '' : `; a command stands behind "--": -- ${extra.slice(0, QUOTED)}`;
    return new UsageError(`unexpected word: ${quoted(extra)}${advice}`, path);
  }
  for (const [at, operand] of operands.entries()) {
    const word = words[at];
    if (word === undefined || !operand.choices || operand.choices.includes(word)) continue;
    const near = closest(word, operand.choices);
    const advice = near ? `; did you mean ${near}?` : '';
    return new UsageError(
      `${operand.name} is ${quoted(word)}; it must be one of ${operand.choices.join(', ')}${advice}`,
      path,
    );
  }
  return undefined;
}

/** Characters of a word that a message quotes. */
const QUOTED = 80;

function quoted(word: string): string {
  return JSON.stringify(word.length > QUOTED ? `${word.slice(0, QUOTED)}…` : word);
}
