/**
 * Settings without which a pod must not run, and which we do not have. A file with one is read and checked like any other; no
 * sandbox is made of it.
 */
import { KataError } from '../error.ts';
import type { Merged } from './files.ts';
import { keyOf } from './schema/schema.ts';
import { nameOf, placeOf, show } from './show.ts';

/**
 * @param hypervisor table of the hypervisor in use; those of others do not count
 * @returns `unimplemented` each, naming file, line and key
 */
export function refusalsOf(merged: Merged, hypervisor: string): KataError[] {
  const found: KataError[] = [];
  for (const [table, keys] of merged) {
    if (table.startsWith('hypervisor.') && table !== hypervisor) continue;
    for (const [name, origin] of keys) {
      const key = keyOf(table, name);
      if (key?.refused === undefined || !asksFor(origin.value, key.refusedValues)) continue;
      const full = nameOf(table, name);
      found.push(
        new KataError(
          'unimplemented',
          `${placeOf(origin)}: ${full} is ${show(origin.value)}: ${key.refused}; no sandbox is made with this configuration`,
        ),
      );
    }
  }
  return found;
}

function asksFor(value: unknown, values: readonly string[] | undefined): boolean {
  if (values) return typeof value === 'string' && values.includes(value);
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}
