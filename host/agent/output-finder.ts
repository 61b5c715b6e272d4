/**
 * Finds what a process wrote in the agent's answers: in assembly/stdio, and here its JavaScript twin, behind one interface and one list
 * of tests. The guest may be hostile: every length is checked.
 */
import {
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  STATE_OUTPUT_LENGTH,
  STATE_WORDS,
  TYPE_RESPONSE,
} from '../../assembly/layout.ts';
import { type Core, core } from '../core/core.ts';
import type { FrameScanner } from '../ttrpc/frames.ts';
import { frameMemory } from '../ttrpc/memory.ts';

/** Tags: field number * 8 + wire type. */
const RESPONSE_PAYLOAD = 0x12;
const OUTPUT_DATA = 0x0a;
const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_GROUP = 3;
const WIRE_GROUP_END = 4;
const WIRE_FIXED32 = 5;
/** Most bytes of a varint. */
const VARINT_BYTES = 10;

/** Addresses are indexes of `bytes`. */
export interface OutputFinder {
  readonly bytes: Uint8Array;
  readonly state: Uint32Array;
  /**
   * The data of the ReadStreamResponse in [start, end); its length is in STATE_OUTPUT_LENGTH.
   * @returns its address, 0 if the bytes are no protobuf message
   */
  output(start: number, end: number): number;
  /**
   * Where data begins in a ttrpc frame of which only [start, end) has arrived, if nothing but data follows.
   * @returns the address of its first byte, at most `end`; 0 if the frame is of another shape, or that cannot be told yet
   */
  outputStart(start: number, end: number): number;
}

/** The WASM core as a finder in its own memory. Where the core traps it throws a KataError `internal`, and the twin takes over. */
export function wasmFinder({ memory, state, exports, traps }: Core): OutputFinder {
  const twin = new JsFinder(memory, state);
  const call = (name: 'findOutput' | 'findOutputStart', start: number, end: number): number => {
    try {
      return exports[name](start, end);
    } catch (thrown) {
      throw traps.note(name, thrown);
    }
  };
  return {
    bytes: memory,
    state,
    output: (start, end) => (traps.first ? twin.output(start, end) : call('findOutput', start, end)),
    outputStart: (start, end) => (traps.first ? twin.outputStart(start, end) : call('findOutputStart', start, end)),
  };
}

let shared: OutputFinder | undefined;

/** What finds output in the memory that sockets read into. */
function finder(): OutputFinder {
  shared ??= finderIn(frameMemory().scanner.bytes);
  return shared;
}

function finderIn(bytes: Uint8Array): OutputFinder {
  try {
    const wasm = core();
    if (wasm.memory.buffer === bytes.buffer) return wasmFinder(wasm);
  } catch {
    // No WebAssembly here: the memory is of the heap.
  }
  return new JsFinder(bytes);
}

/**
 * The data of a ReadStreamResponse, without a copy.
 * @returns undefined for bytes that are none
 */
export function outputIn(payload: Uint8Array): Uint8Array | undefined {
  // A frame larger than the window was gathered elsewhere.
  const common = finder();
  const own = payload.buffer === common.bytes.buffer ? common : new JsFinder(payload);
  const start = own === common ? payload.byteOffset : 0;
  const data = own.output(start, start + payload.length);
  return data === 0 && payload.length > 0 ? undefined : viewOf(own, data);
}

function viewOf({ bytes, state }: OutputFinder, data: number): Uint8Array {
  return bytes.subarray(data, data + (state[STATE_OUTPUT_LENGTH] as number));
}

/**
 * Where output begins in a frame that has not arrived whole.
 * @param scanner of the frame
 * @returns the address of its first byte; 0: it has to be kept
 */
export function outputStartIn({ bytes }: FrameScanner, start: number, end: number): number {
  const common = finder();
  return bytes === common.bytes ? common.outputStart(start, end) : 0;
}

export class JsFinder implements OutputFinder {
  /** Where reading has come to; -1 after something malformed. */
  #at = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly state: Uint32Array = new Uint32Array(STATE_WORDS),
  ) {}

  output(start: number, end: number): number {
    let data = end;
    let length = 0;
    this.#at = start;
    while (this.#at < end) {
      const tag = this.#varint(end);
      // Field numbers go from 1 to 2^29 - 1.
      if (this.#at < 0 || tag < 8 || tag > 0xffff_ffff) return 0;
      if (tag === OUTPUT_DATA) {
        length = this.#length(end);
        data = this.#at - length;
      } else this.#skip(tag & 7, end);
      if (this.#at < 0) return 0;
    }
    this.state[STATE_OUTPUT_LENGTH] = length;
    return data;
  }

  outputStart(start: number, end: number): number {
    const { bytes } = this;
    if (end - start < FRAME_HEADER_BYTES) return 0;
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(start, start + 4);
    const length = a * 0x100_0000 + (b << 16) + (c << 8) + d;
    if (length > FRAME_MAX_DATA_BYTES || bytes[start + 8] !== TYPE_RESPONSE || bytes[start + 9] !== 0) return 0;
    const stop = start + FRAME_HEADER_BYTES + length;
    const payload = this.#lastField(start + FRAME_HEADER_BYTES, RESPONSE_PAYLOAD, end, stop);
    return payload === 0 ? 0 : this.#lastField(payload, OUTPUT_DATA, end, stop);
  }

  #lastField(at: number, tag: number, end: number, stop: number): number {
    const limit = Math.min(end, stop);
    if (at >= limit || this.bytes[at] !== tag) return 0;
    let p = at + 1;
    let length = 0;
    for (let shift = 0; shift < 28 && p < limit; shift += 7) {
      const byte = this.bytes[p++] as number;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) return length === stop - p ? p : 0;
    }
    return 0;
  }

  /** Exact up to 2^53, which is enough: lengths and tags are compared, other values are skipped. */
  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    const limit = Math.min(end, this.#at + VARINT_BYTES);
    for (let p = this.#at; p < limit; p++) {
      const byte = this.bytes[p] as number;
      // Only one bit of the tenth byte is left of 64.
      if (p === this.#at + VARINT_BYTES - 1 && byte > 1) break;
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        this.#at = p + 1;
        return value;
      }
    }
    this.#at = -1;
    return 0;
  }

  /** Reads a length and steps over as many bytes. */
  #length(end: number): number {
    const length = this.#varint(end);
    if (this.#at < 0) return 0;
    this.#advance(length, end);
    return this.#at < 0 ? 0 : length;
  }

  #advance(count: number, end: number): void {
    this.#at = count > end - this.#at ? -1 : this.#at + count;
  }

  /** Skips the value of an unknown field. Groups are counted, not recursed into. */
  #skip(wire: number, end: number): void {
    let open = 0;
    for (let kind = wire; ; ) {
      if (kind === WIRE_VARINT) this.#varint(end);
      else if (kind === WIRE_BYTES) this.#length(end);
      else if (kind === WIRE_FIXED64) this.#advance(8, end);
      else if (kind === WIRE_FIXED32) this.#advance(4, end);
      else if (kind === WIRE_GROUP) open++;
      else if (kind === WIRE_GROUP_END && open > 0) open--;
      else this.#at = -1;
      if (this.#at < 0 || open === 0) return;
      // A varint's lowest bits are in its first byte.
      kind = (this.bytes[this.#at] ?? 0) & 7;
      this.#varint(end);
      if (this.#at < 0) return;
    }
  }
}
