/** Skips values of JSON (RFC 8259), checking their syntax. */
import {
  at,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  fail,
  isNumberStart,
  moveTo,
  OPEN_BRACE,
  OPEN_BRACKET,
  peek,
  QUOTE,
  take,
  takeFalse,
  takeIf,
  takeNext,
  takeNull,
  takeTrue,
} from './cursor';
import { EXPECTED_COLON, EXPECTED_VALUE, TOO_DEEP } from './errors';
import { MAX_DEPTH } from './limits';
import { scanNumber } from './number';
import { scanString, takeKey } from './string';

/**
 * Skips a value, checking its syntax.
 * @param depth objects and arrays around it
 */
export function skipValue(depth: i32): bool {
  const byte = peek();
  if (byte === QUOTE) return scanString();
  if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
    if (depth >= MAX_DEPTH) return fail(TOO_DEEP, at);
    moveTo(at + 1);
    return skipMembers(byte === OPEN_BRACE, depth + 1);
  }
  if (isNumberStart(byte)) return scanNumber();
  if (takeTrue() || takeFalse() || takeNull()) return true;
  return fail(EXPECTED_VALUE, at);
}

function skipMembers(keyed: bool, depth: i32): bool {
  const close = keyed ? CLOSE_BRACE : CLOSE_BRACKET;
  if (takeIf(close)) return true;
  while (true) {
    if (keyed && !(takeKey() && take(COLON, EXPECTED_COLON))) return false;
    if (!skipValue(depth)) return false;
    const next = takeNext(close);
    if (next <= 0) return next === 0;
  }
}
