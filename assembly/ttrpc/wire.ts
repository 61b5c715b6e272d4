/**
 * Protobuf's wire format in linear memory. https://protobuf.dev/programming-guides/encoding/
 *
 * What is read is passed from call to call, not kept in a global: a cursor in memory would be the slowest part of a scan.
 * Where two numbers are the result they share 64 bits, see `numberOf` and `endOf`. Address 0 is the null page: it says that
 * the bytes are malformed.
 */

export const WIRE_VARINT: u32 = 0;
export const WIRE_FIXED64: u32 = 1;
export const WIRE_BYTES: u32 = 2;
export const WIRE_GROUP: u32 = 3;
export const WIRE_GROUP_END: u32 = 4;
export const WIRE_FIXED32: u32 = 5;

const MALFORMED: u64 = 0;

/** The last varint's value. */
export let varint: u64 = 0;

/** The number of a tag or a length that has been read. */
export function numberOf(read: u64): u32 {
  return read as u32;
}

/** Address behind a tag or a length that has been read; 0: it is malformed. */
export function endOf(read: u64): u32 {
  return (read >> 32) as u32;
}

/** Reads a field's tag at `p`, before `end`: field number in 1 to 2^29-1 and wire type. */
export function readTag(p: u32, end: u32): u64 {
  const first: u32 = load<u8>(p);
  if (first < 8) return MALFORMED;
  return first < 0x80 ? pair(first, p + 1) : readLongTag(p, end);
}

/** Reads a length at `p`: the bytes it counts start at its end, and all of them are before `end`. */
export function readLength(p: u32, end: u32): u64 {
  if (p >= end) return MALFORMED;
  const first: u32 = load<u8>(p);
  if (first >= 0x80) return readLongLength(p, end);
  return first <= end - p - 1 ? pair(first, p + 1) : MALFORMED;
}

/** Reads a varint of at most 10 bytes and 64 bits into `varint`. @returns the address behind it, or 0 */
export function readVarint(start: u32, end: u32): u32 {
  let p = start;
  let value: u64 = 0;
  for (let shift: u64 = 0; shift < 70 && p < end; shift += 7) {
    const byte: u64 = load<u8>(p);
    p++;
    // Only one bit of the tenth byte is left.
    if (shift === 63 && byte > 1) return 0;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      varint = value;
      return p;
    }
  }
  return 0;
}

/** Skips the value of an unknown field. Groups are counted, not recursed into. @returns the address behind it, or 0 */
export function skip(wire: u32, start: u32, end: u32): u32 {
  let p = start;
  let open = 0;
  let kind = wire;
  while (true) {
    if (kind === WIRE_VARINT) p = readVarint(p, end);
    else if (kind === WIRE_BYTES) {
      const read = readLength(p, end);
      p = endOf(read) + numberOf(read);
    } else if (kind === WIRE_FIXED64) p = end - p < 8 ? 0 : p + 8;
    else if (kind === WIRE_FIXED32) p = end - p < 4 ? 0 : p + 4;
    else if (kind === WIRE_GROUP) open++;
    else if (kind === WIRE_GROUP_END && open > 0) open--;
    else return 0;
    if (p === 0 || open === 0) return p;
    p = readVarint(p, end);
    if (p === 0) return 0;
    kind = (varint as u32) & 7;
  }
}

function readLongTag(start: u32, end: u32): u64 {
  const p = readVarint(start, end);
  if (p === 0 || varint > 0xffff_ffff || varint < 8) return MALFORMED;
  return pair(varint as u32, p);
}

function readLongLength(start: u32, end: u32): u64 {
  const p = readVarint(start, end);
  if (p === 0 || varint > ((end - p) as u64)) return MALFORMED;
  return pair(varint as u32, p);
}

function pair(value: u32, end: u32): u64 {
  return ((end as u64) << 32) | (value as u64);
}
