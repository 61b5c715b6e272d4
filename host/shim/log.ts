/** The shim's log: logfmt for containerd on the fifo `<bundle>/log`, and wherever else it is configured to go. */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { Fields, Log } from '../sandbox/log.ts';

/** Longest line, bytes: what a pipe takes in one piece (PIPE_BUF). */
export const MAX_LINE_BYTES = 4096;
/** Longest single value, characters. */
export const MAX_VALUE_LENGTH = 2048;

/** From the least important on. */
const LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** One message. */
export interface LogRecord {
  readonly time: Date;
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
}

/** A place that messages go to besides the fifo. Never throws, never waits. */
export interface LogTarget {
  write(record: LogRecord): void;
  close(): void;
}

export interface LogSettings {
  readonly level: Level;
  /** Whether containerd gets it. */
  readonly fifo: boolean;
  readonly others: readonly LogTarget[];
}

/**
 * Logs to a fifo. Lines that find no reader, or a full pipe, are dropped and counted; the next line that gets through
 * says how many.
 */
export class FifoLog implements Log {
  private fd = -1;
  private dropped = 0;
  private least: number;
  private fifo = true;
  private others: readonly LogTarget[] = [];

  /**
   * @param path the fifo; opened when the first line is written, and again after its reader went away
   * @param verbose whether everything is logged, whatever is configured
   * @param common fields of every line
   */
  constructor(
    private readonly path: string,
    private readonly verbose: boolean,
    private readonly common: Fields,
  ) {
    this.least = LEVELS.indexOf(verbose ? 'debug' : 'info');
  }

  /** Whether debug() writes anything. */
  get detailed(): boolean {
    return this.least === 0;
  }

  /** What the configuration says, from now on. */
  configure({ level, fifo, others }: LogSettings): void {
    this.least = LEVELS.indexOf(this.verbose ? 'debug' : level);
    this.fifo = fifo;
    this.others = others;
  }

  debug(message: string, fields?: Fields): void {
    this.write('debug', message, fields);
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
    this.closeFifo();
    for (const target of this.others) target.close();
  }

  private write(level: Level, message: string, fields: Fields = {}): void {
    if (LEVELS.indexOf(level) < this.least) return;
    const record = { time: new Date(), level, message, fields: { ...fields, ...this.common } };
    if (this.fifo) this.writeFifo(record);
    for (const target of this.others) target.write(record);
  }

  private writeFifo({ time, level, message, fields }: LogRecord): void {
    const lost: Fields = this.dropped > 0 ? { dropped_lines: this.dropped } : {};
    const line = formatLine(time, level, message, { ...fields, ...lost });
    try {
      if (this.fd < 0) this.fd = openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
      writeSync(this.fd, line);
      this.dropped = 0;
    } catch (thrown) {
      this.dropped++;
      // EAGAIN: the pipe is full. Anything else: the reader is gone, and may come back with a new one.
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') this.closeFifo();
    }
  }

  private closeFifo(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

/** One line of logfmt with its end, at most MAX_LINE_BYTES. */
export function formatLine(time: Date, level: Level, message: string, fields: Fields): string {
  return `${bounded(`time="${time.toISOString()}" level=${level} msg=${quote(message)}${formatFields(fields)}`)}\n`;
}

/** For a log that keeps time and level by itself: the message as it is read, its fields behind it. No line feed. */
export function formatMessage(message: string, fields: Fields): string {
  const plain = quote(message);
  return bounded(`${plain.startsWith('"') ? plain.slice(1, -1).replaceAll('\\"', '"') : plain}${formatFields(fields)}`);
}

function formatFields(fields: Fields): string {
  let text = '';
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) text += ` ${key}=${typeof value === 'string' ? quote(value) : value}`;
  }
  return text;
}

function bounded(line: string): string {
  if (Buffer.byteLength(line) < MAX_LINE_BYTES) return line;
  const cut = Buffer.from(line).subarray(0, MAX_LINE_BYTES - 8);
  return `${cut.toString().replace(/\ufffd$/, '')}…"`;
}

/** Quoted unless plain; control characters escaped, so that what a guest wrote cannot steer a terminal. */
function quote(value: string): string {
  if (/^[A-Za-z0-9._/@^+:-]+$/.test(value) && value.length <= MAX_VALUE_LENGTH) return value;
  const cut = value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}…` : value;
  // JSON escapes below 0x20; DEL, the C1 controls and characters that turn the reading direction are left to us.
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
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
