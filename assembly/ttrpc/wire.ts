/**
 * A cursor over protobuf bytes in linear memory.
 * `failed` stays set once anything was malformed; callers look at it after each read.
 * https://protobuf.dev/programming-guides/encoding/
 */

export const WIRE_VARINT: u32 = 0;
export const WIRE_FIXED64: u32 = 1;
export const WIRE_BYTES: u32 = 2;
export const WIRE_GROUP: u32 = 3;
export const WIRE_GROUP_END: u32 = 4;
export const WIRE_FIXED32: u32 = 5;

let position: u32 = 0;
let failed: bool = false;

/** Puts the cursor at `start`, with no failure. */
export function seek(start: u32): void {
  position = start;
  failed = false;
}

export function here(): u32 {
  return position;
}

export function hasFailed(): bool {
  return failed;
}

/** Reads a varint of at most 10 bytes and 64 bits. */
export function readVarint(end: u32): u64 {
  let p = position;
  if (p >= end) return fail();
  const first: u64 = load<u8>(p);
  p++;
  if (first < 0x80) {
    position = p;
    return first;
  }
  let value: u64 = first & 0x7f;
  for (let shift: u64 = 7; shift < 70 && p < end; shift += 7) {
    const byte: u64 = load<u8>(p);
    p++;
    // Only one bit of the tenth byte is left.
    if (shift === 63 && byte > 1) return fail();
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      position = p;
      return value;
    }
  }
  return fail();
}

/** Reads a field's tag: field number in 1 to 2^29-1 and wire type. 0 on failure. */
export function readTag(end: u32): u32 {
  const tag = readVarint(end);
  if (tag > 0xffff_ffff || tag < 8) return fail() as u32;
  return tag as u32;
}

/** Reads a length and steps over as many bytes; the bytes end where the cursor then is. */
export function readLength(end: u32): u32 {
  const length = readVarint(end);
  if (failed) return 0;
  if (length > ((end - position) as u64)) return fail() as u32;
  position += length as u32;
  return length as u32;
}

/** Skips the value of an unknown field. Groups are counted, not recursed into. */
export function skip(wire: u32, end: u32): void {
  let open: u32 = 0;
  let kind = wire;
  while (!failed) {
    if (kind === WIRE_VARINT) readVarint(end);
    else if (kind === WIRE_BYTES) readLength(end);
    else if (kind === WIRE_FIXED64) advance(8, end);
    else if (kind === WIRE_FIXED32) advance(4, end);
    else if (kind === WIRE_GROUP) open++;
    else if (kind === WIRE_GROUP_END && open > 0) open--;
    else fail();
    if (failed || open === 0) return;
    kind = (readVarint(end) as u32) & 7;
  }
}

function advance(count: u32, end: u32): void {
  if (count > end - position) fail();
  else position += count;
}

function fail(): u64 {
  failed = true;
  return 0;
}
