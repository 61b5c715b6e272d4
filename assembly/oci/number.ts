/** Scans numbers in place. */
import { at, fail, moveTo } from './cursor';
import { BAD_NUMBER } from './errors';

/** The greatest number of 64 bits without its last digit, and that digit. */
const MOST_TENTHS: u64 = u64.MAX_VALUE / 10;
const MOST_ONES: u64 = u64.MAX_VALUE % 10;

// The last number scanned.
let numberMagnitude: u64 = 0;
let numberIsNegative: bool = false;
let numberIsWhole: bool = false;
let numberOverflows: bool = false;

export function magnitude(): u64 {
  return numberMagnitude;
}

export function isNegative(): bool {
  return numberIsNegative;
}

export function isWhole(): bool {
  return numberIsWhole;
}

export function overflows(): bool {
  return numberOverflows;
}

/** Scans the number at `at`; what it is worth is then in `magnitude` and its like. */
export function scanNumber(): bool {
  const from = at;
  numberMagnitude = 0;
  numberOverflows = false;
  numberIsWhole = true;
  numberIsNegative = takeByte(0x2d);
  if (!takeByte(0x30) && !scanDigits(true)) return fail(BAD_NUMBER, from);
  if (takeByte(0x2e)) {
    numberIsWhole = false;
    if (!scanDigits(false)) return fail(BAD_NUMBER, from);
  }
  if (takeByte(0x65) || takeByte(0x45)) {
    numberIsWhole = false;
    if (!takeByte(0x2b)) takeByte(0x2d);
    if (!scanDigits(false)) return fail(BAD_NUMBER, from);
  }
  return true;
}

function takeByte(byte: u8): bool {
  if (load<u8>(at) !== byte) return false;
  moveTo(at + 1);
  return true;
}

/** Takes digits; false if there is none. */
function scanDigits(counts: bool): bool {
  const from = at;
  let p = from;
  for (; ; p++) {
    const digit = <u32>load<u8>(p) - 0x30;
    if (digit > 9) break;
    if (counts) addDigit(digit);
  }
  moveTo(p);
  return p > from;
}

function addDigit(digit: u64): void {
  if (numberMagnitude > MOST_TENTHS || (numberMagnitude === MOST_TENTHS && digit > MOST_ONES)) numberOverflows = true;
  else numberMagnitude = numberMagnitude * 10 + digit;
}
