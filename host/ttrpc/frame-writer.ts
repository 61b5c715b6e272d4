/** The JavaScript twin of assembly/ttrpc/write.ts: writes where the output region is taken or too small. */
import { STATE_FRAME_END, STATE_WORDS, TYPE_DATA, TYPE_REQUEST, TYPE_RESPONSE } from '../../assembly/layout.ts';
import type { FrameWriter } from './frames.ts';
import { HEADER_BYTES, MAX_DATA_BYTES } from './types.ts';

export class JsWriter implements FrameWriter {
  readonly #view: DataView;

  /** @param state where results beyond return values are left */
  constructor(
    readonly bytes: Uint8Array,
    readonly state: Uint32Array = new Uint32Array(STATE_WORDS),
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  response(at: number, limit: number, stream: number, payloadLength: number): number {
    const data = fieldBytes(payloadLength);
    if (!this.#header(at, limit, data, stream, TYPE_RESPONSE, 0)) return 0;
    const p = at + HEADER_BYTES;
    return payloadLength === 0 ? p : this.#field(p, 0x12, payloadLength, 0);
  }

  status(at: number, limit: number, stream: number, code: number, textLength: number, detailsLength: number): number {
    const status = (code === 0 ? 0 : 1 + varintBytes(code, 0)) + fieldBytes(textLength) + detailsLength;
    const data = 1 + varintBytes(status, 0) + status;
    if (!this.#header(at, limit, data, stream, TYPE_RESPONSE, 0)) return 0;
    let p = this.#field(at + HEADER_BYTES, 0x0a, status, 0);
    if (code !== 0) p = this.#field(p, 0x08, code, 0);
    this.state[STATE_FRAME_END] = at + HEADER_BYTES + data;
    return textLength === 0 ? p : this.#field(p, 0x12, textLength, 0);
  }

  data(at: number, limit: number, stream: number, flags: number, payloadLength: number): number {
    return this.#header(at, limit, payloadLength, stream, TYPE_DATA, flags) ? at + HEADER_BYTES : 0;
  }

  request(
    at: number,
    limit: number,
    stream: number,
    flags: number,
    namesLength: number,
    payloadLength: number,
    timeoutLow: number,
    timeoutHigh: number,
    metadataLength: number,
  ): number {
    const timed = timeoutLow !== 0 || timeoutHigh !== 0;
    const timeoutBytes = timed ? 1 + varintBytes(timeoutLow, timeoutHigh) : 0;
    const data = namesLength + fieldBytes(payloadLength) + timeoutBytes + metadataLength;
    if (!this.#header(at, limit, data, stream, TYPE_REQUEST, flags)) return 0;
    let payload = at + HEADER_BYTES + namesLength;
    if (payloadLength !== 0) payload = this.#field(payload, 0x1a, payloadLength, 0);
    if (timed) this.#field(payload + payloadLength, 0x20, timeoutLow, timeoutHigh);
    this.state[STATE_FRAME_END] = at + HEADER_BYTES + data;
    return payload;
  }

  #header(at: number, limit: number, data: number, stream: number, type: number, flags: number): boolean {
    if (data > MAX_DATA_BYTES || HEADER_BYTES + data > limit - at) return false;
    this.#view.setUint32(at, data);
    this.#view.setUint32(at + 4, stream);
    this.bytes[at + 8] = type;
    this.bytes[at + 9] = flags;
    return true;
  }

  /** Writes a tag of one byte and a varint; returns where it ends. */
  #field(at: number, tag: number, low: number, high: number): number {
    const { bytes } = this;
    let p = at;
    bytes[p++] = tag;
    let rest = low;
    let above = high;
    while (rest > 0x7f || above !== 0) {
      bytes[p++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (above << 25)) >>> 0;
      above >>>= 7;
    }
    bytes[p++] = rest;
    return p;
  }
}

/** Bytes of a length-delimited field of one tag byte; 0 if it is empty and so left out. */
function fieldBytes(length: number): number {
  return length === 0 ? 0 : 1 + varintBytes(length, 0) + length;
}

function varintBytes(low: number, high: number): number {
  const bits = high === 0 ? 32 - Math.clz32(low) : 64 - Math.clz32(high);
  return Math.max(1, Math.ceil(bits / 7));
}
