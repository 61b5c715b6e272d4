/** A configuration as an operator looks at it: what is set where, what of it has an effect, and all that is wrong with it. */
import { KataError, reasonOf } from '../error.ts';
import { type Configuration, interpret, obstacles } from './configuration.ts';
import { type IgnoredKey, ignoredKeys, type UnknownKey, unknownKeys } from './effects.ts';
import { dropInsOf, findFile, type Lookup, type Merged, readMerged } from './files.ts';
import { hypervisorTable } from './hypervisor-table.ts';
import type { Machine } from './machine.ts';
import { refusalsOf } from './refusals.ts';
import { problemsOf, QEMU, Values } from './values.ts';

export interface InspectedValue {
  readonly table: string;
  readonly key: string;
  /** As TOML has it; whole numbers beyond 2^53 as text. */
  readonly value: unknown;
  readonly file: string;
  /** From 1. */
  readonly line: number | undefined;
}

export interface Inspection {
  /** Resolved; undefined: there is none, the defaults hold. */
  readonly file: string | undefined;
  readonly dropIns: readonly string[];
  /** What is set, drop-ins applied. */
  readonly values: readonly InspectedValue[];
  readonly ignored: readonly IgnoredKey[];
  readonly unknown: readonly UnknownKey[];
  /** What is done otherwise than the files say. */
  readonly notes: readonly string[];
  /**
   * All that is wrong: `invalid_argument`, `not_found` and `permission_denied` with the files; `unimplemented` with what they
   * ask for; `failed_precondition` with what this machine lacks. With one of them no sandbox is made.
   */
  readonly errors: readonly KataError[];
  /** undefined: the files are wrong. */
  readonly configuration?: Configuration;
}

/** Never throws for what a file says, or for one that is not there. */
export async function inspectConfiguration(lookup: Lookup, machine: Machine): Promise<Inspection> {
  const errors: KataError[] = [];
  const failed = (thrown: unknown): undefined => {
    errors.push(thrown instanceof KataError ? thrown : new KataError('internal', reasonOf(thrown), { cause: thrown }));
  };
  const file = attempt(() => findFile(lookup), failed);
  const dropIns = file === undefined ? [] : (attempt(() => dropInsOf(file), failed) ?? []);
  const merged = await readMerged(file === undefined ? [] : [file, ...dropIns], failed);
  const problems = problemsOf(merged);
  errors.push(...problems);
  const hypervisor = attempt(() => hypervisorTable(merged, file), problems.length > 0 ? () => undefined : failed);
  const found = {
    file,
    dropIns,
    values: valuesOf(merged),
    ignored: ignoredKeys(merged, hypervisor ?? QEMU),
    unknown: unknownKeys(merged, hypervisor ?? QEMU),
  };
  const read = (): Configuration => interpret(new Values(merged, hypervisor), file, machine);
  const configuration = errors.length === 0 ? attempt(read, failed) : undefined;
  if (!configuration) return { ...found, notes: [], errors: [...errors, ...refusalsOf(merged, hypervisor ?? QEMU)] };
  errors.push(...obstacles(configuration));
  return { ...found, ignored: configuration.ignored, notes: configuration.notes, errors, configuration };
}

function attempt<T>(work: () => T, failed: (thrown: unknown) => undefined): T | undefined {
  try {
    return work();
  } catch (thrown) {
    return failed(thrown);
  }
}

function valuesOf(merged: Merged): InspectedValue[] {
  return [...merged].flatMap(([table, keys]) =>
    [...keys].map(([key, { value, file, line }]) => ({
      ...{ table, key, file, line },
      value: typeof value === 'bigint' ? String(value) : value,
    })),
  );
}
