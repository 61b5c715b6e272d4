/** Scans strings in place and unescapes them. A scanner returns false after noting the reason and the place. */
import { at, end, fail, moveTo, peek, QUOTE } from './cursor';
import { BAD_ESCAPE, BAD_UTF8, CONTROL_CHARACTER, EXPECTED_KEY, UNTERMINATED_STRING } from './errors';

const BACKSLASH: i32 = 0x5c;
const LETTER_U: i32 = 0x75;

/** U+FFFD, which stands for half a surrogate pair. */
const REPLACEMENT: u32 = 0xfffd;

/** Longest text that is copied without memory.copy, bytes. */
const SHORT_TEXT: usize = 128;
/** No text as long as this is copied while it is scanned, bytes: its length takes two bytes. */
export const MAX_PLAIN: usize = 128;

// The last string scanned: its bytes between the quotes, its length once unescaped.
let stringStart: usize = 0;
let stringEnd: usize = 0;
let stringLength: usize = 0;
let stringHasNul: bool = false;

export function lengthOfString(): usize {
  return stringLength;
}

export function hasNul(): bool {
  return stringHasNul;
}

/** Takes a key, which is then the last string scanned. */
export function takeKey(): bool {
  if (peek() !== QUOTE) return fail(EXPECTED_KEY, at);
  return scanString();
}

