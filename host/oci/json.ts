/**
 * The JavaScript twin of assembly/oci/{cursor,string,number,skip}.ts: scans JSON (RFC 8259) in place, with the same faults at the same bytes.
 * JSON.parse serves neither: it rounds numbers beyond 2^53 (RLIM_INFINITY is 2^64 - 1) and names no place for a wrong type.
 */
import {
  BAD_ESCAPE,
  BAD_NUMBER,
  BAD_UTF8,
  CONTROL_CHARACTER,
  EXPECTED_COLON,
  EXPECTED_COMMA_OR_BRACE,
  EXPECTED_COMMA_OR_BRACKET,
  EXPECTED_KEY,
  EXPECTED_VALUE,
  TOO_DEEP,
  UNTERMINATED_STRING,
} from '../../assembly/oci/errors.ts';
import { MAX_DEPTH } from '../../assembly/oci/limits.ts';
import { Fault } from './fault.ts';

/** What `peek` says at the end. */
export const END = -1;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const BACKSLASH = 0x5c;

const SIMPLE_ESCAPES = '"\\/bfnrt';

/** A number as it stands: its digits with sign, exact; `whole` is false where it has a fraction or exponent. */
export interface JsonNumber {
  readonly text: string;
  readonly whole: boolean;
}

export class JsonScanner {
  /** Offset of the next byte. */
  at = 0;
  /** Offset of the last key that `members` took. */
  keyAt = 0;
  /** Keys and indexes around `at`. */
  readonly path: (string | number)[] = [];

  private readonly json: Buffer;

  constructor(json: Uint8Array) {
    this.json = Buffer.from(json.buffer, json.byteOffset, json.byteLength);
  }

  fail(code: number, offset = this.at): never {
    throw new Fault(code, offset, this.path);
  }

  /** Skips white space; the byte that follows it, or END. */
  peek(): number {
    for (;;) {
      const byte = this.json[this.at] ?? END;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.at++;
    }
  }

  /** Takes `byte` after white space, or fails with `code`. */
  take(byte: number, code: number): void {
    if (this.peek() !== byte) this.fail(code);
    this.at++;
  }

  takeIf(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.at++;
    return true;
  }

  /** Takes `true`, `false` or `null` if it is next. */
  takeWord(word: string): boolean {
    this.peek();
    for (let i = 0; i < word.length; i++) if (this.json[this.at + i] !== word.charCodeAt(i)) return false;
    this.at += word.length;
    return true;
  }

  /** Takes the comma between members (true), or the end of the object or array (false). */
  takeNext(close: number): boolean {
    const byte = this.peek();
    if (byte !== COMMA && byte !== close) {
      this.fail(close === CLOSE_BRACE ? EXPECTED_COMMA_OR_BRACE : EXPECTED_COMMA_OR_BRACKET);
    }
    this.at++;
    return byte === COMMA;
  }

  takeKey(): string {
    if (this.peek() !== QUOTE) this.fail(EXPECTED_KEY);
    return this.takeString();
  }

  /** Calls `member` with each key of the object that is next. */
  members(member: (key: string) => void): void {
    this.at++;
    if (this.takeIf(CLOSE_BRACE)) return;
    do {
      this.peek();
      this.keyAt = this.at;
      const key = this.takeKey();
      this.path.push(key);
      this.take(COLON, EXPECTED_COLON);
      member(key);
      this.path.pop();
    } while (this.takeNext(CLOSE_BRACE));
  }

  /** Calls `element` for each element of the array that is next. */
  elements(element: () => void): void {
    this.at++;
    if (this.takeIf(CLOSE_BRACKET)) return;
    let index = 0;
    do {
      this.path.push(index++);
      element();
      this.path.pop();
    } while (this.takeNext(CLOSE_BRACKET));
  }

  /** Takes the string whose opening quote is next. Halves of surrogate pairs stay as they are: the encoder replaces them. */
  takeString(): string {
    const { json } = this;
    const start = this.at;
    let escaped = false;
    let ascii = true;
    let p = start + 1;
    for (;;) {
      const byte = json[p];
      if (byte === undefined) return this.fail(UNTERMINATED_STRING, start);
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        escaped = true;
        p += this.escapeLength(p) || this.fail(BAD_ESCAPE, p);
      } else if (byte < 0x20) {
        this.fail(CONTROL_CHARACTER, p);
      } else if (byte < 0x80) {
        p++;
      } else {
        ascii = false;
        p += this.sequenceLength(p) || this.fail(BAD_UTF8, p);
      }
    }
    this.at = p + 1;
    const text = json.toString(ascii ? 'latin1' : 'utf8', start + 1, p);
    return escaped ? (JSON.parse(`"${text}"`) as string) : text;
  }

  takeNumber(): JsonNumber {
    const start = this.at;
    let whole = true;
    this.takeByte(MINUS);
    if (!this.takeByte(0x30) && !this.takeDigits()) this.fail(BAD_NUMBER, start);
    if (this.takeByte(0x2e)) {
      whole = false;
      if (!this.takeDigits()) this.fail(BAD_NUMBER, start);
    }
    if (this.takeByte(0x65) || this.takeByte(0x45)) {
      whole = false;
      if (!this.takeByte(0x2b)) this.takeByte(MINUS);
      if (!this.takeDigits()) this.fail(BAD_NUMBER, start);
    }
    return { text: this.json.toString('latin1', start, this.at), whole };
  }

  /**
   * Skips a value, checking its syntax.
   * @param depth objects and arrays around it
   */
  skipValue(depth: number): void {
    const byte = this.peek();
    if (byte === QUOTE) this.takeString();
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (depth >= MAX_DEPTH) this.fail(TOO_DEEP);
      if (byte === OPEN_BRACE) this.members(() => this.skipValue(depth + 1));
      else this.elements(() => this.skipValue(depth + 1));
    } else if (isNumberStart(byte)) this.takeNumber();
    else if (!this.takeWord('true') && !this.takeWord('false') && !this.takeWord('null')) this.fail(EXPECTED_VALUE);
  }

  private takeByte(byte: number): boolean {
    if (this.json[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  private takeDigits(): boolean {
    const start = this.at;
    while (isDigit(this.json[this.at] ?? END)) this.at++;
    return this.at > start;
  }

  /** Bytes of the escape at `p`; 0 if it is none. */
  private escapeLength(p: number): number {
    const byte = this.json[p + 1] ?? 0;
    if (byte !== 0x75) return SIMPLE_ESCAPES.includes(String.fromCharCode(byte)) ? 2 : 0;
    for (let i = p + 2; i < p + 6; i++) if (!isHexDigit(this.json[i] ?? END)) return 0;
    return 6;
  }

  /** Bytes of the UTF-8 sequence at `p`, whose first byte is not ASCII; 0 if it is malformed (RFC 3629 §4). */
  private sequenceLength(p: number): number {
    const first = this.json[p] as number;
    if (first < 0xc2 || first > 0xf4) return 0;
    const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const second = this.json[p + 1] ?? 0;
    const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return 0;
    for (let i = p + 2; i < p + length; i++) if (((this.json[i] ?? 0) & 0xc0) !== 0x80) return 0;
    return length;
  }
}

export function isNumberStart(byte: number): boolean {
  return byte === MINUS || isDigit(byte);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}
