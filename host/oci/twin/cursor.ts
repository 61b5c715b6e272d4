/**
 * The JavaScript twin of assembly/oci/cursor.ts: where the scan stands in the document, and why it failed.
 *
 * The twin goes over the document byte by byte, with the same faults at the same bytes as the WASM core. Nothing becomes a
 * JavaScript string: that is what makes JSON.parse slow here, which also rounds numbers beyond 2^53 (RLIM_INFINITY is 2^64 - 1)
 * and names no place for a wrong type. What scans returns false after noting the reason and the place; every level above
 * adds its key or index on the way out.
 */
import { EXPECTED_COMMA_OR_BRACE, EXPECTED_COMMA_OR_BRACKET } from '../../../assembly/oci/errors.ts';
import { Fault } from '../fault.ts';

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

export let json: Uint8Array = new Uint8Array(0);
export let end = 0;
/** Offset of the next byte. */
export let at = 0;

let errorCode = 0;
let errorAt = 0;
/** Keys and indexes around the fault, the innermost first. */
let steps: (string | number)[] = [];

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

export function isNumberStart(byte: number): boolean {
  return byte === MINUS || (byte >= 0x30 && byte <= 0x39);
}
