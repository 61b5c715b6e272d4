/**
 * Reads what nearly every configuration is made of: comments, headers of tables, and one key with a plain value a line. It takes a
 * tenth of what a parser of all of TOML takes, and knows lines. Whatever it is not sure of it leaves to that parser.
 */
import { type Entry, MAX_DEPTH, type Tables } from './tables.ts';

/** Characters that no TOML may have, and carriage returns. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
const CONTROL = /[\0-\x08\x0b-\x1f\x7f]/;
const HEADER = /^\[([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\][ \t]*(?:#.*)?$/;
const KEY = /^([A-Za-z0-9_-]+)[ \t]*=[ \t]*(.*)$/;
const STRING = /^"([^"\\]*)"[ \t]*(?:#.*)?$/;
const BOOLEAN = /^(true|false)[ \t]*(?:#.*)?$/;
const INTEGER = /^(0|-?[1-9][0-9]{0,18})[ \t]*(?:#.*)?$/;
const FLOAT = /^(-?(?:0|[1-9][0-9]{0,8})\.[0-9]{1,8})[ \t]*(?:#.*)?$/;
const STRINGS = /^\[[ \t]*((?:"[^"\\]*"[ \t]*,[ \t]*)*(?:"[^"\\]*"[ \t]*)?)\][ \t]*(?:#.*)?$/;
const ITEM = /"([^"\\]*)"/g;
const BYTE_ORDER_MARK = 0xfeff;

/** @returns undefined: it has something that only a parser of all of TOML can judge */
export function readPlain(text: string): Tables | undefined {
  if (CONTROL.test(text)) return undefined;
  const tables: Tables = new Map([['', new Map()]]);
  const headers = new Set<string>();
  let keys = tables.get('') as Map<string, Entry>;
  let table = '';
  let line = 0;
  let start = text.charCodeAt(0) === BYTE_ORDER_MARK ? 1 : 0;
  while (start < text.length) {
    line++;
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    const first = skipBlanks(text, start, end);
    const code = first === end ? 0x23 : text.charCodeAt(first);
    const content = code === 0x23 ? '' : text.slice(first, end);
    start = end + 1;
    if (content === '') continue;
    if (code === 0x5b) {
      const name = HEADER.exec(content)?.[1];
      if (name === undefined || headers.has(name)) return undefined;
      headers.add(name);
      table = name;
      keys = tables.get(table) ?? new Map();
      tables.set(table, keys);
      continue;
    }
    const match = KEY.exec(content);
    const key = match?.[1] ?? '';
    const entry = match ? entryOf(match[2] ?? '', line) : undefined;
    if (!entry || keys.has(key)) return undefined;
    keys.set(key, entry);
  }
  return isConsistent(tables) ? tables : undefined;
}

function skipBlanks(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09)) at++;
  return at;
}

function entryOf(text: string, line: number): Entry | undefined {
  const string = STRING.exec(text);
  if (string) return { value: string[1] ?? '', line, float: false };
  const boolean = BOOLEAN.exec(text);
  if (boolean) return { value: boolean[1] === 'true', line, float: false };
  const integer = INTEGER.exec(text);
  if (integer) return integerOf(integer[1] ?? '', line);
  const strings = STRINGS.exec(text);
  if (strings)
    return { value: Array.from((strings[1] ?? '').matchAll(ITEM), (item) => item[1] ?? ''), line, float: false };
  const float = FLOAT.exec(text);
  return float ? { value: Number(float[1]), line, float: true } : undefined;
}

/** What a number does not hold exactly is a bigint, up to the 64 bits that TOML has. */
function integerOf(digits: string, line: number): Entry | undefined {
  const value = Number(digits);
  if (Number.isSafeInteger(value)) return { value, line, float: false };
  const big = BigInt(digits);
  return BigInt.asIntN(64, big) === big ? { value: big, line, float: false } : undefined;
}

/** Whether no name is that of a table and of a value. */
function isConsistent(tables: Tables): boolean {
  for (const name of tables.keys()) {
    const parts = name.split('.');
    if (parts.length > MAX_DEPTH) return false;
    for (let depth = 1; depth <= parts.length; depth++) {
      if (tables.get(parts.slice(0, depth - 1).join('.'))?.has(parts[depth - 1] ?? '')) return false;
    }
  }
  return true;
}
