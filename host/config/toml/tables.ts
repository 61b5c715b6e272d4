/** A TOML text as tables of keys, each with its line. */

/** Deepest nesting of tables and lists that is taken. */
export const MAX_DEPTH = 32;

/** A value and where it stands. */
export interface Entry {
  readonly value: unknown;
  /** From 1. */
  readonly line: number;
  /** Whether a number was written as a float, which `2.0` is and its value does not tell. */
  readonly float: boolean;
}

/** By name of table (`hypervisor.qemu`; empty: outside of any), then key. */
export type Tables = Map<string, Map<string, Entry>>;

/** A part of a name as TOML writes it: quoted where it has to be. */
export function part(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

/** The name of a key or table in a table. */
export function within(table: string, key: string): string {
  return table === '' ? part(key) : `${table}.${part(key)}`;
}
