/** What the shim has told containerd's log: lines of `key=value`, values quoted as JSON where they need it. */

/** The fields of the last line whose `msg` is `message`; undefined: there is none. */
export function lastLine(log: string, message: string): Readonly<Record<string, string>> | undefined {
  const lines = log.split('\n').map(fieldsOf);
  return lines.findLast((fields) => fields.msg === message);
}

/** Milliseconds since the shim's start, by moment, of the last sandbox that ended. */
export function timeline(log: string): [moment: string, ms: number][] {
  const fields = lastLine(log, 'timeline') ?? {};
  return Object.entries(fields)
    .filter(([key, value]) => /_|^create$|^exit$/.test(key) && /^\d+(\.\d+)?$/.test(value))
    .map(([key, value]) => [key, Number(value)]);
}

function fieldsOf(line: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [, key = '', value = ''] of line.matchAll(/(?:^| )([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)/g)) {
    fields[key] = value.startsWith('"') ? unquote(value) : value;
  }
  return fields;
}

function unquote(value: string): string {
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
