/** ttrpc frames as the server writes them. */
import { encode, type MessageType } from '../../host/proto/codec.ts';
import { Response } from '../../host/proto/messages/ttrpc.ts';
import { AgentError } from './error.ts';
import type { Held } from './held.ts';

/** Bytes of a header: u32 data length, u32 stream id, u8 type, u8 flags; big endian. */
export const HEADER_BYTES = 10;
/** Largest data length of a frame, bytes. */
export const MAX_DATA_BYTES = 4 * 1024 * 1024;
/** Longest text of a status, UTF-16 units: an error may quote what a container wrote. */
export const MAX_STATUS_CHARS = 16 * 1024;
export const TYPE_REQUEST = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_DATA = 3;
/** The sender will send more: a streaming request. */
export const FLAG_REMOTE_OPEN = 2;

/** Below this it is cheaper to copy a payload than to hand the kernel two pieces, bytes. */
const COPY_BYTES = 4096;
/** Response.payload: field 2, length-delimited. */
const PAYLOAD_TAG = 0x12;

/**
 * An answer, as chunks to be written one after the other. The bytes of a message whose only field is `bytes` (stream
 * data) are sent as they are, not copied.
 * @throws AgentError `resource_exhausted` if it does not fit a frame; ProtoError if `value` does not fit its type
 */
export function responseFrame(stream: number, type: MessageType<unknown>, value: unknown): Uint8Array[] {
  const field = type.fields().length === 1 ? type.fields()[0] : undefined;
  if (field?.[2] === 'bytes' && field[3] === undefined) {
    const data = (value as Record<string, Uint8Array | undefined>)[field[1]];
    if (data instanceof Uint8Array && data.length >= COPY_BYTES) return wrap(stream, data, field[0] * 8 + 2);
  }
  return wrap(stream, encode(type, value as object), undefined);
}

/**
 * An answer whose bytes are in the kernel.
 * @throws Error if the message has other fields than one of `bytes`
 */
export function heldFrame(stream: number, type: MessageType<unknown>, held: Held): (Uint8Array | Held)[] {
  const field = type.fields()[0];
  if (type.fields().length !== 1 || field?.[2] !== 'bytes') throw new Error('only bytes can be held');
  return [start(stream, held.length, field[0] * 8 + 2), held];
}

/** An answer that says why there is none. */
export function statusFrame(stream: number, code: number, text: string): Uint8Array[] {
  const data = encode(Response, { status: { code, message: text.slice(0, MAX_STATUS_CHARS) } });
  return [joined(header(stream, data.length), data)];
}

/** Puts a frame around a payload, or around the bytes (field `tag`) that make up a payload. */
function wrap(stream: number, payload: Uint8Array, tag: number | undefined): Uint8Array[] {
  const head = start(stream, payload.length, tag);
  return payload.length < COPY_BYTES ? [joined(head, payload)] : [head, payload];
}

/** Everything of a frame that comes before so many bytes of payload, or of the field `tag` that makes up the payload. */
function start(stream: number, bytes: number, tag: number | undefined): Uint8Array {
  const head: number[] = [];
  if (tag !== undefined) {
    head.push(PAYLOAD_TAG);
    pushVarint(head, 1 + varintBytes(bytes) + bytes);
    head.push(tag);
    pushVarint(head, bytes);
  } else if (bytes > 0) {
    head.push(PAYLOAD_TAG);
    pushVarint(head, bytes);
  }
  const length = head.length + bytes;
  if (length > MAX_DATA_BYTES) {
    throw new AgentError('resource_exhausted', `an answer of ${length} bytes exceeds the limit of ${MAX_DATA_BYTES}`);
  }
  return joined(header(stream, length), Uint8Array.from(head));
}

function header(stream: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  view.setUint32(4, stream);
  bytes[8] = TYPE_RESPONSE;
  return bytes;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) count++;
  return count;
}

function pushVarint(into: number[], value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    into.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  into.push(rest);
}
