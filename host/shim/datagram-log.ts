/** The log as datagrams: to the journal in its own protocol, to syslog as RFC 3164 has it. Loaded when configured. */
import { closeSync } from 'node:fs';
import { native } from '../native.ts';
import type { Fields } from '../sandbox/log.ts';
import { formatMessage, type Level, type LogRecord, type LogTarget, MAX_VALUE_LENGTH } from './log.ts';

/** https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ */
export const JOURNAL_SOCKET = '/run/systemd/journal/socket';
export const SYSLOG_SOCKET = '/dev/log';
/** What `journalctl -t` finds the messages by. */
export const IDENTIFIER = 'kata';
/** How long nothing is tried where nobody was there, ms. */
export const RETRY_MS = 10_000;
/** Longest name of a field of the journal's, characters. */
const MAX_NAME_LENGTH = 64;

/** Of RFC 5424. */
const SEVERITIES: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 6, debug: 7 };
/** `daemon`. */
const FACILITY = 3;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Messages that could not be sent are counted; the next one that can says how many. */
export class DatagramLog implements LogTarget {
  readonly #path: string;
  readonly #encode: (record: LogRecord) => Uint8Array;
  readonly #now: () => number;
  #fd = -1;
  #dropped = 0;
  #notBefore = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds, monotonic */
  constructor(path: string, encode: (record: LogRecord) => Uint8Array, now: () => number = () => performance.now()) {
    this.#path = path;
    this.#encode = encode;
    this.#now = now;
  }

  write(record: LogRecord): void {
    if (this.#now() < this.#notBefore) {
      this.#dropped++;
      return;
    }
    const lost: Fields = this.#dropped > 0 ? { dropped_lines: this.#dropped } : {};
    try {
      const { datagramSocket, sendDatagram } = native();
      if (this.#fd < 0) this.#fd = datagramSocket();
      sendDatagram(this.#fd, this.#path, this.#encode({ ...record, fields: { ...record.fields, ...lost } }));
      this.#dropped = 0;
    } catch (thrown) {
      this.#dropped++;
      // EAGAIN: it does not keep up, and may in a moment. Anything else: it is not there, or is none of its kind.
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') this.#notBefore = this.#now() + RETRY_MS;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

export function journalLog(path: string = JOURNAL_SOCKET, now?: () => number): LogTarget {
  return new DatagramLog(path, journalEntry, now);
}

export function syslogLog(path: string = SYSLOG_SOCKET, now?: () => number): LogTarget {
  return new DatagramLog(path, syslogLine, now);
}

/** `NAME=value` lines; a value with a line feed by its length: name, line feed, 64-bit little-endian length, value. */
export function journalEntry({ level, message, fields }: LogRecord): Uint8Array {
  const parts = [
    item('MESSAGE', formatMessage(message, fields)),
    item('PRIORITY', String(SEVERITIES[level])),
    item('SYSLOG_IDENTIFIER', IDENTIFIER),
  ];
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = String(value);
    parts.push(item(nameOf(key), text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text));
  }
  return Buffer.concat(parts);
}

/** `<PRI>Mmm dd hh:mm:ss TAG[PID]: MESSAGE`, without a host name, as every C library writes to its own machine's syslog. */
export function syslogLine({ time, level, message, fields }: LogRecord): Uint8Array {
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = String(time.getDate()).padStart(2, ' ');
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const head = `<${FACILITY * 8 + SEVERITIES[level]}>${MONTHS[time.getMonth()]} ${day} ${clock}`;
  return Buffer.from(`${head} ${IDENTIFIER}[${process.pid}]: ${formatMessage(message, fields)}`);
}

function item(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  if (!bytes.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), bytes, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/** `KATA_SANDBOX` of `sandbox`. */
function nameOf(key: string): string {
  return `KATA_${key.toUpperCase().replace(/[^A-Z0-9_]/g, '_')}`.slice(0, MAX_NAME_LENGTH);
}
