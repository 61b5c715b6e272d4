/** The monitor's log: a line each on stderr, where systemd and Kubernetes read it. */
import { LOG_LEVELS, type LogLevel } from './flags.ts';

/** Longest text of a field, characters. */
export const MAX_FIELD_LENGTH = 1024;

export type LogFields = Readonly<Record<string, string | number | boolean>>;

export class MonitorLog {
  readonly #least: number;

  /** @param write takes a line with its newline */
  constructor(
    level: LogLevel,
    private readonly write: (line: string) => void = (line) => void process.stderr.write(line),
  ) {
    this.#least = LOG_LEVELS.indexOf(level);
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#line('debug', message, fields);
  }

  info(message: string, fields: LogFields = {}): void {
    this.#line('info', message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#line('warn', message, fields);
  }

  #line(level: LogLevel, message: string, fields: LogFields): void {
    if (LOG_LEVELS.indexOf(level) < this.#least) return;
    const time = new Date().toISOString();
    const all = { time, level, msg: message, name: 'kata-monitor', pid: process.pid, ...fields };
    this.write(
      `${Object.entries(all)
        .map(([key, value]) => `${key}=${valueText(value)}`)
        .join(' ')}\n`,
    );
  }
}

function valueText(value: string | number | boolean): string {
  const text = String(value).slice(0, MAX_FIELD_LENGTH);
  return /^[A-Za-z0-9_./:@+-]+$/.test(text) ? text : JSON.stringify(text);
}
