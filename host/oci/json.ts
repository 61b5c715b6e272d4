/**
 * The JavaScript twin of assembly/oci/{cursor,string,number,skip}.ts: scans JSON (RFC 8259) in place, byte by byte, with the same faults
 * at the same bytes. Nothing becomes a JavaScript string: that is what makes JSON.parse slow here, which also rounds numbers
 * beyond 2^53 (RLIM_INFINITY is 2^64 - 1) and names no place for a wrong type.
 *
 * What scans returns false after noting the reason and the place; every level above adds its key or index on the way out.
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
export const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const LETTER_N = 0x6e;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const LETTER_U = 0x75;

/** U+FFFD, which stands for half a surrogate pair. */
const REPLACEMENT = 0xfffd;
/** Digits that a number surely holds exactly. */
const EXACT_DIGITS = 15;

export let json: Uint8Array = new Uint8Array(0);
let end = 0;
/** Offset of the next byte. */
export let at = 0;

let errorCode = 0;
let errorAt = 0;
/** Keys and indexes around the fault, the innermost first. */
let steps: (string | number)[] = [];

// The last string scanned: its bytes between the quotes, its length once unescaped.
export let stringStart = 0;
export let stringEnd = 0;
export let stringLength = 0;
export let stringHasNul = false;

/** The last number scanned. */
export const number = { start: 0, digits: 0, isNegative: false, isWhole: true, magnitude: 0 };

export function open(document: Uint8Array): void {
  json = document;
  end = document.length;
  at = 0;
  errorCode = 0;
  steps = [];
}

/** Lets go of the document. */
export function close(): void {
  json = new Uint8Array(0);
}

export function moveTo(offset: number): void {
  at = offset;
}

/** Notes why and where; only the first counts. */
export function fail(code: number, where: number): false {
  if (errorCode === 0) {
    errorCode = code;
    errorAt = where;
  }
  return false;
}

/** Adds a level around the fault. */
export function failIn(step: string | number): false {
  steps.push(step);
  return false;
}

export function fault(): Fault {
  return new Fault(errorCode, errorAt, steps.reverse());
}

/** Skips white space; the byte that follows it, or END. */
export function peek(): number {
  while (at < end) {
    const byte = json[at] as number;
    if (byte > 0x20 || !(byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)) return byte;
    at++;
  }
  return END;
}

/** Takes `byte` after white space, or fails with `code`. */
export function take(byte: number, code: number): boolean {
  if (peek() !== byte) return fail(code, at);
  at++;
  return true;
}

/** Takes `byte` if it is next; never fails. */
export function takeIf(byte: number): boolean {
  if (peek() !== byte) return false;
  at++;
  return true;
}

/** Takes `true`, `false` or `null` if it is next; never fails. Expects white space to be skipped. */
export function takeWord(word: string): boolean {
  if (end - at < word.length) return false;
  for (let i = 0; i < word.length; i++) if (json[at + i] !== word.charCodeAt(i)) return false;
  at += word.length;
  return true;
}

/** Takes the comma between members, or the end of the object or array; 1: goes on, 0: ended, -1: failed. */
export function takeNext(closing: number): number {
  const byte = peek();
  if (byte === COMMA) {
    at++;
    return 1;
  }
  if (byte === closing) {
    at++;
    return 0;
  }
  fail(closing === CLOSE_BRACE ? EXPECTED_COMMA_OR_BRACE : EXPECTED_COMMA_OR_BRACKET, at);
  return -1;
}

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
  at = p + 1;
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
  at = offset;
  const text = scanString() ? stringText() : '';
  at = next;
  return text;
}

/** The number of the element at an offset, in the list whose elements begin at another. */
export function indexAt(list: number, element: number): number {
  const next = at;
  at = list;
  let index = 0;
  while (peek() !== END && at < element && skipValue(0)) {
    index++;
    if (takeNext(CLOSE_BRACKET) <= 0) break;
  }
  at = next;
  return index;
}

/** Scans the number that is next; what it is worth is then in `number`. */
export function scanNumber(): boolean {
  const from = at;
  number.start = from;
  number.magnitude = 0;
  number.isWhole = true;
  number.isNegative = takeByte(MINUS);
  if (takeByte(0x30)) number.digits = 1;
  else if (!scanDigits(true)) return fail(BAD_NUMBER, from);
  if (takeByte(0x2e)) {
    number.isWhole = false;
    if (!scanDigits(false)) return fail(BAD_NUMBER, from);
  }
  if (takeByte(0x65) || takeByte(0x45)) {
    number.isWhole = false;
    if (!takeByte(0x2b)) takeByte(MINUS);
    if (!scanDigits(false)) return fail(BAD_NUMBER, from);
  }
  return true;
}

/** The last number's digits, where they are too many for `magnitude`. */
export function exactMagnitude(): bigint {
  const from = number.start + (number.isNegative ? 1 : 0);
  return BigInt(String.fromCharCode(...json.subarray(from, from + number.digits)));
}

export function isNumberStart(byte: number): boolean {
  return byte === MINUS || (byte >= 0x30 && byte <= 0x39);
}

/**
 * Skips a value, checking its syntax.
 * @param depth objects and arrays around it
 */
export function skipValue(depth: number): boolean {
  const byte = peek();
  if (byte === QUOTE) return scanString();
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
    if (depth >= MAX_DEPTH) return fail(TOO_DEEP, at);
    at++;
    return byte === OPEN_BRACE ? skipMembers(depth + 1) : skipElements(depth + 1);
  }
  if (isNumberStart(byte)) return scanNumber();
  if (takeWord('true') || takeWord('false') || takeWord('null')) return true;
  return fail(EXPECTED_VALUE, at);
}

function skipMembers(depth: number): boolean {
  if (takeIf(CLOSE_BRACE)) return true;
  for (;;) {
    if (!takeKey()) return false;
    const key = stringStart - 1;
    if (!(take(COLON, EXPECTED_COLON) && skipValue(depth))) return failIn(keyAt(key));
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

function skipElements(depth: number): boolean {
  if (takeIf(CLOSE_BRACKET)) return true;
  for (let index = 0; ; index++) {
    if (!skipValue(depth)) return failIn(index);
    const next = takeNext(CLOSE_BRACKET);
    if (next <= 0) return next === 0;
  }
}

function takeByte(byte: number): boolean {
  if (at >= end || json[at] !== byte) return false;
  at++;
  return true;
}

/** Takes digits; false if there is none. */
function scanDigits(counts: boolean): boolean {
  const from = at;
  let magnitude = 0;
  for (; at < end; at++) {
    const digit = (json[at] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    if (at - from < EXACT_DIGITS) magnitude = magnitude * 10 + digit;
  }
  if (counts) {
    number.digits = at - from;
    number.magnitude = magnitude;
  }
  return at > from;
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
