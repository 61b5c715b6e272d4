/** Whether the known keys of a configuration have values of theirs, and whether they agree. */
import { KataError } from '../error.ts';
import { adviceFor, choiceAdvice } from './advice.ts';
import type { Merged, Origin } from './files.ts';
import { isOfType, typeName } from './keys.ts';
import { type Key, keyOf, SCHEMA, type ValueType } from './schema/schema.ts';
import { nameOf, placeOf, show } from './show.ts';

/** Most problems that are told at once. */
export const MAX_PROBLEMS = 100;

/**
 * Every known key with a value that it cannot have, whether or not the key has an effect.
 * @returns `invalid_argument` each, naming file, line, key, what it is, what it has to be, and what to write
 */
export function keyProblems(merged: Merged): KataError[] {
  const problems: KataError[] = [];
  for (const [table, keys] of merged) {
    const clash = clashOf(merged, table);
    if (clash) problems.push(clash);
    for (const [name, origin] of keys) {
      const key = keyOf(table, name);
      const what = key ? problemOf(name, key, origin) : tableProblem(nameOf(table, name), origin);
      if (what) problems.push(problem(nameOf(table, name), origin, what));
      if (problems.length >= MAX_PROBLEMS) return problems;
    }
  }
  return problems;
}

function problem(name: string, origin: Origin, what: string): KataError {
  return new KataError('invalid_argument', `${placeOf(origin)}: ${name} ${what}`);
}

/** @returns what is wrong with a value, after `key `; undefined: nothing */
function problemOf(name: string, key: Key, origin: Origin): string | undefined {
  const { value } = origin;
  if (!isOfType(key.type, origin)) {
    return advised(`is ${shown(origin)}; it must be ${typeName(key)}`, adviceFor(name, key, value));
  }
  if (key.choices) return choiceProblem(name, key.choices, value);
  if (key.path && value !== '' && !(value as string).startsWith('/')) {
    return `is ${show(value)}; it must be an absolute path`;
  }
  if (key.range) return rangeProblem(key.range, key.unit, value as number | bigint);
  return key.fields ? fieldProblem(key.fields, value as Readonly<Record<string, unknown>>[]) : undefined;
}

function choiceProblem(name: string, choices: readonly string[], value: unknown): string | undefined {
  const words = Array.isArray(value) ? (value as string[]) : [value as string];
  const wrong = words.find((word) => word !== '' && !choices.includes(word));
  if (wrong === undefined) return undefined;
  const verb = Array.isArray(value) ? 'has' : 'is';
  const advice = Array.isArray(value) ? '' : choiceAdvice(name, choices, wrong);
  return advised(`${verb} ${show(wrong)}; it must be one of ${choices.join(', ')}`, advice);
}

function rangeProblem(range: readonly [number, number], unit = '', value: number | bigint): string | undefined {
  const [least, most] = range;
  if (value >= least && value <= most) return undefined;
  return `is ${value}; it must be from ${least} to ${most}${unit === '' ? '' : ` (${unit})`}`;
}

function fieldProblem(
  fields: Readonly<Record<string, ValueType>>,
  tables: readonly Readonly<Record<string, unknown>>[],
): string | undefined {
  for (const [index, table] of tables.entries()) {
    for (const [name, type] of Object.entries(fields)) {
      if (!Object.hasOwn(table, name) || isOfType(type, { value: table[name] })) continue;
      return `has ${name} = ${show(table[name])} in its table ${index + 1}; it must be ${typeName({ type })}`;
    }
  }
  return undefined;
}

/** A table of the name of a key, as `[hypervisor.qemu.kernel]`. */
function clashOf(merged: Merged, table: string): KataError | undefined {
  const dot = table.lastIndexOf('.');
  const key = keyOf(table.slice(0, Math.max(dot, 0)), table.slice(dot + 1));
  const [inside] = merged.get(table)?.values() ?? [];
  if (!key || !inside) return undefined;
  const advice = key.type === 'tables' ? `; write [[${table}]]` : '';
  return problem(table, inside, `is a table; it must be ${typeName(key)}${advice}`);
}

/** A key of the name of a table, as `runtime = 5`. */
function tableProblem(name: string, origin: Origin): string | undefined {
  const isName = Object.keys(SCHEMA).some((table) => table === name || table.startsWith(`${name}.`));
  return isName ? `is ${shown(origin)}; it must be a table: write [${name}]` : undefined;
}

/** A float shows that it is one. */
function shown({ value, float }: Origin): string {
  return float && Number.isInteger(value) ? `${String(value)}.0` : show(value);
}

function advised(what: string, advice: string): string {
  return advice === '' ? what : `${what}; ${advice}`;
}
