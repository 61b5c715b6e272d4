/** The JavaScript twin of assembly/oci/number.ts: scans numbers in place. */
import { BAD_NUMBER } from '../../../assembly/oci/errors.ts';
import { at, end, fail, json, MINUS, moveTo } from './cursor.ts';

/** Digits that a number surely holds exactly. */
export const EXACT_DIGITS = 15;

/** The last number scanned. */
export const number = { start: 0, digits: 0, isNegative: false, isWhole: true, magnitude: 0 };

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

function takeByte(byte: number): boolean {
  if (at >= end || json[at] !== byte) return false;
  moveTo(at + 1);
  return true;
}

/** Takes digits; false if there is none. */
function scanDigits(counts: boolean): boolean {
  const from = at;
  let magnitude = 0;
  let p = from;
  for (; p < end; p++) {
    const digit = (json[p] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    if (p - from < EXACT_DIGITS) magnitude = magnitude * 10 + digit;
  }
  if (counts) {
    number.digits = p - from;
    number.magnitude = magnitude;
  }
  moveTo(p);
  return p > from;
}
