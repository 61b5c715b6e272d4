/** Typed access to what the files say, with messages that name file and key. */
import { KataError } from '../error.ts';
import { keyProblems } from './check.ts';
import { contradictions } from './contradictions.ts';
import type { Merged, Origin } from './files.ts';
import { keyOf } from './schema/schema.ts';
import { nameOf, placeOf, show } from './show.ts';

export { show } from './show.ts';

/** Tables of the hypervisors there are. */
export const QEMU = 'hypervisor.qemu';
export const REMOTE = 'hypervisor.remote';
export type HypervisorTable = typeof QEMU | typeof REMOTE;

export class Values {
  /**
   * @param hypervisor table of the hypervisor in use
   * @throws KataError `invalid_argument` for known keys with values that they cannot have, and for keys that contradict each other
   */
  constructor(
    readonly merged: Merged,
    readonly hypervisor: HypervisorTable = QEMU,
  ) {
    throwFirst(problemsOf(merged));
  }

  /**
   * The same with some keys set otherwise; what another name of such a key says is dropped.
   * @throws KataError `invalid_argument` as the constructor
   */
  overlaid(overrides: Merged): Values {
    const merged: Merged = new Map([...this.merged].map(([table, keys]) => [table, new Map(keys)]));
    for (const [table, keys] of overrides) {
      const all = merged.get(table) ?? new Map<string, Origin>();
      merged.set(table, all);
      for (const [key, origin] of keys) {
        const alias = keyOf(table, key)?.alias;
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
    const value = this.get(table, key) as number | bigint | undefined;
    return value === undefined ? fallback : Number(value);
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
    const origin = this.merged.get(table)?.get(key);
    return `${origin ? placeOf(origin) : 'the defaults'}: ${nameOf(table, key)}`;
  }

  /** The error for a key's value. */
  invalid(table: string, key: string, what: string): KataError {
    return new KataError('invalid_argument', `${this.where(table, key)} ${what}`);
  }

  isSet(table: string, key: string): boolean {
    return this.merged.get(table)?.has(key) ?? false;
  }

  private get(table: string, key: string): unknown {
    return this.merged.get(table)?.get(key)?.value;
  }
}

/** What is wrong with what is set, before anything is made of it. */
export function problemsOf(merged: Merged): KataError[] {
  const problems = keyProblems(merged);
  // What has the wrong type cannot be compared.
  return problems.length > 0 ? problems : contradictions(merged);
}

/** Throws the first of some errors, which tells how many there are. */
export function throwFirst(errors: readonly KataError[]): void {
  const [first, ...more] = errors;
  if (!first) return;
  if (more.length === 0) throw first;
  const others = more.length === 1 ? 'one more mistake' : `${more.length} more mistakes`;
  throw new KataError(first.code, `${first.message} (and ${others}; \`kata-runtime env\` lists them all)`);
}
