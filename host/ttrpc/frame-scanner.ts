/**
 * The JavaScript twin of assembly/ttrpc/{scan,envelope,wire}.ts: test oracle, control in benchmarks, and the scanner
 * of frames larger than the read window, which so never touch WASM memory (touched pages are never given back).
 */
import {
  FAULT_ENVELOPE,
  FAULT_OVERSIZE,
  MAX_RECORDS,
  RECORD_CODE,
  RECORD_DETAILS,
  RECORD_DETAILS_LENGTH,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_HASH,
  RECORD_METADATA,
  RECORD_METADATA_LENGTH,
  RECORD_METHOD,
  RECORD_METHOD_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_SERVICE,
  RECORD_SERVICE_LENGTH,
  RECORD_STREAM,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
  RECORD_TYPE,
  RECORD_WORDS,
  STATE_CONSUMED,
  STATE_NEEDED,
  STATE_WORDS,
  TYPE_DATA,
  TYPE_REQUEST,
  TYPE_RESPONSE,
} from '../../assembly/layout.ts';
import type { FrameScanner } from './frames.ts';
import { HEADER_BYTES, MAX_DATA_BYTES } from './types.ts';

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_GROUP = 3;
const WIRE_GROUP_END = 4;
const WIRE_FIXED32 = 5;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a's step, 32 bits, for every four bytes of [start, end), little-endian, then for each byte that is left. */
function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number = FNV_OFFSET): number {
  let hash = seed;
  let p = start;
  for (; end - p >= 4; p += 4) {
    const word =
      (bytes[p] as number) |
      ((bytes[p + 1] as number) << 8) |
      ((bytes[p + 2] as number) << 16) |
      ((bytes[p + 3] as number) << 24);
    hash = Math.imul(hash ^ word, FNV_PRIME);
  }
  for (; p < end; p++) hash = Math.imul(hash ^ (bytes[p] as number), FNV_PRIME);
  return hash >>> 0;
}

/** RECORD_HASH of a request to that method. */
export function hashNames(service: Uint8Array, method: Uint8Array): number {
  return hashBytes(method, 0, method.length, hashSlash(hashBytes(service, 0, service.length)));
}

function hashSlash(seed: number): number {
  return Math.imul(seed ^ 0x2f, FNV_PRIME);
}

export class JsScanner implements FrameScanner {
  readonly records: Uint32Array;
  readonly state = new Uint32Array(STATE_WORDS);
  #at = 0;
  /** The last varint's bits 32 to 63. */
  #high = 0;
  #failed = false;

  /** @param capacity most records of one scan */
  constructor(
    readonly bytes: Uint8Array,
    readonly capacity: number = MAX_RECORDS,
  ) {
    this.records = new Uint32Array(capacity * RECORD_WORDS);
  }

  scan(start: number, end: number): number {
    const { bytes, records, state } = this;
    let p = start;
    let count = 0;
    let needed = 0;
    while (count < this.capacity && end - p >= HEADER_BYTES) {
      const length = this.#word(p);
      const oversize = length > MAX_DATA_BYTES;
      if (!oversize && length > end - p - HEADER_BYTES) {
        needed = HEADER_BYTES + length;
        break;
      }
      const record = count++ * RECORD_WORDS;
      const type = bytes[p + 8] as number;
      records.fill(0, record, record + RECORD_WORDS);
      records[record + RECORD_STREAM] = this.#word(p + 4);
      records[record + RECORD_TYPE] = type;
      records[record + RECORD_FLAGS] = bytes[p + 9] as number;
      p += HEADER_BYTES;
      if (oversize) {
        records[record + RECORD_FAULT] = FAULT_OVERSIZE;
        records[record + RECORD_PAYLOAD_LENGTH] = length;
        break;
      }
      this.#at = p;
      this.#failed = false;
      p += length;
      this.#data(record, type, p);
    }
    state[STATE_CONSUMED] = p;
    state[STATE_NEEDED] = needed;
    return count;
  }

