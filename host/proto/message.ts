/** What a message's table is, and the limits of what is encoded and decoded. */

/** Deepest nesting of messages that is decoded or encoded. */
export const MAX_DEPTH = 64;
/**
 * Most elements of all repeated fields and maps of one decoded message tree. A message counts one more for each of its fields, and an
 * entry of a map MAP_ENTRY_ELEMENTS: two bytes from a peer make hundreds here. As it is, some 45 MB are the most that a frame makes.
 */
export const MAX_ELEMENTS = 1_000_000;
/** What an entry of a map counts. */
export const MAP_ENTRY_ELEMENTS = 8;
/** Largest message that is decoded, bytes. A ttrpc frame holds 4 MiB; files we read ourselves stay below this too. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** A 64-bit integer: a number while it is safe to be one, a bigint beyond 2^53. */
export type Int64 = number | bigint;

export type ScalarType = 'string' | 'bytes' | 'bool' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'double';

/** One field: number, name, type, and how it occurs. `map` fields give their key type and value type. */
export type Field = readonly [
  number: number,
  name: string,
  type: ScalarType | MessageType<unknown>,
  occurs?: 'repeated' | 'optional' | 'map',
  key?: ScalarType,
];

/** What `encode` takes: any part of a message; absent fields keep proto3's default. */
export type Init<T> = T extends Uint8Array | bigint
  ? T
  : T extends (infer E)[]
    ? readonly Init<E>[]
    : T extends object
      ? { readonly [K in keyof T]?: Init<T[K]> | undefined }
      : T;

/** A message's table. `T` is the shape `decode` returns. */
export interface MessageType<T> {
  readonly name: string;
  /** Resolved at first use, so that a program pays only for the messages it meets. */
  readonly fields: () => readonly Field[];
  /** Never set: carries `T`. */
  readonly shape?: T;
}

/** Bytes that are not the message they should be, or exceed a limit. */
export class ProtoError extends Error {
  override readonly name = 'ProtoError';
}

/** Declares a message. Used by the generated tables only. */
export function message<T>(name: string, fields: () => readonly Field[]): MessageType<T> {
  let known: readonly Field[] | undefined;
  return {
    name,
    fields: () => {
      known ??= fields();
      return known;
    },
  };
}

/** Wire types of protobuf, https://protobuf.dev/programming-guides/encoding/#structure */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_GROUP = 3;
export const WIRE_GROUP_END = 4;
export const WIRE_FIXED32 = 5;

/** A message while its type is not known. */
export type Values = Record<string, unknown>;

/** The wire type a scalar is written with. */
export function wireOf(kind: ScalarType): number {
  if (kind === 'string' || kind === 'bytes') return WIRE_BYTES;
  return kind === 'double' ? WIRE_FIXED64 : WIRE_VARINT;
}