/** Scans the string whose opening quote is at `at`. */
export function scanString(): bool {
  let p = at + 1;
  let shorter: usize = 0;
  stringStart = p;
  stringHasNul = false;
  while (true) {
    p = skipPlain(p);
    const byte = <i32>load<u8>(p);
    if (byte === QUOTE) break;
    if (byte === BACKSLASH) {
      const raw = escapeLength(p);
      if (raw === 0) return fail(BAD_ESCAPE, p);
      const code = codeOf(p, raw);
      if (code === 0) stringHasNul = true;
      shorter += raw - utf8Length(code);
      p += raw;
    } else if (byte < 0x20) {
      return p < end ? fail(CONTROL_CHARACTER, p) : fail(UNTERMINATED_STRING, at);
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

/** Address of the last string unescaped: in place, or in `scratch`, where the caller has room for `lengthOfString()` bytes. */
export function textAddress(scratch: usize): usize {
  if (stringEnd - stringStart === stringLength) return stringStart;
  copyString(scratch, stringLength);
  return scratch;
}

/**
 * Writes the last string unescaped.
 * @param room bytes that may be written at `to`, at least `lengthOfString()`
 */
export function copyString(to: usize, room: usize): void {
  const raw = stringEnd - stringStart;
  if (raw === stringLength) {
    copyText(to, raw, room);
    return;
  }
  let p = stringStart;
  let q = to;
  while (p < stringEnd) {
    const byte = load<u8>(p);
    if (byte !== BACKSLASH) {
      store<u8>(q++, byte);
      p++;
      continue;
    }
    const length = escapeLength(p);
    q = writeUtf8(q, codeOf(p, length));
    p += length;
  }
}

/** Short texts, which most are, by sixteens: memory.copy is a call out of WASM. */
function copyText(to: usize, length: usize, room: usize): void {
  if (length > SHORT_TEXT || room < length + 16) {
    memory.copy(to, stringStart, length);
    return;
  }
  for (let i: usize = 0; i < length; i += 16) v128.store(to + i, v128.load(stringStart + i));
}

/**
 * Copies plain text: ASCII without escapes.
 * Reads and writes up to 16 bytes further than it says: the document has its PADDING, the caller room for MAX_PLAIN + 16.
 * @returns bytes before the first that is not plain; MAX_PLAIN or more where there is none among as many
 */
export function copyPlain(from: usize, to: usize): usize {
  let length: usize = 0;
  while (length < MAX_PLAIN) {
    const bytes = v128.load(from + length);
    v128.store(to + length, bytes);
    const found = notPlain(bytes);
    if (found !== 0) return length + <usize>ctz(found);
    length += 16;
  }
  return length;
}

/** The next byte from `from` that is not plain: quote, backslash, control character, not ASCII. The end is one: it is zero. */
function skipPlain(from: usize): usize {
  let p = from;
  while (true) {
    const found = notPlain(v128.load(p));
    if (found !== 0) return p + <usize>ctz(found);
    p += 16;
  }
}

/** A bit for each of 16 bytes that ends plain text. */
function notPlain(bytes: v128): i32 {
  // Exchanging 0x20 and 0x22 leaves one comparison for quotes, what is below 0x20, and, signed, what is beyond ASCII.
  const others = i8x16.lt_s(v128.xor(bytes, i8x16.splat(2)), i8x16.splat(0x21));
  return i8x16.bitmask(v128.or(others, i8x16.eq(bytes, i8x16.splat(0x5c))));
}

/** Bytes of the escape whose backslash is at `p`: 2, 6, or 12 for a surrogate pair; 0 if it is none. */
function escapeLength(p: usize): usize {
  const byte = <i32>load<u8>(p + 1);
  if (byte !== LETTER_U) return simpleEscape(byte) === 0 ? 0 : 2;
  const first = hex4(p + 2);
  if (first < 0) return 0;
  return isHighSurrogate(first) && isLowSurrogate(escapedUnit(p + 6)) ? 12 : 6;
}

/** The code point of an escape of `length` bytes. */
function codeOf(p: usize, length: usize): u32 {
  if (length === 2) return simpleEscape(<i32>load<u8>(p + 1));
  const first = hex4(p + 2);
  if (length === 12) return 0x10000 + ((<u32>first - 0xd800) << 10) + (<u32>hex4(p + 8) - 0xdc00);
  return isHighSurrogate(first) || isLowSurrogate(first) ? REPLACEMENT : <u32>first;
}

/** What `\b` and its like stand for; 0 for bytes that may not follow a backslash. */
function simpleEscape(byte: i32): u32 {
  if (byte === QUOTE || byte === BACKSLASH || byte === 0x2f) return byte;
  if (byte === 0x62) return 0x08;
  if (byte === 0x66) return 0x0c;
  if (byte === 0x6e) return 0x0a;
  if (byte === 0x72) return 0x0d;
  return byte === 0x74 ? 0x09 : 0;
}

/** The code unit of a `\uXXXX` at `p`, or -1. */
function escapedUnit(p: usize): i32 {
  if (load<u8>(p) !== BACKSLASH || load<u8>(p + 1) !== LETTER_U) return -1;
  return hex4(p + 2);
}

function hex4(p: usize): i32 {
  let value: i32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const byte = <i32>load<u8>(p + i);
    let digit = byte - 0x30;
    if (digit < 0 || digit > 9) {
      digit = (byte | 0x20) - 0x61 + 10;
      if (digit < 10 || digit > 15) return -1;
    }
    value = (value << 4) | digit;
  }
  return value;
}

function isHighSurrogate(unit: i32): bool {
  return (unit & 0xfffffc00) === 0xd800;
}

function isLowSurrogate(unit: i32): bool {
  return (unit & 0xfffffc00) === 0xdc00;
}

function utf8Length(code: u32): usize {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

function writeUtf8(to: usize, code: u32): usize {
  if (code < 0x80) {
    store<u8>(to, code);
    return to + 1;
  }
  const length = utf8Length(code);
  let rest = code;
  for (let i = length - 1; i > 0; i--) {
    store<u8>(to + i, 0x80 | (rest & 0x3f));
    rest >>= 6;
  }
  store<u8>(to, (<u32>0xf00 >> <u32>length) | rest);
  return to + length;
}

/** Bytes of the UTF-8 sequence at `p`, whose first byte is not ASCII; 0 if it is malformed (RFC 3629 §4). */
function sequenceLength(p: usize): usize {
  const first = <i32>load<u8>(p);
  if (first < 0xc2 || first > 0xf4) return 0;
  const length: usize = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // Overlong forms, surrogates and code points above U+10FFFF show in the second byte.
  const second = <i32>load<u8>(p + 1);
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let i: usize = 2; i < length; i++) {
    if ((load<u8>(p + i) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
