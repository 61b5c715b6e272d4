/**
 * Writes frames around payloads: everything but the payload's and the names' own bytes, for which room is left.
 * All return the payload's address, or 0 where the frame does not fit before `limit` or exceeds FRAME_MAX_DATA_BYTES.
 * Fields that hold proto3's default are left out.
 */
import {
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  STATE_BASE,
  STATE_FRAME_END,
  TYPE_DATA,
  TYPE_REQUEST,
  TYPE_RESPONSE,
} from '../layout';

// layout.ts has plain constants, which are i32 here.
const HEADER: u32 = FRAME_HEADER_BYTES;
const MAX_DATA: u32 = FRAME_MAX_DATA_BYTES;

/** Writes a successful response. It ends with its payload. */
export function writeResponse(at: u32, limit: u32, stream: u32, payloadLength: u32): u32 {
  if (payloadLength > MAX_DATA) return 0;
  const data = fieldBytes(payloadLength);
  if (!writeHeader(at, limit, data, stream, TYPE_RESPONSE, 0)) return 0;
  const p = at + HEADER;
  return payloadLength === 0 ? p : writeVarintField(p, 0x12, payloadLength);
}

/**
 * Writes a response that fails with `code`. Its status message is the payload here; `detailsLength` bytes of room for
 * encoded details fields follow it. Leaves the address behind the frame in STATE_FRAME_END: details end there.
 */
export function writeStatus(at: u32, limit: u32, stream: u32, code: u32, textLength: u32, detailsLength: u32): u32 {
  if (textLength > MAX_DATA || detailsLength > MAX_DATA) return 0;
  const status: u32 = (code === 0 ? 0 : 1 + varintBytes(code)) + fieldBytes(textLength) + detailsLength;
  const data: u32 = 1 + varintBytes(status) + status;
  if (!writeHeader(at, limit, data, stream, TYPE_RESPONSE, 0)) return 0;
  let p = writeVarintField(at + HEADER, 0x0a, status);
  if (code !== 0) p = writeVarintField(p, 0x08, code);
  store<u32>(STATE_BASE + STATE_FRAME_END * 4, at + HEADER + data);
  return textLength === 0 ? p : writeVarintField(p, 0x12, textLength);
}

/** Writes a data frame: its data is its payload, and flags say whether there is any and whether it is the last. */
export function writeData(at: u32, limit: u32, stream: u32, flags: u32, payloadLength: u32): u32 {
  return writeHeader(at, limit, payloadLength, stream, TYPE_DATA, flags) ? at + HEADER : 0;
}

/**
 * Writes a request: header, `namesLength` bytes of room for the encoded service and method fields, the payload,
 * timeout_nano (two's complement words), `metadataLength` bytes of room for encoded metadata fields.
 * Leaves the address behind the frame in STATE_FRAME_END: metadata ends there.
 */
export function writeRequest(
  at: u32,
  limit: u32,
  stream: u32,
  flags: u32,
  namesLength: u32,
  payloadLength: u32,
  timeoutLow: u32,
  timeoutHigh: u32,
  metadataLength: u32,
): u32 {
  // Each part is below the limit on its own, so that their sum cannot wrap.
  if (namesLength > MAX_DATA) return 0;
  if (payloadLength > MAX_DATA) return 0;
  if (metadataLength > MAX_DATA) return 0;
  const timeout: u64 = ((timeoutHigh as u64) << 32) | (timeoutLow as u64);
  const timeoutBytes: u32 = timeout === 0 ? 0 : 1 + varintBytes(timeout);
  const data = namesLength + fieldBytes(payloadLength) + timeoutBytes + metadataLength;
  if (!writeHeader(at, limit, data, stream, TYPE_REQUEST, flags)) return 0;
  let payload = at + HEADER + namesLength;
  if (payloadLength !== 0) payload = writeVarintField(payload, 0x1a, payloadLength);
  if (timeout !== 0) writeVarintField(payload + payloadLength, 0x20, timeout);
  store<u32>(STATE_BASE + STATE_FRAME_END * 4, at + HEADER + data);
  return payload;
}

function writeHeader(at: u32, limit: u32, data: u32, stream: u32, type: u32, flags: u32): bool {
  if (data > MAX_DATA || at > limit || HEADER + data > limit - at) return false;
  store<u32>(at, bswap<u32>(data));
  store<u32>(at + 4, bswap<u32>(stream));
  store<u8>(at + 8, type);
  store<u8>(at + 9, flags);
  return true;
}

/** Bytes of a length-delimited field of one tag byte; 0 if it is empty and so left out. */
function fieldBytes(length: u32): u32 {
  return length === 0 ? 0 : 1 + varintBytes(length) + length;
}

function varintBytes(value: u64): u32 {
  let count: u32 = 1;
  for (let rest = value >> 7; rest !== 0; rest >>= 7) count++;
  return count;
}

function writeVarintField(at: u32, tag: u32, value: u64): u32 {
  store<u8>(at, tag);
  let p = at + 1;
  let rest = value;
  for (; rest > 0x7f; rest >>= 7) {
    store<u8>(p, (rest as u32 & 0x7f) | 0x80);
    p++;
  }
  store<u8>(p, rest as u32);
  return p + 1;
}
