/**
 * Protobuf encoding and decoding driven by the tables in ./messages (generated from proto/).
 *
 * One codec serves the shim and the guest agent. It knows proto3 as our files use it: scalars, strings,
 * bytes, enums, messages, maps, repeated (packed numbers are written, both forms are read) and `optional`.
 * What it decodes may come from a hostile peer, so every length is checked against what is left, nesting and
 * element counts are limited, and unknown fields (groups too) are skipped without recursion.
 * https://protobuf.dev/programming-guides/encoding/
 */

import { type Init, MAX_MESSAGE_BYTES, type MessageType, ProtoError } from './message.ts';
import { Reader, readMessage } from './read.ts';
import { Writer, writeMessage } from './write.ts';

export {
  type Field,
  type Init,
  type Int64,
  MAP_ENTRY_ELEMENTS,
  MAX_DEPTH,
  MAX_ELEMENTS,
  MAX_MESSAGE_BYTES,
  type MessageType,
  message,
  ProtoError,
  type ScalarType,
} from './message.ts';

/**
 * Encodes a message. Fields that hold proto3's default are left out; `optional` ones are written when they are set.
 * @throws ProtoError where a value does not fit its field's type, or nesting exceeds MAX_DEPTH
 */
export function encode<T>(type: MessageType<T>, value: Init<T>): Uint8Array {
  const writer = new Writer();
  writeMessage(writer, type as MessageType<unknown>, value as Record<string, unknown>, 0);
  return writer.finish();
}

/**
 * Decodes a message. Absent scalars, lists and maps take proto3's default, absent messages stay undefined.
 * A singular message that occurs twice is merged, a scalar's last value wins (proto3's rule).
 * `bytes` fields are views of `data`, not copies: copy what outlives it.
 * @throws ProtoError on truncated or malformed data and where a limit is exceeded
 */
export function decode<T>(type: MessageType<T>, data: Uint8Array): T {
  if (data.length > MAX_MESSAGE_BYTES) {
    throw new ProtoError(`${type.name}: ${data.length} bytes exceed the limit of ${MAX_MESSAGE_BYTES}`);
  }
  const reader = new Reader(data);
  return readMessage(reader, type as MessageType<unknown>, data.length, undefined, 0) as T;
}
