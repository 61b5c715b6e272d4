/** The last bytes of text that somebody else wrote: bounded, and safe to print. */

/** Bytes kept, unless told otherwise. */
export const TAIL_BYTES = 8 * 1024;

/** Control and format characters (bidirectional overrides among them), but neither line feed nor tab. */
const UNPRINTABLE = /[^\P{C}\n\t]/gu;

/** Keeps the end of a stream. */
export class Tail {
  /** Made when there is something to keep. */
  #ring: Buffer | undefined;
  /** Where the next byte goes. */
  #at = 0;
  #full = false;
  readonly #limit: number;

  /** @param limit bytes kept, and the most that `text` returns */
  constructor(limit: number = TAIL_BYTES) {
    this.#limit = limit;
  }

  push(chunk: Uint8Array): void {
    this.#ring ??= Buffer.allocUnsafe(this.#limit);
    const kept = chunk.subarray(Math.max(0, chunk.length - this.#limit));
    const first = kept.subarray(0, this.#limit - this.#at);
    this.#ring.set(first, this.#at);
    this.#ring.set(kept.subarray(first.length), 0);
    const end = this.#at + kept.length;
    this.#full ||= end >= this.#limit;
    this.#at = end % this.#limit;
  }

  /** What is kept, with carriage returns dropped, other unprintable characters as `\x1b`, cut at the front to the limit. */
  text(): string {
    const escaped = escapeText(this.#bytes().toString('utf8'));
    const bytes = Buffer.from(escaped, 'utf8');
    if (bytes.length <= this.#limit) return escaped;
    let from = bytes.length - this.#limit;
    // Not into the middle of a character: continuation bytes are 10xxxxxx.
    while (((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
    return bytes.toString('utf8', from);
  }

  #bytes(): Buffer {
    const ring = this.#ring ?? Buffer.alloc(0);
    if (!this.#full) return ring.subarray(0, this.#at);
    return Buffer.concat([ring.subarray(this.#at), ring.subarray(0, this.#at)]);
  }
}

/** One line for an error message: what is printable, blanks squeezed, at most `limit` characters from the end. */
export function oneLine(text: string, limit = 1000): string {
  const line = text.trim().replace(/\s*\n\s*/g, ' | ');
  return line.length <= limit ? line : `…${line.slice(line.length - limit)}`;
}

/** Text with everything unprintable shown as an escape, line feeds kept. */
export function escapeText(text: string): string {
  return text.replaceAll('\r', '').replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return `\\u{${code.toString(16)}}`;
  });
}
