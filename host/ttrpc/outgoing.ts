/** The frames we send, where they wait for their turn: payloads are copies that nobody changes any more. */
import { STATE_FRAME_END } from '../../assembly/layout.ts';
import { encode, type Init } from '../proto/codec.ts';
import { type KeyValue, Request } from '../proto/messages/ttrpc.ts';
import type { FrameWriter } from './frames.ts';
import type { StatusValue } from './status.ts';
import { HEADER_BYTES } from './types.ts';

/** Bytes a frame takes beyond its payload, names, status text and metadata, at most. */
export const FRAME_OVERHEAD_BYTES = 48;

/** Flags of requests and data frames. */
export const FLAG_REMOTE_CLOSED = 1;
export const FLAG_REMOTE_OPEN = 2;
export const FLAG_NO_DATA = 4;

export interface Frame {
  /** What it takes at most, bytes. */
  readonly bytes: number;
  /** Writes it. @returns the address behind it, 0 if it does not fit before `limit` */
  put(writer: FrameWriter, at: number, limit: number): number;
}

const NO_BYTES = new Uint8Array(0);

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
    this.bytes = this.#text.length + status.details.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const { code, details } = this.status;
    const text = writer.status(at, limit, this.stream, code, this.#text.length, details.length);
    if (text === 0) return 0;
    place(writer, this.#text, text);
    return place(writer, details, (writer.state[STATE_FRAME_END] as number) - details.length);
  }
}

/** A message of a stream, or its end. */
export class DataFrame implements Frame {
  readonly bytes: number;

  /** @param flags FLAG_REMOTE_CLOSED, FLAG_NO_DATA */
  constructor(
    readonly stream: number,
    readonly flags: number,
    readonly payload: Uint8Array,
  ) {
    this.bytes = payload.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const payload = writer.data(at, limit, this.stream, this.flags, this.payload.length);
    return payload === 0 ? 0 : place(writer, this.payload, payload);
  }
}

/** A call, or the opening of a stream. */
export class RequestFrame implements Frame {
  readonly bytes: number;

  /**
   * @param flags FLAG_REMOTE_CLOSED or FLAG_REMOTE_OPEN of a stream; 0: unary
   * @param names encoded service and method: `encodeNames`
   * @param timeout nanoseconds, 0: none
   * @param metadata encoded metadata fields: `encodeMetadata`
   */
  constructor(
    readonly stream: number,
    readonly flags: number,
    readonly names: Uint8Array,
    readonly payload: Uint8Array,
    readonly timeout: number,
    readonly metadata: Uint8Array,
  ) {
    this.bytes = names.length + payload.length + metadata.length + FRAME_OVERHEAD_BYTES;
  }

  put(writer: FrameWriter, at: number, limit: number): number {
    const { stream, flags, names, payload, timeout, metadata } = this;
    const low = timeout >>> 0;
    const high = Math.floor(timeout / 0x1_0000_0000) >>> 0;
    const { length } = payload;
    const start = writer.request(at, limit, stream, flags, names.length, length, low, high, metadata.length);
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
  if (!metadata) return NO_BYTES;
  const pairs: Init<KeyValue>[] = Object.entries(metadata).map(([key, value]) => ({ key: key.toLowerCase(), value }));
  return encode(Request, { metadata: pairs });
}

/** @returns the address behind them */
function place(writer: FrameWriter, bytes: Uint8Array, at: number): number {
  if (bytes.length > 0) writer.bytes.set(bytes, at);
  return at + bytes.length;
}
