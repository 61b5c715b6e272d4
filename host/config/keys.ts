/** What a value has to be: its type, in words and as a test. */
import type { ValueType } from './schema/schema.ts';

/** What a value has to be, in words. */
export const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  string: 'a string',
  boolean: 'true or false',
  unsigned: 'a whole number, 0 or more',
  integer: 'a whole number',
  number: 'a number',
  strings: 'a list of strings',
  tables: 'a list of tables',
};

/** Whether a parsed TOML value is of a type. Numbers beyond 2^53 come as bigint. */
export function isOfType(type: ValueType, value: unknown): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string' && !value.includes('\0');
    case 'boolean':
      return typeof value === 'boolean';
    case 'unsigned':
      return isWhole(value) && (value as number | bigint) >= 0;
    case 'integer':
      return isWhole(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && !item.includes('\0'));
    case 'tables':
      return Array.isArray(value) && value.every(isTable);
  }
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) || typeof value === 'bigint';
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
