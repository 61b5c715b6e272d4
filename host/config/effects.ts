/** Keys of a configuration that change nothing: those that are known and have no effect, and those that nobody knows. */
import type { UnheardKey } from './agent-params.ts';
import type { Merged, Origin } from './files.ts';
import { isOfType } from './keys.ts';
import { nearest } from './nearest.ts';
import { type Key, keyOf, SCHEMA } from './schema/schema.ts';
import { nameOf, placeOf } from './show.ts';

/** Tables of hypervisors that Kata has and we have not. */
const OTHER_HYPERVISORS = ['clh', 'firecracker', 'dragonball', 'stratovirt', 'openvmm', 'acrn', 'cloud-hypervisor'];
/** Tables that Kata has given up. */
const FORMER_TABLES = ['netmon', 'proxy', 'proxy.kata', 'shim', 'shim.kata', 'image', 'cri', 'throttler'];

/** Unknown keys that are compared with all known ones: a file that is something else has many. */
export const MAX_SUGGESTIONS = 32;
/** Keys that one line of a log names. */
export const MAX_TOLD = 32;

interface SetKey {
  readonly table: string;
  readonly key: string;
  readonly file: string;
  /** From 1; undefined: not of a file. */
  readonly line: number | undefined;
}

export interface IgnoredKey extends SetKey {
  readonly why: string;
  /** Whether it is set to what holds anyway, or to what Kata's files have: then nobody misses anything. */
  readonly harmless: boolean;
}

export interface UnknownKey extends SetKey {
  /** A clause, `did you mean default_memory?`; empty: nothing is near. */
  readonly suggestion: string;
}

/**
 * @param hypervisor table of the hypervisor in use
 * @param unheard keys that mean nothing to the guest in use
 */
export function ignoredKeys(merged: Merged, hypervisor: string, unheard: readonly UnheardKey[] = []): IgnoredKey[] {
  const found: IgnoredKey[] = [];
  for (const [table, keys] of merged) {
    const other = otherHypervisor(table, hypervisor);
    for (const [key, origin] of keys) {
      const known = keyOf(table, key);
      const guest = unheard.find((each) => each.table === table && each.key === key);
      if (other !== undefined && (known || other.foreign)) {
        found.push({ ...place(table, key, origin), why: other.why, harmless: true });
      } else if (known && guest) {
        found.push({
          ...place(table, key, origin),
          why: guest.why,
          harmless: isOfType(known.type, origin) && isHarmless(known, origin.value),
        });
      } else if (known?.effect === 'ignored') {
        const why = known.why ?? 'it has no effect';
        found.push({
          ...place(table, key, origin),
          why,
          harmless: isOfType(known.type, origin) && isHarmless(known, origin.value),
        });
      }
    }
  }
  return found;
}

/** Kata does not mind unknown keys, so neither do we; but they are told. */
export function unknownKeys(merged: Merged, hypervisor: string): UnknownKey[] {
  const found: UnknownKey[] = [];
  for (const [table, keys] of merged) {
    if (otherHypervisor(table, hypervisor)?.foreign) continue;
    for (const [key, origin] of keys) {
      if (!keyOf(table, key)) {
        const suggestion = found.length < MAX_SUGGESTIONS ? suggestionFor(table, key) : '';
        found.push({ ...place(table, key, origin), suggestion });
      }
      for (const field of unknownFields(table, key, origin)) found.push(field);
    }
  }
  return found;
}

/** A key for a log: where, which, and why or what instead. */
export function tellKey(key: IgnoredKey | UnknownKey): string {
  const about = 'why' in key ? key.why : key.suggestion;
  return `${placeOf(key)}: ${nameOf(key.table, key.key)}${about === '' ? '' : ` (${about})`}`;
}

/** Keys for one line of a log; empty: there are none. */
export function tellKeys(keys: readonly (IgnoredKey | UnknownKey)[]): string {
  const told = keys.slice(0, MAX_TOLD).map(tellKey).join(', ');
  return keys.length <= MAX_TOLD ? told : `${told}, and ${keys.length - MAX_TOLD} more`;
}

function place(table: string, key: string, { file, line }: Origin): SetKey {
  return { table, key, file, line };
}

function otherHypervisor(table: string, hypervisor: string): { why: string; foreign: boolean } | undefined {
  const [first, name = ''] = table.split('.');
  if (first !== 'hypervisor' || name === '' || hypervisor === `hypervisor.${name}`) return undefined;
  const why = `the hypervisor in use is [${hypervisor}]`;
  if (OTHER_HYPERVISORS.includes(name)) return { why, foreign: true };
  return Object.hasOwn(SCHEMA, `hypervisor.${name}`) ? { why, foreign: false } : undefined;
}

/** Compared as the schema writes it, which is TOML with blanks after commas. */
function isHarmless({ default: fallback, go, rs, type }: Key, value: unknown): boolean {
  if (value === '' || value === 0 || (Array.isArray(value) && value.length === 0)) return type !== 'boolean';
  // No default has a table.
  if (type === 'tables') return false;
  const text = tomlOf(value);
  return text === fallback || text === go || text === rs;
}

function tomlOf(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  return Array.isArray(value) ? `[${value.map(tomlOf).join(', ')}]` : JSON.stringify(value);
}

function suggestionFor(table: string, key: string): string {
  const elsewhere = Object.entries(SCHEMA).filter(([, keys]) => Object.hasOwn(keys, key));
  if (!Object.hasOwn(SCHEMA, table)) {
    if (FORMER_TABLES.includes(table)) return `Kata has no table [${table}] any more; remove it`;
    if (Object.hasOwn(SCHEMA, unquoted(table))) return `write [${unquoted(table)}], without quotes`;
    const meant = table === '' ? undefined : nearest(table, Object.keys(SCHEMA));
    if (meant !== undefined) return `did you mean [${meant}]?`;
  }
  const [first] = elsewhere;
  if (first) return `it belongs to [${first[0]}]`;
  const here = Object.hasOwn(SCHEMA, table) ? nearest(key, Object.keys(SCHEMA[table] ?? {})) : undefined;
  if (here !== undefined) return `did you mean ${here}?`;
  for (const [other, keys] of Object.entries(SCHEMA)) {
    const meant = nearest(key, Object.keys(keys));
    if (meant !== undefined) return `did you mean ${meant} of [${other}]?`;
  }
  return '';
}

function unquoted(table: string): string {
  return table.replaceAll('"', '');
}

function unknownFields(table: string, key: string, origin: Origin): UnknownKey[] {
  const fields = keyOf(table, key)?.fields;
  if (!fields || !Array.isArray(origin.value)) return [];
  const names = new Set((origin.value as object[]).flatMap((each) => Object.keys(each)));
  return [...names]
    .filter((name) => !Object.hasOwn(fields, name))
    .map((name) => {
      const meant = nearest(name, Object.keys(fields));
      const suggestion = meant === undefined ? '' : `did you mean ${meant}?`;
      return { ...place(`${table}.${key}`, name, origin), suggestion };
    });
}
