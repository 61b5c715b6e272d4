/** Where a machine reports what it does, and what QEMU itself says, within bounds. */
import { escapeText } from '../../tail.ts';

type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Never throws, never waits. */
export interface QemuLog {
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

/** Most lines of one QEMU that are logged: with enable_debug a guest can have it write as many as it likes. */
export const MAX_LOGGED_LINES = 200;
/** Longest line that is logged, bytes; the rest is left out. */
export const MAX_LOGGED_BYTES = 1024;

export const SILENT: QemuLog = { warn: () => {}, error: () => {} };

/** Lines of a stream to the log. */
export class WordsLog {
  readonly #log: QemuLog;
  #partial = Buffer.alloc(0);
  #lines = 0;

  constructor(log: QemuLog) {
    this.#log = log;
  }

  push(chunk: Buffer): void {
    if (this.#lines > MAX_LOGGED_LINES) return;
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.#keep(rest.subarray(0, end));
      this.#tell();
      rest = rest.subarray(end + 1);
    }
    this.#keep(rest);
  }

  #keep(bytes: Buffer): void {
    const room = MAX_LOGGED_BYTES - this.#partial.length;
    if (room > 0 && bytes.length > 0) this.#partial = Buffer.concat([this.#partial, bytes.subarray(0, room)]);
  }

  #tell(): void {
    const text = escapeText(this.#partial.toString('utf8')).trim();
    this.#partial = Buffer.alloc(0);
    if (text === '' || this.#lines > MAX_LOGGED_LINES) return;
    this.#lines++;
    if (this.#lines <= MAX_LOGGED_LINES) this.#log.warn('QEMU says', { text });
    else this.#log.warn('QEMU says more than is logged', { lines: MAX_LOGGED_LINES });
  }
}
