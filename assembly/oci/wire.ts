/** Writes protobuf into the output. Every writer returns false, with the failure noted, once the output is full. */
import { at, fail, moveTo, QUOTE } from './cursor';
import { OUTPUT_FULL } from './errors';
import { copyPlain, copyString, lengthOfString, MAX_PLAIN } from './string';

/** `,"` as two bytes, first lowest. */
const NEXT_TEXT: u32 = 0x222c;
/** What a plain text may take: tag and length of a byte each, and `copyPlain` its room. */
const PLAIN_ROOM: usize = 2 + MAX_PLAIN + 16;
/** Longest message that is moved without memory.copy, bytes. */
const SHORT_MESSAGE: usize = 512;

let first: usize = 0;
let limit: usize = 0;
/** Address of the next byte. */
let to: usize = 0;

export function openOutput(output: usize, capacity: usize): void {
  first = output;
  limit = output + capacity;
  to = output;
}

/** Bytes written. */
export function written(): usize {
  return to - first;
}

export function writeByte(byte: u32): bool {
  if (to >= limit) return full();
  store<u8>(to++, byte);
  return true;
}

export function writeVarint(value: u64): bool {
  if (value < 0x80) return writeByte(<u32>value);
  if (limit - to < varintLength(value)) return full();
  putVarint(value);
  return true;
}

/** The last string scanned, with its length before it. */
export function writeString(): bool {
  const length = lengthOfString();
  if (!writeVarint(length)) return false;
  if (limit - to < length) return full();
  copyString(to, limit - to);
  to += length;
  return true;
}

/**
 * Takes the string that is next and writes it as a field; of a list, also those that follow with only a comma between.
 * @param tag of one byte
 * @returns false, with nothing taken, where the string is not plain, as long as MAX_PLAIN, or the output is nearly full
 */
export function writePlain(tag: u32, isList: bool): bool {
  let p = at;
  if (load<u8>(p) !== QUOTE) return false;
  let q = to;
  while (limit - q >= PLAIN_ROOM) {
    const length = copyPlain(p + 1, q + 2);
    if (length >= MAX_PLAIN || load<u8>(p + 1 + length) !== QUOTE) break;
    store<u16>(q, tag | ((<u32>length) << 8));
    q += 2 + length;
    p += 2 + length;
    moveTo(p);
    if (!isList || load<u16>(p) !== NEXT_TEXT) break;
    p++;
  }
  if (q === to) return false;
  to = q;
  return true;
}

/** Puts the length of all that was written since `mark` there; the byte at `mark` was kept free for it. */
export function closeLength(mark: usize): bool {
  const body = first + mark + 1;
  const length = to - body;
  if (length < 0x80) {
    store<u8>(body - 1, <u8>length);
    return true;
  }
  const more = varintLength(length) - 1;
  if (limit - to < more) return full();
  moveUp(body, length, more);
  to = body - 1;
  putVarint(length);
  to += length;
  return true;
}

/** Removes what stands from one offset to another. */
export function remove(from: usize, until: usize): void {
  memory.copy(first + from, first + until, to - (first + until));
  to -= until - from;
}

/** Moves a message `by` a few bytes, the last sixteen first. */
function moveUp(from: usize, length: usize, by: usize): void {
  if (length > SHORT_MESSAGE) {
    memory.copy(from + by, from, length);
    return;
  }
  let p = from + length;
  for (; p - from >= 16; p -= 16) v128.store(p - 16 + by, v128.load(p - 16));
  for (; p > from; p--) store<u8>(p - 1 + by, load<u8>(p - 1));
}

function full(): bool {
  return fail(OUTPUT_FULL, at);
}

function putVarint(value: u64): void {
  let rest = value;
  while (rest > 0x7f) {
    store<u8>(to++, 0x80 | <u8>(rest & 0x7f));
    rest >>= 7;
  }
  store<u8>(to++, <u8>rest);
}

/** 1 to 10: seven bits a byte. The division by 7 is one by 64/9, exact for up to 64 bits. */
function varintLength(value: u64): usize {
  return <usize>(((63 - clz(value | 1)) * 9 + 73) >> 6);
}
