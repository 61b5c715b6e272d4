/** Log lines for containerd: logfmt on the fifo `<bundle>/log`, never blocking, never growing. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { Fields, Log } from '../sandbox/log.ts';

/** Longest line, bytes: what a pipe takes in one piece (PIPE_BUF). */
export const MAX_LINE_BYTES = 4096;
/** Longest single value, characters. */
export const MAX_VALUE_LENGTH = 2048;

export type Level = 'debug' | 'info' | 'warning' | 'error';
/**
 * Logs to a fifo. Lines that find no reader, or a full pipe, are dropped and counted; the next line that gets through
 * says how many.
 */
export class FifoLog implements Log {
  private fd = -1;
  private dropped = 0;

  /**
   * @param path the fifo; opened when the first line is written, and again after its reader went away
   * @param common fields of every line
   */
  constructor(
    private readonly path: string,
    private readonly verbose: boolean,
    private readonly common: Fields,
  ) {}

  debug(message: string, fields?: Fields): void {
    if (this.verbose) this.write('debug', message, fields);
  }
  info(message: string, fields?: Fields): void {
    this.write('info', message, fields);
  }
  warn(message: string, fields?: Fields): void {
    this.write('warning', message, fields);
  }
  error(message: string, fields?: Fields): void {
    this.write('error', message, fields);
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  private write(level: Level, message: string, fields: Fields = {}): void {
    const lost: Fields = this.dropped > 0 ? { dropped_lines: this.dropped } : {};
    const line = formatLine(new Date(), level, message, { ...fields, ...this.common, ...lost });
    try {
      if (this.fd < 0) this.fd = openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
      writeSync(this.fd, line);
      this.dropped = 0;
    } catch (thrown) {
      this.dropped++;
      // EAGAIN: the pipe is full. Anything else: the reader is gone, and may come back with a new one.
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') this.close();
    }
  }
}

/** One line of logfmt with its end, at most MAX_LINE_BYTES. */
export function formatLine(time: Date, level: Level, message: string, fields: Fields): string {
  let line = `time="${time.toISOString()}" level=${level} msg=${quote(message)}`;
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${key}=${typeof value === 'string' ? quote(value) : value}`;
  }
  if (Buffer.byteLength(line) >= MAX_LINE_BYTES) {
    line = `${Buffer.from(line)
      .subarray(0, MAX_LINE_BYTES - 8)
      .toString()
      .replace(/\ufffd$/, '')}…"`;
  }
  return `${line}\n`;
}

/** Quoted unless plain; control characters escaped, so that what a guest wrote cannot steer a terminal. */
function quote(value: string): string {
  if (/^[A-Za-z0-9._/@^+:-]+$/.test(value) && value.length <= MAX_VALUE_LENGTH) return value;
  const cut = value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}…` : value;
  // JSON escapes below 0x20; DEL and the C1 controls are left to us.
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Logs to stderr, where `delete` may. */
export class StderrLog implements Log {
  debug(): void {}
  info(): void {}
  warn(message: string, fields: Fields = {}): void {
    process.stderr.write(formatLine(new Date(), 'warning', message, fields));
  }
  error(message: string, fields: Fields = {}): void {
    process.stderr.write(formatLine(new Date(), 'error', message, fields));
  }
}
