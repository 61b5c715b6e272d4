/** TOML text to tables, and what is wrong with one that is no TOML. */
import { KataError, reasonOf } from '../../error.ts';
import { locate } from './locate.ts';
import { readPlain } from './plain.ts';
import { type Entry, MAX_DEPTH, part, type Tables, within } from './tables.ts';

/** Characters of a line that a message quotes. */
const QUOTED = 80;

/** Words of the parser's first line, and what they mean to whoever wrote the file. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/redefine/, 'the table or key is there twice; remove one of the two'],
  [/unsafe/, 'the key has a name that is not taken'],
];

/**
 * @param file for messages
 * @throws KataError `invalid_argument` naming file and line
 */
export async function readToml(text: string, file: string): Promise<Tables> {
  const plain = readPlain(text);
  if (plain) return plain;
  // Loaded for this only: few files need it.
  const { parse } = await import('smol-toml');
  let parsed: Readonly<Record<string, unknown>>;
  try {
    parsed = parse(text, { integersAsBigInt: 'asNeeded', maxDepth: MAX_DEPTH });
  } catch (thrown) {
    throw malformed(text, file, thrown);
  }
  // The parser bounds what is nested in brackets, not tables by their names.
  if (isDeeper(parsed, MAX_DEPTH)) {
    throw new KataError(
      'invalid_argument',
      `${file}: tables are nested more than ${MAX_DEPTH} deep; no key of ours is`,
    );
  }
  const places = locate(text);
  const tables: Tables = new Map();
  collect(tables, '', parsed, (name) => places.get(name) ?? { line: 1, float: false });
  return tables;
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Whether something is nested deeper than so many tables or lists. */
function isDeeper(value: unknown, depth: number): boolean {
  if (!Array.isArray(value) && !isTable(value)) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

type PlaceOf = (name: string) => { readonly line: number; readonly float: boolean };

function collect(tables: Tables, table: string, values: Readonly<Record<string, unknown>>, placeOf: PlaceOf): void {
  const keys = new Map<string, Entry>();
  tables.set(table, keys);
  for (const [key, value] of Object.entries(values)) {
    const name = within(table, key);
    if (isTable(value)) collect(tables, name, value, placeOf);
    else keys.set(part(key), { value, ...placeOf(name) });
  }
}

function malformed(text: string, file: string, thrown: unknown): KataError {
  const { line } = thrown as { line?: unknown };
  // The parser's first line says what; the others draw a picture.
  const said = (reasonOf(thrown).split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '');
  const number = typeof line === 'number' ? line : undefined;
  const source = number === undefined ? '' : (text.split('\n')[number - 1] ?? '').trim();
  const advice = source.length > QUOTED ? '' : adviceFor(source, said);
  const quoted = source.length > QUOTED ? `${source.slice(0, QUOTED)}…` : source;
  const where = number === undefined ? file : `${file}:${number}`;
  return new KataError(
    'invalid_argument',
    `${where}: no valid TOML: ${said}${quoted === '' ? '' : ` in ${JSON.stringify(quoted)}`}${advice === '' ? '' : `; ${advice}`}`,
    { cause: thrown },
  );
}

/** What to do about a line, by the mistakes that are made most. */
function adviceFor(line: string, said: string): string {
  for (const [words, advice] of ADVICE) if (words.test(said)) return advice;
  const [, key = '', value = ''] = /^([^=:]+?)\s*=\s*(.*)$/.exec(line) ?? [];
  if (/^\[/.test(line) && !/\]\s*(#.*)?$/.test(line)) return 'a table stands between brackets, as [runtime]';
  if (key === '') {
    return /^[A-Za-z0-9_.-]+\s*:/.test(line) ? 'a key and its value are separated by "=", not ":"' : '';
  }
  if (value === '') return `there is no value after ${key} =; for an empty text write ${key} = ""`;
  if (/^(true|yes|on)\s*(#.*)?$/i.test(value)) return `write ${key} = true`;
  if (/^(false|no|off)\s*(#.*)?$/i.test(value)) return `write ${key} = false`;
  if (/^["'](?!.*["']\s*(#.*)?$)/.test(value)) return 'the closing quote is missing';
  const [, size = ''] = /^([0-9]+)\s*(?:[kmgt]i?b?)\s*(#.*)?$/i.exec(value) ?? [];
  if (size !== '') return `write the number alone, as ${key} = ${size}; its unit is that of the key`;
  if (/^[A-Za-z/~]/.test(value)) return `a text stands in quotes: ${key} = ${JSON.stringify(value)}`;
  return '';
}
