/** Finds what a process wrote in the answers to ReadStdout and ReadStderr: field 1 of grpc.ReadStreamResponse. */
import { FRAME_HEADER_BYTES, FRAME_MAX_DATA_BYTES, STATE_BASE, STATE_OUTPUT_LENGTH, TYPE_RESPONSE } from '../layout';
import { endOf, numberOf, readLength, readTag, skip } from '../ttrpc/wire';

// layout.ts has plain constants, which are i32 here.
const HEADER: u32 = FRAME_HEADER_BYTES;
const MAX_DATA: u32 = FRAME_MAX_DATA_BYTES;
const RESPONSE: u32 = TYPE_RESPONSE;

// A tag is field number * 8 + wire type.
const RESPONSE_PAYLOAD: u32 = 0x12;
const OUTPUT_DATA: u32 = 0x0a;

/**
 * Finds the data of the ReadStreamResponse in [start, end). Of a field that occurs twice the last one counts; without one the data is
 * empty. Leaves its length in STATE_OUTPUT_LENGTH.
 * @returns the data's address, 0 if the bytes are no protobuf message
 */
export function findOutput(start: u32, end: u32): u32 {
  let data = end;
  let length: u32 = 0;
  let p = start;
  while (p < end) {
    const read = readTag(p, end);
    const tag = numberOf(read);
    p = endOf(read);
    if (p === 0) return 0;
    if (tag === OUTPUT_DATA) {
      const counted = readLength(p, end);
      data = endOf(counted);
      length = numberOf(counted);
      if (data === 0) return 0;
      p = data + length;
    } else {
      p = skip(tag & 7, p, end);
      if (p === 0) return 0;
    }
  }
  store<u32>(STATE_BASE + STATE_OUTPUT_LENGTH * 4, length);
  return data;
}

/**
 * Finds where data begins in a frame of which only [start, end) has arrived, so that it need not be kept until the rest has. Only in a
 * frame that holds nothing but a successful Response whose payload holds nothing but data: any field behind could change what the
 * first ones mean. The data then ends with the frame.
 * @returns the address of its first byte, at most `end`; 0 if the frame is of another shape, or that cannot be told yet
 */
export function findOutputStart(start: u32, end: u32): u32 {
  if (start > end || end - start < HEADER) return 0;
  const length = bswap<u32>(load<u32>(start));
  if (length > MAX_DATA || load<u8>(start + 8) !== RESPONSE || load<u8>(start + 9) !== 0) return 0;
  // Addresses stay far below 2^31, so that this cannot wrap.
  const stop = start + HEADER + length;
  const payload = lastField(start + HEADER, RESPONSE_PAYLOAD, end, stop);
  return payload === 0 ? 0 : lastField(payload, OUTPUT_DATA, end, stop);
}

/** The address of the bytes of a field that begins at `at` and ends at `stop`; 0 if it is another, ends elsewhere, or passes `end`. */
function lastField(at: u32, tag: u32, end: u32, stop: u32): u32 {
  const limit = min(end, stop);
  if (at >= limit || load<u8>(at) !== tag) return 0;
  let p = at + 1;
  let length: u32 = 0;
  // 4 varint bytes hold 28 bits: more than a frame.
  for (let shift: u32 = 0; shift < 28 && p < limit; shift += 7) {
    const byte: u32 = load<u8>(p);
    p++;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return length === stop - p ? p : 0;
  }
  return 0;
}
