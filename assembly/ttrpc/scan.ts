/**
 * Finds the frames of a batch and what their envelopes hold, and leaves a record for each.
 * https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
import {
  FAULT_ENVELOPE,
  FAULT_OVERSIZE,
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  MAX_RECORDS,
  RECORD_BYTES,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  RECORD_TYPE,
  RECORDS_BASE,
  STATE_BASE,
  STATE_CONSUMED,
  STATE_NEEDED,
  TYPE_DATA,
  TYPE_REQUEST,
  TYPE_RESPONSE,
} from '../layout';
import { readRequest, readResponse } from './envelope';
import { put } from './record';

// layout.ts has plain constants, which are i32 here.
const HEADER: u32 = FRAME_HEADER_BYTES;
const MAX_DATA: u32 = FRAME_MAX_DATA_BYTES;
const MOST: u32 = MAX_RECORDS;

/**
 * Scans the frames of [start, end) until the next one is incomplete, MAX_RECORDS are found, or one is oversized.
 * Leaves STATE_CONSUMED and STATE_NEEDED.
 * @returns the number of records
 */
export function scanFrames(start: u32, end: u32): u32 {
  let p = start;
  let count: u32 = 0;
  let needed: u32 = 0;
  while (count < MOST && p < end) {
    const left = end - p;
    if (left < HEADER) break;
    const length = bswap<u32>(load<u32>(p));
    const oversize = length > MAX_DATA;
    if (!oversize && length > left - HEADER) {
      needed = HEADER + length;
      break;
    }
    const record: u32 = RECORDS_BASE + count * RECORD_BYTES;
    count++;
    clear(record);
    put(record, RECORD_STREAM, bswap<u32>(load<u32>(p + 4)));
    const type: u32 = load<u8>(p + 8);
    put(record, RECORD_TYPE, type);
    put(record, RECORD_FLAGS, load<u8>(p + 9));
    p += HEADER;
    if (oversize) {
      put(record, RECORD_FAULT, FAULT_OVERSIZE);
      put(record, RECORD_PAYLOAD_LENGTH, length);
      break;
    }
    readData(record, type, p, p + length);
    p += length;
  }
  store<u32>(STATE_BASE + STATE_CONSUMED * 4, p);
  store<u32>(STATE_BASE + STATE_NEEDED * 4, needed);
  return count;
}

/** Makes the RECORD_BYTES of a record zeros: memory.fill is a call out of WASM, and most words of most records stay zero. */
function clear(record: u32): void {
  const zeros = i64x2.splat(0);
  v128.store(record, zeros);
  v128.store(record + 16, zeros);
  v128.store(record + 32, zeros);
  v128.store(record + 48, zeros);
}

function readData(record: u32, type: u32, start: u32, end: u32): void {
  let valid = true;
  if (type === TYPE_REQUEST) valid = readRequest(record, start, end);
  else if (type === TYPE_RESPONSE) valid = readResponse(record, start, end);
  else if (type === TYPE_DATA) {
    put(record, RECORD_PAYLOAD, start);
    put(record, RECORD_PAYLOAD_LENGTH, end - start);
  }
  if (!valid) put(record, RECORD_FAULT, FAULT_ENVELOPE);
}
