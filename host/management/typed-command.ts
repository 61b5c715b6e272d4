/**
 * A command in a shell that gives nothing but a terminal's bytes: it is typed, between two marks by which its output and its status
 * are told from what the shell says. Whoever has the guest can forge them, as it can everything else that is read here.
 */
import { randomBytes } from 'node:crypto';
import { KataError } from '../error.ts';

/** Longest line that a terminal takes, bytes with its end; N_TTY_BUF_SIZE of Linux. */
export const MAX_LINE_BYTES = 4095;
/** What a shell may say before the command begins, bytes: greetings, a prompt, the line itself. */
export const MAX_GREETING_BYTES = 64 * 1024;
/** Digits of a status, and what ends the line. */
const MAX_STATUS_CHARS = 8;

export class TypedCommand {
  /** What is to be typed. */
  readonly line: Buffer;
  /** Settles when the command has begun: input from then on is its own. */
  readonly begun: Promise<void>;
  /** Its exit status, once it has ended. */
  status: number | undefined;
  readonly #first: Buffer;
  readonly #last: Buffer;
  #began = false;
  #kept = Buffer.alloc(0);
  #begin: () => void = () => {};

  /**
   * @param nonce tests name theirs
   * @throws KataError `invalid_argument` for a command that no terminal takes
   */
  constructor(args: readonly string[], nonce: string = randomBytes(8).toString('hex')) {
    this.#first = Buffer.from(`BEGIN_${nonce}\n`);
    this.#last = Buffer.from(`END_${nonce} `);
    // In two words each: the shell echoes what is typed.
    const line = [
      'stty -echo -onlcr 2>/dev/null',
      `printf '%s%s\\n' BEGIN_ ${nonce}`,
      args.map(quote).join(' '),
      `printf '%s%s %d\\n' END_ ${nonce} $?`,
      'exit',
    ].join('; ');
    this.line = Buffer.from(`${line}\n`);
    if (this.line.length > MAX_LINE_BYTES || /\p{Cc}/u.test(line)) {
      throw new KataError(
        'invalid_argument',
        `a guest of Kata's takes commands without control characters, of about ${MAX_LINE_BYTES - 200} bytes at most: write longer ones to the shell's input`,
      );
    }
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  /**
   * What of the shell's output is the command's.
   * @throws KataError `unavailable` for a shell that says too much before
   */
  take(chunk: Buffer): Buffer {
    if (this.status !== undefined) return Buffer.alloc(0);
    let bytes = Buffer.concat([this.#kept, chunk]);
    this.#kept = Buffer.alloc(0);
    if (!this.#began) {
      const at = bytes.indexOf(this.#first);
      if (at < 0) {
        if (bytes.length > MAX_GREETING_BYTES)
          throw new KataError('unavailable', 'the shell does not begin the command');
        this.#kept = bytes;
        return Buffer.alloc(0);
      }
      this.#began = true;
      this.#begin();
      bytes = bytes.subarray(at + this.#first.length);
    }
    const end = this.#endIn(bytes);
    this.#kept = this.status === undefined ? Buffer.from(bytes.subarray(end)) : this.#kept;
    return bytes.subarray(0, end);
  }

  /** Where its output ends, or where what may be its end begins. */
  #endIn(bytes: Buffer): number {
    for (let at = bytes.indexOf(this.#last); at >= 0; at = bytes.indexOf(this.#last, at + 1)) {
      const from = at + this.#last.length;
      const rest = bytes.toString('latin1', from, from + MAX_STATUS_CHARS);
      const [, digits] = /^(\d{1,3})\r?\n/.exec(rest) ?? [];
      if (digits !== undefined) this.status = Number(digits);
      if (digits !== undefined || /^\d{0,3}\r?$/.test(rest)) return at;
    }
    return bytes.length - overlap(bytes, this.#last);
  }
}

/** How many bytes at the end of `bytes` may be the beginning of `mark`. */
function overlap(bytes: Buffer, mark: Buffer): number {
  for (let length = Math.min(bytes.length, mark.length - 1); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(mark.subarray(0, length))) return length;
  }
  return 0;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
