/** The JavaScript twin of assembly/oci/skip.ts: skips values of JSON (RFC 8259), checking their syntax. */
import { EXPECTED_COLON, EXPECTED_VALUE, TOO_DEEP } from '../../../assembly/oci/errors.ts';
import { MAX_DEPTH } from '../../../assembly/oci/limits.ts';
import {
  at,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  END,
  fail,
  failIn,
  isNumberStart,
  moveTo,
  OPEN_BRACE,
  OPEN_BRACKET,
  peek,
  QUOTE,
  take,
  takeIf,
  takeNext,
  takeWord,
} from './cursor.ts';
import { scanNumber } from './number.ts';
import { keyAt, scanString, stringStart, takeKey } from './string.ts';

/**
 * Skips a value, checking its syntax.
 * @param depth objects and arrays around it
 */
export function skipValue(depth: number): boolean {
  const byte = peek();
  if (byte === QUOTE) return scanString();
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
    if (depth >= MAX_DEPTH) return fail(TOO_DEEP, at);
    moveTo(at + 1);
    return byte === OPEN_BRACE ? skipMembers(depth + 1) : skipElements(depth + 1);
  }
  if (isNumberStart(byte)) return scanNumber();
  if (takeWord('true') || takeWord('false') || takeWord('null')) return true;
  return fail(EXPECTED_VALUE, at);
}

/** The number of the element at an offset, in the list whose elements begin at another. */
export function indexAt(list: number, element: number): number {
  const next = at;
  moveTo(list);
  let index = 0;
  while (peek() !== END && at < element && skipValue(0)) {
    index++;
    if (takeNext(CLOSE_BRACKET) <= 0) break;
  }
  moveTo(next);
  return index;
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
