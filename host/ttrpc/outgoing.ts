/** The frames we send. */
import { STATE_FRAME_END } from '../../assembly/layout.ts';
import { encode, type Init } from '../proto/codec.ts';
import { type KeyValue, Request } from '../proto/messages/ttrpc.ts';
import { FRAME_OVERHEAD_BYTES, type Frame } from './frame-queue.ts';
import type { FrameWriter } from './frames.ts';
import type { StatusValue } from './status.ts';
import { HEADER_BYTES } from './types.ts';

/** A call's successful answer. */
export class ResponseFrame implements Frame {
  readonly bytes: number;

  constructor(
    readonly stream: number,
    readonly payload: Uint8Array,
  ) {
    this.bytes = payload.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const payload = writer.response(at, limit, this.stream, this.payload.length);
    return payload === 0 ? 0 : place(writer, this.payload, payload);
  }
}

/** A call's failure. */
export class StatusFrame implements Frame {
  readonly bytes: number;
  readonly #text: Uint8Array;

  constructor(
    readonly stream: number,
    readonly status: StatusValue,
  ) {
    this.#text = Buffer.from(status.message);
    this.bytes = this.#text.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const text = writer.status(at, limit, this.stream, this.status.code, this.#text.length);
    return text === 0 ? 0 : place(writer, this.#text, text);
  }
}

/** A call. */
export class RequestFrame implements Frame {
  readonly bytes: number;

  /**
   * @param names encoded service and method: `encodeNames`
   * @param timeout nanoseconds, 0: none
   * @param metadata encoded metadata fields: `encodeMetadata`
   */
  constructor(
    readonly stream: number,
    readonly names: Uint8Array,
    readonly payload: Uint8Array,
    readonly timeout: number,
    readonly metadata: Uint8Array,
  ) {
    this.bytes = names.length + payload.length + metadata.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const { names, payload, timeout, metadata } = this;
    const low = timeout >>> 0;
    const high = Math.floor(timeout / 0x1_0000_0000) >>> 0;
    const { length } = payload;
    const start = writer.request(at, limit, this.stream, names.length, length, low, high, metadata.length);
    if (start === 0) return 0;
    const end = writer.state[STATE_FRAME_END] as number;
    place(writer, names, at + HEADER_BYTES);
    place(writer, payload, start);
    return place(writer, metadata, end - metadata.length);
  }
}

/** The service and method fields of a Request. */
export function encodeNames(service: string, method: string): Uint8Array {
  return encode(Request, { service, method });
}

/** The metadata fields of a Request; keys are sent in lower case. */
export function encodeMetadata(metadata: Readonly<Record<string, string>> | undefined): Uint8Array {
  if (!metadata) return new Uint8Array(0);
  const pairs: Init<KeyValue>[] = Object.entries(metadata).map(([key, value]) => ({ key: key.toLowerCase(), value }));
  return encode(Request, { metadata: pairs });
}

function place(writer: FrameWriter, bytes: Uint8Array, at: number): number {
  writer.bytes.set(bytes, at);
  return at + bytes.length;
}
