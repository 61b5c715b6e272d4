/** Typed access to what the files say, with messages that name file and key. */
import { KataError } from '../error.ts';
import type { Merged } from './files.ts';
import { isOfType, TYPE_NAMES } from './keys.ts';
import { SCHEMA } from './schema/schema.ts';

/** Tables of the hypervisors there are. */
export const QEMU = 'hypervisor.qemu';
export const REMOTE = 'hypervisor.remote';
export type HypervisorTable = typeof QEMU | typeof REMOTE;
/** Characters of a value that a message quotes. */
const QUOTED = 80;

export class Values {
  /**
   * @param hypervisor table of the hypervisor in use
   * @throws KataError `invalid_argument` for a known key of another type than it has to be
   */
  constructor(
    private readonly merged: Merged,
    readonly hypervisor: HypervisorTable = QEMU,
  ) {
    for (const [table, keys] of Object.entries(SCHEMA)) {
      for (const [key, { type }] of Object.entries(keys)) {
        const origin = merged.get(table)?.get(key);
        if (origin && !isOfType(type, origin.value)) {
          throw this.invalid(table, key, `is ${show(origin.value)}; it must be ${TYPE_NAMES[type]}`);
        }
      }
    }
  }

  /**
   * The same with some keys set otherwise; what another name of such a key says is dropped.
   * @throws KataError `invalid_argument` as the constructor
   */
  overlaid(overrides: Merged): Values {
    const merged: Merged = new Map([...this.merged].map(([table, keys]) => [table, new Map(keys)]));
    for (const [table, keys] of overrides) {
      const all = merged.get(table) ?? new Map();
      merged.set(table, all);
      for (const [key, origin] of keys) {
        const alias = SCHEMA[table]?.[key]?.alias;
        const dot = alias?.lastIndexOf('.') ?? -1;
        if (alias) merged.get(alias.slice(0, dot))?.delete(alias.slice(dot + 1));
        all.set(key, origin);
      }
    }
    return new Values(merged, this.hypervisor);
  }

  string(table: string, key: string, fallback: string): string {
    return (this.get(table, key) as string | undefined) ?? fallback;
  }
  number(table: string, key: string, fallback: number): number {
    return (this.get(table, key) as number | undefined) ?? fallback;
  }
  boolean(table: string, key: string, fallback: boolean): boolean {
    return (this.get(table, key) as boolean | undefined) ?? fallback;
  }
  strings(table: string, key: string): readonly string[] {
    return (this.get(table, key) as string[] | undefined) ?? [];
  }

  /**
   * One of several words; an empty one is the default.
   * @throws KataError `invalid_argument` naming the choices
   */
  choice<T extends string>(table: string, key: string, choices: readonly T[], fallback: T): T {
    const word = this.string(table, key, '');
    if (word === '') return fallback;
    const choice = choices.find((one) => one === word);
    if (choice) return choice;
    throw this.invalid(table, key, `is ${show(word)}; it must be one of ${choices.join(', ')}`);
  }

  /** An absolute path, or nothing. */
  path(table: string, key: string, fallback: string): string {
    const path = this.string(table, key, '') || fallback;
    if (path === '' || path.startsWith('/')) return path;
    throw this.invalid(table, key, `is ${show(path)}; it must be an absolute path`);
  }

  /** Where a key was set, for messages. */
  where(table: string, key: string): string {
    return `${this.merged.get(table)?.get(key)?.file ?? 'the defaults'}: ${table}.${key}`;
  }

  /** The error for a key's value. */
  invalid(table: string, key: string, what: string): KataError {
    return new KataError('invalid_argument', `${this.where(table, key)} ${what}`);
  }

  isSet(table: string, key: string): boolean {
    return this.merged.get(table)?.has(key) ?? false;
  }

  tables(): string[] {
    return [...this.merged.keys()];
  }

  /** Set keys that have no effect. */
  unknown(): string[] {
    const found: string[] = [];
    for (const [table, keys] of this.merged) {
      for (const [key, { file }] of keys) {
        if (SCHEMA[table]?.[key]?.effect !== 'used') found.push(`${table === '' ? '' : `${table}.`}${key} (${file})`);
      }
    }
    return found;
  }

  private get(table: string, key: string): unknown {
    return this.merged.get(table)?.get(key)?.value;
  }
}

/** A value as a message quotes it, bounded. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text;
}
