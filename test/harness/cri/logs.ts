/** Container logs as the CRI has them: `TIME STREAM TAGS TEXT` a line; tag P: the line goes on, F: it is full. */
import { readFileSync } from 'node:fs';

export interface LogLine {
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  readonly full: boolean;
  readonly text: string;
}

/**
 * All lines of a log file.
 * @throws Error for a line of another form
 */
export function readLog(path: string): LogLine[] {
  const lines = readFileSync(path, 'latin1').split('\n');
  if (lines.pop() !== '') throw new Error(`${path} does not end with a newline`);
  return lines.map(parse);
}

/** The bytes that were written to a stream, as latin1: a full line ends with a newline, a partial one does not. */
export function logged(lines: readonly LogLine[], stream: LogLine['stream']): string {
  const own = lines.filter((line) => line.stream === stream);
  return own.map(({ text, full }) => (full ? `${text}\n` : text)).join('');
}

function parse(line: string): LogLine {
  const match = /^(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([PF])(?: (.*))?$/s.exec(line);
  if (match === null) throw new Error(`not a line of a container's log: ${JSON.stringify(line.slice(0, 200))}`);
  const [, time = '', stream, tag, text = ''] = match;
  return { time, stream: stream as LogLine['stream'], full: tag === 'F', text };
}
