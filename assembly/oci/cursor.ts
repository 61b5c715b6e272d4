/** Where the scan stands in the document, and why it failed. */
import { EXPECTED_COMMA_OR_BRACE, EXPECTED_COMMA_OR_BRACKET } from './errors';
import { PADDING } from './limits';

/** What `peek` says at the end; no byte has this value. */
export const END: i32 = -1;

export const QUOTE: i32 = 0x22;
export const COMMA: i32 = 0x2c;
export const COLON: i32 = 0x3a;
export const OPEN_BRACKET: i32 = 0x5b;
export const CLOSE_BRACKET: i32 = 0x5d;
export const LETTER_N: i32 = 0x6e;
export const OPEN_BRACE: i32 = 0x7b;
export const CLOSE_BRACE: i32 = 0x7d;

/** The words as four bytes, first lowest; `false` without its `f`. */
const WORD_TRUE: u32 = 0x65757274;
const WORD_ALSE: u32 = 0x65736c61;
const WORD_NULL: u32 = 0x6c6c756e;

/** A bit for each byte up to 0x20 that is white space: tab, line feed, carriage return, space. */
const SPACES: u64 = 0x100002600;

let start: usize = 0;
export let end: usize = 0;
/** Address of the next byte. */
export let at: usize = 0;

let errorCode: i32 = 0;
let errorAt: usize = 0;

/**
 * Begins with the document at `input`. The PADDING bytes behind it become zeros: a zero is no part of any token, so that
 * what scans byte by byte stops there without comparing addresses, and 16 bytes can be loaded from any of the document's.
 */
export function open(input: usize, length: usize): void {
  start = input;
  end = input + length;
  memory.fill(end, 0, PADDING);
  at = input;
  errorCode = 0;
  errorAt = input;
}

/** Notes why no document is begun with, and how many of its bytes would have been read. */
export function refuse(code: i32, offset: usize): void {
  start = 0;
  errorCode = code;
  errorAt = offset;
}

/** Goes on at `address`. */
export function moveTo(address: usize): void {
  at = address;
}

/** Notes why and where; only the first counts. */
export function fail(code: i32, where: usize): bool {
  if (errorCode === 0) {
    errorCode = code;
    errorAt = where;
  }
  return false;
}

export function failure(): i32 {
  return errorCode;
}

export function failureOffset(): usize {
  return errorAt - start;
}

/** Skips white space; the byte that follows it, or END. */
export function peek(): i32 {
  let byte = <i32>load<u8>(at);
  while (byte <= 0x20) {
    if (((SPACES >> byte) & 1) === 0) return at < end ? byte : END;
    at++;
    byte = load<u8>(at);
  }
  return byte;
}

/** Takes `byte` if it is next without white space: what a document without any needs at every step. Never fails. */
export function takeAtOnce(byte: i32): bool {
  if (<i32>load<u8>(at) !== byte) return false;
  at++;
  return true;
}

/** Takes `byte` after white space, or fails with `code`. */
export function take(byte: i32, code: i32): bool {
  if (peek() !== byte) return fail(code, at);
  at++;
  return true;
}

/** Takes `byte` if it is next; never fails. */
export function takeIf(byte: i32): bool {
  if (peek() !== byte) return false;
  at++;
  return true;
}

/** Takes `null` if it is next; never fails. Expects white space to be skipped. */
export function takeNull(): bool {
  return takeWord(WORD_NULL, 0);
}

export function takeTrue(): bool {
  return takeWord(WORD_TRUE, 0);
}

export function takeFalse(): bool {
  return load<u8>(at) === 0x66 && takeWord(WORD_ALSE, 1);
}

function takeWord(word: u32, before: usize): bool {
  if (load<u32>(at + before) !== word) return false;
  at += 4 + before;
  return true;
}

/** Takes the comma between members, or the end of the object or array; 1: goes on, 0: ended, -1: failed. */
export function takeNext(close: i32): i32 {
  const byte = peek();
  if (byte === COMMA) {
    at++;
    return 1;
  }
  if (byte === close) {
    at++;
    return 0;
  }
  fail(close === CLOSE_BRACE ? EXPECTED_COMMA_OR_BRACE : EXPECTED_COMMA_OR_BRACKET, at);
  return -1;
}

export function isNumberStart(byte: i32): bool {
  return byte === 0x2d || (byte >= 0x30 && byte <= 0x39);
}
