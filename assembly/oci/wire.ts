/** Writes protobuf into the output. Every writer returns false, with the failure noted, once the output is full. */
import { at, fail } from './cursor';
import { OUTPUT_FULL } from './errors';
import { copyString, lengthOfString } from './string';

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

/** Puts the length of all that was written since `mark` there; the byte at `mark` was kept free for it. */
export function closeLength(mark: usize): bool {
  const body = first + mark + 1;
  const length = to - body;
  const more = varintLength(length) - 1;
  if (limit - to < more) return full();
  if (more > 0) memory.copy(body + more, body, length);
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
