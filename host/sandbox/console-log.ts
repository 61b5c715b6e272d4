/**
 * Lines of the guest's console for the shim's log. The guest writes what it likes, as fast as it likes: lines are escaped by
 * the log, cut, and let through at a bounded rate; how many were not is told once a flood is over.
 */
import { StringDecoder } from 'node:string_decoder';
import type { Log } from './log.ts';

/** Longest line that is logged, characters. */
export const MAX_LINE_LENGTH = 1024;
/** Lines, and bytes, that are logged a second over time… */
export const LINES_PER_S = 100;
export const BYTES_PER_S = 32 * 1024;
/** …and at once, after silence: a kernel that boots in detail says some hundred lines. */
export const BURST_LINES = 1000;
export const BURST_BYTES = 128 * 1024;
/** How long nothing is dropped until what was is told, ms. */
const TOLD_AFTER_MS = 1000;
/** How long a line without an end waits for it, ms: a prompt. */
const UNFINISHED_MS = 2000;
/** Escape sequences by which consoles colour and move; what remains of one that is broken is escaped by the log. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const SEQUENCES = /\x1b(?:\[[0-9;?]{0,32}[A-Za-z]|[()][A-Za-z0-9]|[=>78cDEHM])/g;

export class ConsoleLog {
  readonly #log: Log;
  readonly #source: string;
  readonly #now: () => number;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';
  /** The rest of a line that was cut already. */
  #skipping = false;
  #lines = BURST_LINES;
  #bytes = BURST_BYTES;
  #refilled: number;
  #droppedLines = 0;
  #droppedBytes = 0;
  #tell: NodeJS.Timeout | undefined;
  #flush: NodeJS.Timeout | undefined;

  /**
   * @param source whose lines: `console`, `agent`
   * @param now milliseconds, monotonic
   */
  constructor(log: Log, source = 'console', now: () => number = () => performance.now()) {
    this.#log = log;
    this.#source = source;
    this.#now = now;
    this.#refilled = now();
  }

  /** Takes what the guest has written; an empty piece is its end. Never throws, never waits. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) {
      this.#close();
      return;
    }
    this.#refill();
    // In a flood nothing is looked at that would be dropped anyway.
    if (this.#lines < 1 || this.#bytes < 1) {
      this.#drop(chunk);
      return;
    }
    const text = this.#decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.#append(text.slice(from, Math.min(end, from + 2 * MAX_LINE_LENGTH)));
      this.#finish();
      from = end + 1;
    }
    this.#append(text.slice(from, from + 2 * MAX_LINE_LENGTH));
    this.#awaitRest();
  }

  #append(text: string): void {
    if (this.#skipping) return;
    this.#line += text;
    if (this.#line.length <= 2 * MAX_LINE_LENGTH) return;
    // Twice as long: escape sequences are taken out before it is cut.
    this.#write(this.#line);
    this.#line = '';
    this.#skipping = true;
  }

  #finish(): void {
    if (!this.#skipping) this.#write(this.#line);
    this.#line = '';
    this.#skipping = false;
  }

  #write(raw: string): void {
    const line = raw.replace(SEQUENCES, '').replaceAll('\r', '');
    if (line.trim() === '') return;
    if (this.#lines < 1 || this.#bytes < 1) {
      this.#droppedLines += 1;
      this.#droppedBytes += line.length;
      this.#tellLater();
      return;
    }
    const shown = line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH)}…` : line;
    this.#lines -= 1;
    this.#bytes -= shown.length;
    this.#log.info('guest console', { source: this.#source, vmconsole: shown });
  }

  #drop(chunk: Uint8Array): void {
    for (const byte of chunk) if (byte === 0x0a) this.#droppedLines += 1;
    this.#droppedBytes += chunk.length;
    // What it began is lost with the rest.
    this.#line = '';
    this.#skipping = chunk[chunk.length - 1] !== 0x0a;
    this.#tellLater();
  }

  #refill(): void {
    const now = this.#now();
    const seconds = Math.max(0, now - this.#refilled) / 1000;
    this.#refilled = now;
    this.#lines = Math.min(BURST_LINES, this.#lines + seconds * LINES_PER_S);
    this.#bytes = Math.min(BURST_BYTES, this.#bytes + seconds * BYTES_PER_S);
  }

  #tellLater(): void {
    clearTimeout(this.#tell);
    this.#tell = setTimeout(() => this.#told(), TOLD_AFTER_MS).unref();
  }

  #told(): void {
    clearTimeout(this.#tell);
    if (this.#droppedBytes === 0) return;
    this.#log.warn('the guest writes faster to its console than is logged', {
      source: this.#source,
      dropped_lines: this.#droppedLines,
      dropped_bytes: this.#droppedBytes,
    });
    this.#droppedLines = 0;
    this.#droppedBytes = 0;
  }

  /** Logs what is there, and what was dropped. */
  #close(): void {
    this.#finish();
    this.#told();
    clearTimeout(this.#flush);
  }

  #awaitRest(): void {
    clearTimeout(this.#flush);
    if (this.#line === '') return;
    this.#flush = setTimeout(() => this.#finish(), UNFINISHED_MS).unref();
  }
}
