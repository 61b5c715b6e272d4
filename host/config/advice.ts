/** What to write in place of a value that is none of its key's. Loaded when there is one. */

import { nearest } from './nearest.ts';
import type { Key } from './schema/schema.ts';

/** Sizes that people write with a unit, in MiB. */
const UNITS_MIB: Readonly<Record<string, number>> = { k: 1 / 1024, m: 1, g: 1024, t: 1024 * 1024 };
const TRUE = /^(true|yes|on|1)$/i;
const FALSE = /^(false|no|off|0)$/i;

/**
 * @param name of the key, without its table
 * @returns a clause, `write default_memory = 2048, without quotes`; empty: nothing is known that would help
 */
export function adviceFor(name: string, { type, unit }: Key, value: unknown): string {
  switch (type) {
    case 'string':
      return forString(name, value);
    case 'boolean':
      return forBoolean(name, value);
    case 'strings':
      return forStrings(name, value);
    case 'tables':
      return `write [[…${name}]] above its keys`;
    default:
      return forNumber(name, value, type, unit);
  }
}

/** The word that was meant. */
export function choiceAdvice(name: string, choices: readonly string[], word: string): string {
  const meant = nearest(word, choices);
  return meant === undefined ? '' : `did you mean ${name} = ${JSON.stringify(meant)}?`;
}

function forString(name: string, value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return `write ${name} = "${value}", in quotes`;
  }
  if (!Array.isArray(value)) return '';
  if (value.length === 0) return `write ${name} = ""`;
  return value.length === 1 && typeof value[0] === 'string' ? `write ${name} = ${JSON.stringify(value[0])}` : '';
}

function forBoolean(name: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') return '';
  const text = String(value).trim();
  const quotes = typeof value === 'string' ? ', without quotes' : '';
  if (TRUE.test(text)) return `write ${name} = true${quotes}`;
  return FALSE.test(text) ? `write ${name} = false${quotes}` : '';
}

function forStrings(name: string, value: unknown): string {
  if (typeof value === 'string') return `write ${name} = ${value === '' ? '[]' : JSON.stringify([value])}`;
  return Array.isArray(value) ? `put each of its items in quotes` : '';
}

function forNumber(name: string, value: unknown, type: string, unit: string | undefined): string {
  if (typeof value === 'number') {
    if (type === 'unsigned' && value < 0) return 'there is no negative one; 0 is often the default';
    return Number.isFinite(value) ? `write ${name} = ${Math.round(value)}` : '';
  }
  if (typeof value !== 'string') return '';
  const text = value.trim();
  if (/^-?[0-9]+$/.test(text) || (type === 'number' && /^-?[0-9]+\.[0-9]+$/.test(text))) {
    return `write ${name} = ${Number(text)}, without quotes`;
  }
  const [, digits = '', letter = ''] = /^([0-9]+(?:\.[0-9]+)?)\s*([kmgt])i?b?$/i.exec(text) ?? [];
  const size = Number(digits) * (UNITS_MIB[letter.toLowerCase()] ?? 0);
  return unit === 'MiB' && size >= 1 ? `write ${name} = ${Math.round(size)}, a number of MiB without quotes` : '';
}
