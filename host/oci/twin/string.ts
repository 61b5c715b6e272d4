/** The JavaScript twin of assembly/oci/string.ts: scans strings in place and unescapes them. */
import {
  BAD_ESCAPE,
  BAD_UTF8,
  CONTROL_CHARACTER,
  EXPECTED_KEY,
  UNTERMINATED_STRING,
} from '../../../assembly/oci/errors.ts';
import { at, BACKSLASH, end, fail, json, LETTER_N, moveTo, peek, QUOTE } from './cursor.ts';

const LETTER_U = 0x75;

/** U+FFFD, which stands for half a surrogate pair. */
const REPLACEMENT = 0xfffd;
// The last string scanned: its bytes between the quotes, its length once unescaped.
export let stringStart = 0;
export let stringEnd = 0;
export let stringLength = 0;
export let stringHasNul = false;

/** Takes a key, which is then the last string scanned. */
export function takeKey(): boolean {
  if (peek() !== QUOTE) return fail(EXPECTED_KEY, at);
  return scanString();
}

/** Scans the string whose opening quote is next. */
export function scanString(): boolean {
  const source = json;
  let p = at + 1;
  let shorter = 0;
  stringStart = p;
  stringHasNul = false;
  for (;;) {
    if (p >= end) return fail(UNTERMINATED_STRING, at);
    const byte = source[p] as number;
    if (byte === QUOTE) break;
    if (byte === BACKSLASH) {
      const raw = escapeLength(p);
      if (raw === 0) return fail(BAD_ESCAPE, p);
      const code = codeOf(p, raw);
      if (code === 0) stringHasNul = true;
      shorter += raw - utf8Length(code);
      p += raw;
    } else if (byte < 0x20) {
      return fail(CONTROL_CHARACTER, p);
    } else if (byte < 0x80) {
      p++;
    } else {
      const length = sequenceLength(p);
      if (length === 0) return fail(BAD_UTF8, p);
      p += length;
    }
  }
  stringEnd = p;
  stringLength = p - stringStart - shorter;
  moveTo(p + 1);
  return true;
}

/** Writes the last string unescaped; `stringLength` bytes. */
export function copyString(out: Uint8Array, to: number): void {
  if (stringEnd - stringStart === stringLength) {
    out.set(json.subarray(stringStart, stringEnd), to);
    return;
  }
  let q = to;
  for (let p = stringStart; p < stringEnd; ) {
    const byte = json[p] as number;
    if (byte !== BACKSLASH) {
      out[q++] = byte;
      p++;
      continue;
    }
    const length = escapeLength(p);
    q = writeUtf8(out, q, codeOf(p, length));
    p += length;
  }
}

/** The last string as text; for keys around a fault. */
export function stringText(): string {
  const bytes = new Uint8Array(stringLength);
  copyString(bytes, 0);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

/** The key whose opening quote is at an offset, which was scanned before. */
export function keyAt(offset: number): string {
  const next = at;
  moveTo(offset);
  const text = scanString() ? stringText() : '';
  moveTo(next);
  return text;
}

/** Bytes of the escape whose backslash is at `p`: 2, 6, or 12 for a surrogate pair; 0 if it is none. */
function escapeLength(p: number): number {
  const byte = json[p + 1] ?? 0;
  if (byte !== LETTER_U) return simpleEscape(byte) === 0 ? 0 : 2;
  const first = hex4(p + 2);
  if (first < 0) return 0;
  return isHighSurrogate(first) && isLowSurrogate(escapedUnit(p + 6)) ? 12 : 6;
}

/** The code point of an escape of `length` bytes. */
function codeOf(p: number, length: number): number {
  if (length === 2) return simpleEscape(json[p + 1] as number);
  const first = hex4(p + 2);
  if (length === 12) return 0x10000 + ((first - 0xd800) << 10) + (hex4(p + 8) - 0xdc00);
  return isHighSurrogate(first) || isLowSurrogate(first) ? REPLACEMENT : first;
}

/** What `\b` and its like stand for; 0 for bytes that may not follow a backslash. */
function simpleEscape(byte: number): number {
  if (byte === QUOTE || byte === BACKSLASH || byte === 0x2f) return byte;
  if (byte === 0x62) return 0x08;
  if (byte === 0x66) return 0x0c;
  if (byte === LETTER_N) return 0x0a;
  if (byte === 0x72) return 0x0d;
  return byte === 0x74 ? 0x09 : 0;
}

/** The code unit of a `\uXXXX` at `p`, or -1. */
function escapedUnit(p: number): number {
  return json[p] === BACKSLASH && json[p + 1] === LETTER_U ? hex4(p + 2) : -1;
}

function hex4(p: number): number {
  if (end - p < 4) return -1;
  let value = 0;
  for (let i = p; i < p + 4; i++) {
    const byte = json[i] as number;
    let digit = byte - 0x30;
    if (digit < 0 || digit > 9) {
      digit = (byte | 0x20) - 0x61 + 10;
      if (digit < 10 || digit > 15) return -1;
    }
    value = (value << 4) | digit;
  }
  return value;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function utf8Length(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

function writeUtf8(out: Uint8Array, to: number, code: number): number {
  if (code < 0x80) {
    out[to] = code;
    return to + 1;
  }
  const length = utf8Length(code);
  let rest = code;
  for (let i = length - 1; i > 0; i--) {
    out[to + i] = 0x80 | (rest & 0x3f);
    rest >>= 6;
  }
  out[to] = (0xf00 >> length) | rest;
  return to + length;
}

/** Bytes of the UTF-8 sequence at `p`, whose first byte is not ASCII; 0 if it is malformed (RFC 3629 §4). */
function sequenceLength(p: number): number {
  const first = json[p] as number;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const second = json[p + 1] ?? 0;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i = p + 2; i < p + length; i++) if (((json[i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}
