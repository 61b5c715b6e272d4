/** Values and places as messages quote them. */

/** Characters of a value that a message quotes. */
const QUOTED = 80;

/** A value as a message quotes it, bounded. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value, plain) ?? String(value));
  return text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text;
}

/** Where something was set: `file:line`, or whatever set it. */
export function placeOf({ file, line }: { readonly file: string; readonly line?: number | undefined }): string {
  return line === undefined ? file : `${file}:${line}`;
}

/** The full name of a key. */
export function nameOf(table: string, key: string): string {
  return table === '' ? key : `${table}.${key}`;
}

/** A bigint, of which JSON knows nothing. */
function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
