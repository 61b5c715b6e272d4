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
import { endOf, numberOf, readLength, readTag, readVarint, skip, varint, WIRE_BYTES } from './wire';

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
  let p = start;
  while (p < end) {
    const field = p;
    const read = readTag(p, end);
    const tag = numberOf(read);
    p = endOf(read);
    if (p === 0) return false;
    if ((tag & 7) === WIRE_BYTES) {
      const counted = readLength(p, end);
      const bytes = endOf(counted);
      const length = numberOf(counted);
      if (bytes === 0) return false;
      p = bytes + length;
      if (tag === REQUEST_SERVICE) {
        service = bytes;
        serviceLength = length;
      } else if (tag === REQUEST_METHOD) {
        method = bytes;
        methodLength = length;
      } else if (tag === REQUEST_PAYLOAD) putSpan(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, bytes, p);
      else if (tag === REQUEST_METADATA) stretchSpan(record, RECORD_METADATA, RECORD_METADATA_LENGTH, field, p);
    } else if (tag === REQUEST_TIMEOUT) {
      p = readVarint(p, end);
      if (p === 0) return false;
      put(record, RECORD_TIMEOUT_LOW, varint as u32);
      put(record, RECORD_TIMEOUT_HIGH, (varint >> 32) as u32);
    } else {
      p = skip(tag & 7, p, end);
      if (p === 0) return false;
    }
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
  let p = start;
  while (p < end) {
    const field = p;
    const read = readTag(p, end);
    const tag = numberOf(read);
    p = endOf(read);
    if (p === 0) return false;
    if ((tag & 7) === WIRE_BYTES) {
      const counted = readLength(p, end);
      const bytes = endOf(counted);
      if (bytes === 0) return false;
      p = bytes + numberOf(counted);
      if (tag === RESPONSE_PAYLOAD) putSpan(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, bytes, p);
      else if (tag === RESPONSE_STATUS && !readStatus(record, field, bytes, p)) return false;
    } else {
      p = skip(tag & 7, p, end);
      if (p === 0) return false;
    }
  }
  return true;
}

/** @param field where the status' own tag is */
function readStatus(record: u32, field: u32, start: u32, end: u32): bool {
  let p = start;
  while (p < end) {
    const read = readTag(p, end);
    const tag = numberOf(read);
    p = endOf(read);
    if (p === 0) return false;
    if ((tag & 7) === WIRE_BYTES) {
      const counted = readLength(p, end);
      const bytes = endOf(counted);
      if (bytes === 0) return false;
      p = bytes + numberOf(counted);
      if (tag === STATUS_MESSAGE) putSpan(record, RECORD_TEXT, RECORD_TEXT_LENGTH, bytes, p);
      else if (tag === STATUS_DETAILS) stretchSpan(record, RECORD_DETAILS, RECORD_DETAILS_LENGTH, field, end);
    } else if (tag === STATUS_CODE) {
      p = readVarint(p, end);
      if (p === 0) return false;
      put(record, RECORD_CODE, varint as u32);
    } else {
      p = skip(tag & 7, p, end);
      if (p === 0) return false;
    }
  }
  return true;
}

/** Notes the bytes [start, end). */
function putSpan(record: u32, word: u32, lengthWord: u32, start: u32, end: u32): void {
  put(record, word, start);
  put(record, lengthWord, end - start);
}

/** Stretches a span from the first field of its kind to `end`. No field starts at address 0: that is the null page. */
function stretchSpan(record: u32, word: u32, lengthWord: u32, field: u32, end: u32): void {
  const known = load<u32>(record + word * 4);
  putSpan(record, word, lengthWord, known === 0 ? field : known, end);
}

/** FNV-1a's step for every four bytes, little-endian, then for each byte that is left. */
function hashBytes(seed: u32, start: u32, length: u32): u32 {
  let hash = seed;
  let p = start;
  const end = start + length;
  for (; end - p >= 4; p += 4) hash = (hash ^ load<u32>(p)) * FNV_PRIME;
  for (; p < end; p++) hash = (hash ^ (load<u8>(p) as u32)) * FNV_PRIME;
  return hash;
}
