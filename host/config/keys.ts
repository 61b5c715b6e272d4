/** What a value has to be: its type, in words and as a test. */
import type { Origin } from './files.ts';
import type { Key, ValueType } from './schema/schema.ts';
import { isTable } from './toml/read.ts';

const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  string: 'a string',
  boolean: 'true or false',
  unsigned: 'a whole number, 0 or more',
  integer: 'a whole number',
  number: 'a number',
  strings: 'a list of strings',
  tables: 'a list of tables',
};

/** What the values of a key have to be, in words. */
export function typeName({ type, unit }: Pick<Key, 'type' | 'unit'>): string {
  return unit === undefined ? TYPE_NAMES[type] : `${TYPE_NAMES[type]} (${unit})`;
}

/** Whether a value is of a type. Numbers beyond 2^53 are bigint; `2.0` is no whole number. */
export function isOfType(type: ValueType, { value, float = false }: Pick<Origin, 'value' | 'float'>): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string' && !value.includes('\0');
    case 'boolean':
      return typeof value === 'boolean';
    case 'unsigned':
      return isWhole(value) && !float && (value as number | bigint) >= 0;
    case 'integer':
      return isWhole(value) && !float;
    case 'number':
      return typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value));
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && !item.includes('\0'));
    case 'tables':
      return Array.isArray(value) && value.every(isTable);
  }
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) || typeof value === 'bigint';
}
