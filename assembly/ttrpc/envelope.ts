/** Reads the protobuf messages ttrpc.Request and ttrpc.Response (proto/ttrpc.proto) into a record. */
import {
  RECORD_CODE,
  RECORD_DETAILS,
  RECORD_DETAILS_LENGTH,
  RECORD_HASH,
  RECORD_METADATA,
  RECORD_METADATA_LENGTH,
  RECORD_METHOD,
  RECORD_METHOD_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_SERVICE,
  RECORD_SERVICE_LENGTH,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
} from '../layout';
import { put } from './record';
import { hasFailed, here, readLength, readTag, readVarint, seek, skip } from './wire';

// A tag is field number * 8 + wire type.
const REQUEST_SERVICE: u32 = 0x0a;
const REQUEST_METHOD: u32 = 0x12;
const REQUEST_PAYLOAD: u32 = 0x1a;
const REQUEST_TIMEOUT: u32 = 0x20;
const REQUEST_METADATA: u32 = 0x2a;
const RESPONSE_STATUS: u32 = 0x0a;
const RESPONSE_PAYLOAD: u32 = 0x12;
const STATUS_CODE: u32 = 0x08;
const STATUS_MESSAGE: u32 = 0x12;
const STATUS_DETAILS: u32 = 0x1a;

/** Of FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
const FNV_OFFSET: u32 = 0x811c9dc5;
const FNV_PRIME: u32 = 0x01000193;
const SLASH: u32 = 0x2f;

/**
 * Fills the record with the Request in [start, end). A field that occurs twice counts with its last value.
 * @returns false if the bytes are no protobuf message
 */
export function readRequest(record: u32, start: u32, end: u32): bool {
  let service: u32 = start;
  let serviceLength: u32 = 0;
  let method: u32 = start;
  let methodLength: u32 = 0;
  seek(start);
  while (here() < end) {
    const field = here();
    const tag = readTag(end);
    if (hasFailed()) return false;
    if (tag === REQUEST_SERVICE) {
      serviceLength = readLength(end);
      service = here() - serviceLength;
    } else if (tag === REQUEST_METHOD) {
      methodLength = readLength(end);
      method = here() - methodLength;
    } else if (tag === REQUEST_PAYLOAD) {
      putSpan(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, readLength(end));
    } else if (tag === REQUEST_TIMEOUT) {
      const timeout = readVarint(end);
      put(record, RECORD_TIMEOUT_LOW, timeout as u32);
      put(record, RECORD_TIMEOUT_HIGH, (timeout >> 32) as u32);
    } else if (tag === REQUEST_METADATA) {
      readLength(end);
      stretchSpan(record, RECORD_METADATA, RECORD_METADATA_LENGTH, field);
    } else skip(tag & 7, end);
    if (hasFailed()) return false;
  }
  put(record, RECORD_SERVICE, service);
  put(record, RECORD_SERVICE_LENGTH, serviceLength);
  put(record, RECORD_METHOD, method);
  put(record, RECORD_METHOD_LENGTH, methodLength);
  const hash = (hashBytes(FNV_OFFSET, service, serviceLength) ^ SLASH) * FNV_PRIME;
  put(record, RECORD_HASH, hashBytes(hash, method, methodLength));
  return true;
}

/**
 * Fills the record with the Response in [start, end). A status that occurs twice is merged.
 * @returns false if the bytes are no protobuf message
 */
export function readResponse(record: u32, start: u32, end: u32): bool {
  seek(start);
  while (here() < end) {
    const field = here();
    const tag = readTag(end);
    if (hasFailed()) return false;
    if (tag === RESPONSE_STATUS) {
      const length = readLength(end);
      if (hasFailed()) return false;
      const stop = here();
      seek(stop - length);
      if (readStatus(record, stop)) stretchSpan(record, RECORD_DETAILS, RECORD_DETAILS_LENGTH, field);
    } else if (tag === RESPONSE_PAYLOAD) {
      putSpan(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, readLength(end));
    } else skip(tag & 7, end);
    if (hasFailed()) return false;
  }
  return true;
}

/** @returns whether it has details */
function readStatus(record: u32, end: u32): bool {
  let detailed = false;
  while (here() < end) {
    const tag = readTag(end);
    if (hasFailed()) return false;
    if (tag === STATUS_CODE) put(record, RECORD_CODE, readVarint(end) as u32);
    else if (tag === STATUS_MESSAGE) putSpan(record, RECORD_TEXT, RECORD_TEXT_LENGTH, readLength(end));
    else {
      if (tag === STATUS_DETAILS) detailed = true;
      skip(tag & 7, end);
    }
    if (hasFailed()) return false;
  }
  return detailed;
}

/** Notes the `length` bytes that end at the cursor. */
function putSpan(record: u32, word: u32, lengthWord: u32, length: u32): void {
  put(record, word, here() - length);
  put(record, lengthWord, length);
}

/** Stretches a span from the first field of its kind to the cursor. No field starts at address 0: that is the null page. */
function stretchSpan(record: u32, word: u32, lengthWord: u32, field: u32): void {
  const known = load<u32>(record + word * 4);
  const first = known === 0 ? field : known;
  put(record, word, first);
  put(record, lengthWord, here() - first);
}

function hashBytes(seed: u32, start: u32, length: u32): u32 {
  let hash = seed;
  const end = start + length;
  for (let p = start; p < end; p++) hash = (hash ^ (load<u8>(p) as u32)) * FNV_PRIME;
  return hash;
}