  #word(p: number): number {
    const { bytes } = this;
    return (
      (((bytes[p] as number) << 24) |
        ((bytes[p + 1] as number) << 16) |
        ((bytes[p + 2] as number) << 8) |
        (bytes[p + 3] as number)) >>>
      0
    );
  }

  #data(record: number, type: number, end: number): void {
    if (type === TYPE_REQUEST) this.#request(record, end);
    else if (type === TYPE_RESPONSE) this.#response(record, end);
    else if (type === TYPE_DATA) {
      this.records[record + RECORD_PAYLOAD] = this.#at;
      this.records[record + RECORD_PAYLOAD_LENGTH] = end - this.#at;
    }
    if (this.#failed) this.records[record + RECORD_FAULT] = FAULT_ENVELOPE;
  }

  #request(record: number, end: number): void {
    const { bytes, records } = this;
    let p = this.#at;
    let service = p;
    let serviceEnd = p;
    let method = p;
    let methodEnd = p;
    while (p < end) {
      const field = p;
      const tag = this.#tagAt(p, end);
      p = this.#at;
      if (this.#failed) return;
      if ((tag & 7) === WIRE_BYTES) {
        const length = this.#lengthAt(p, end);
        if (this.#failed) return;
        const from = this.#at;
        p = from + length;
        if (tag === 0x0a) {
          service = from;
          serviceEnd = p;
        } else if (tag === 0x12) {
          method = from;
          methodEnd = p;
        } else if (tag === 0x1a) {
          records[record + RECORD_PAYLOAD] = from;
          records[record + RECORD_PAYLOAD_LENGTH] = length;
        } else if (tag === 0x2a) {
          this.#at = p;
          this.#stretch(record, RECORD_METADATA, RECORD_METADATA_LENGTH, field);
        }
      } else {
        if (tag === 0x20) {
          records[record + RECORD_TIMEOUT_LOW] = this.#varint(end);
          records[record + RECORD_TIMEOUT_HIGH] = this.#high;
        } else this.#skip(tag & 7, end);
        if (this.#failed) return;
        p = this.#at;
      }
    }
    records[record + RECORD_SERVICE] = service;
    records[record + RECORD_SERVICE_LENGTH] = serviceEnd - service;
    records[record + RECORD_METHOD] = method;
    records[record + RECORD_METHOD_LENGTH] = methodEnd - method;
    const hash = hashSlash(hashBytes(bytes, service, serviceEnd));
    records[record + RECORD_HASH] = hashBytes(bytes, method, methodEnd, hash);
  }

  /** The tag at p; the cursor is behind it. */
  #tagAt(p: number, end: number): number {
    const first = this.bytes[p] as number;
    if (first < 0x80) {
      if (first < 8) this.#failed = true;
      this.#at = p + 1;
      return first;
    }
    this.#at = p;
    return this.#tag(end);
  }

  /** The length at p; the cursor is behind it. */
  #lengthAt(p: number, end: number): number {
    const first = p < end ? (this.bytes[p] as number) : 0x80;
    let length = first;
    if (first < 0x80) this.#at = p + 1;
    else {
      this.#at = p;
      length = this.#varint(end);
      if (this.#high !== 0) this.#failed = true;
    }
    if (length > end - this.#at) this.#failed = true;
    return length;
  }

  #response(record: number, end: number): void {
    while (this.#at < end) {
      const field = this.#at;
      const tag = this.#tag(end);
      if (this.#failed) return;
      if (tag === 0x0a) {
        const status = this.#length(end);
        if (this.#failed) return;
        const stop = this.#at;
        this.#at = status;
        if (this.#status(record, stop)) this.#stretch(record, RECORD_DETAILS, RECORD_DETAILS_LENGTH, field);
      } else if (tag === 0x12) this.#span(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, this.#length(end));
      else this.#skip(tag & 7, end);
      if (this.#failed) return;
    }
  }

  /** @returns whether it has details */
  #status(record: number, end: number): boolean {
    let detailed = false;
    while (this.#at < end) {
      const tag = this.#tag(end);
      if (this.#failed) return false;
      if (tag === 0x08) this.records[record + RECORD_CODE] = this.#varint(end);
      else if (tag === 0x12) this.#span(record, RECORD_TEXT, RECORD_TEXT_LENGTH, this.#length(end));
      else {
        if (tag === 0x1a) detailed = true;
        this.#skip(tag & 7, end);
      }
      if (this.#failed) return false;
    }
    return detailed;
  }

  /** Notes the bytes from `start` to the cursor. */
  #span(record: number, word: number, lengthWord: number, start: number): void {
    this.records[record + word] = start;
    this.records[record + lengthWord] = this.#at - start;
  }

  /** Stretches a span from the first field of its kind to the cursor. A span of fields is never empty. */
  #stretch(record: number, word: number, lengthWord: number, field: number): void {
    const first = this.records[record + lengthWord] === 0 ? field : (this.records[record + word] as number);
    this.#span(record, word, lengthWord, first);
  }

  /** @returns the varint's low 32 bits; the rest is in #high */
  #varint(end: number): number {
    const { bytes } = this;
    let low = 0;
    this.#high = 0;
    for (let shift = 0; shift < 70 && this.#at < end; shift += 7) {
      const byte = bytes[this.#at++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        this.#high = bits >>> 4;
      } else if (shift < 63) this.#high |= bits << (shift - 32);
      else if (byte > 1) break;
      else this.#high |= byte << 31;
      if (byte < 0x80) return low >>> 0;
    }
    this.#failed = true;
    return 0;
  }

  #tag(end: number): number {
    const tag = this.#varint(end);
    if (this.#high !== 0 || tag < 8) this.#failed = true;
    return tag;
  }

  /** Steps over a length and its bytes. @returns where the bytes start; they end at the cursor */
  #length(end: number): number {
    const length = this.#varint(end);
    const start = this.#at;
    if (this.#high !== 0 || length > end - start) this.#failed = true;
    if (!this.#failed) this.#at += length;
    return start;
  }

  #skip(wire: number, end: number): void {
    let open = 0;
    let kind = wire;
    for (;;) {
      if (kind === WIRE_VARINT) this.#varint(end);
      else if (kind === WIRE_BYTES) this.#length(end);
      else if (kind === WIRE_FIXED64) this.#advance(8, end);
      else if (kind === WIRE_FIXED32) this.#advance(4, end);
      else if (kind === WIRE_GROUP) open++;
      else if (kind === WIRE_GROUP_END && open > 0) open--;
      else this.#failed = true;
      if (this.#failed || open === 0) return;
      kind = this.#varint(end) & 7;
    }
  }

  #advance(count: number, end: number): void {
    if (count > end - this.#at) this.#failed = true;
    else this.#at += count;
  }
}
