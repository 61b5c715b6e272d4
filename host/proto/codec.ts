/**
 * Protobuf encoding and decoding driven by the tables in ./messages (generated from proto/).
 *
 * One codec serves the shim and the guest agent. It knows proto3 as our files use it: scalars, strings,
 * bytes, enums, messages, maps, repeated (packed numbers are written, both forms are read) and `optional`.
 * What it decodes may come from a hostile peer, so every length is checked against what is left, nesting and
 * element counts are limited, and unknown fields (groups too) are skipped without recursion.
 * https://protobuf.dev/programming-guides/encoding/
 */

/** Deepest nesting of messages that is decoded or encoded. */
export const MAX_DEPTH = 64;
/** Most elements of all repeated fields and maps of one decoded message tree. */
export const MAX_ELEMENTS = 1_000_000;
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

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_GROUP = 3;
const WIRE_GROUP_END = 4;
const WIRE_FIXED32 = 5;

const utf8Decoder = new TextDecoder();
const utf8Encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);

type Values = Record<string, unknown>;

// ---- reading ----

/** A message type's fields by number, and a maker of its defaults. */
const plans = new WeakMap<MessageType<unknown>, Map<number, Field>>();

function planOf(type: MessageType<unknown>): Map<number, Field> {
  let plan = plans.get(type);
  if (!plan) {
    plan = new Map(type.fields().map((field) => [field[0], field]));
    plans.set(type, plan);
  }
  return plan;
}

function defaults(type: MessageType<unknown>): Values {
  const out: Values = {};
  for (const [, name, kind, occurs] of type.fields()) {
    if (occurs === 'repeated') out[name] = [];
    // No prototype: the peer chooses the keys, and `__proto__` must be one like any other.
    else if (occurs === 'map') out[name] = Object.create(null);
    else if (occurs === 'optional' || typeof kind === 'object') out[name] = undefined;
    else out[name] = defaultOf(kind);
  }
  return out;
}

function defaultOf(kind: ScalarType): unknown {
  if (kind === 'string') return '';
  if (kind === 'bytes') return EMPTY;
  if (kind === 'bool') return false;
  return 0;
}

class Reader {
  pos = 0;
  elements = 0;
  private readonly view: DataView;

  constructor(readonly data: Uint8Array) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  count(name: string): void {
    if (++this.elements > MAX_ELEMENTS) throw new ProtoError(`${name}: more than ${MAX_ELEMENTS} elements`);
  }

  /** A varint's low and high 32 bits; `high` is left in the field of that name. */
  high = 0;
  varint(end: number): number {
    let low = 0;
    this.high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= end) throw new ProtoError('truncated varint');
      const byte = this.data[this.pos++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        this.high |= bits >>> 4;
      } else if (shift < 63) this.high |= bits << (shift - 32);
      else {
        if (bits > 1) throw new ProtoError('varint of more than 64 bits');
        this.high |= bits << 31;
      }
      if (byte < 0x80) return low >>> 0;
    }
    throw new ProtoError('varint of more than 10 bytes');
  }

  length(end: number): number {
    const length = this.varint(end);
    if (this.high !== 0 || length > end - this.pos) throw new ProtoError('a length runs past the end of its message');
    return length;
  }

  bytes(end: number): Uint8Array {
    const length = this.length(end);
    this.pos += length;
    return this.data.subarray(this.pos - length, this.pos);
  }

  double(end: number): number {
    if (end - this.pos < 8) throw new ProtoError('truncated double');
    this.pos += 8;
    return this.view.getFloat64(this.pos - 8, true);
  }

  scalar(kind: ScalarType, end: number): unknown {
    switch (kind) {
      case 'string':
        return utf8Decoder.decode(this.bytes(end));
      case 'bytes':
        return this.bytes(end);
      case 'double':
        return this.double(end);
      case 'bool': {
        const low = this.varint(end);
        return low !== 0 || this.high !== 0;
      }
      case 'int32':
        return this.varint(end) | 0;
      case 'uint32':
        return this.varint(end);
      case 'uint64': {
        const low = this.varint(end);
        return join64(low, this.high >>> 0);
      }
      case 'int64': {
        const low = this.varint(end);
        return join64(low, this.high | 0);
      }
    }
  }

  /** Skips a field's value; groups are skipped by counting, not by recursion. */
  skip(wire: number, end: number): void {
    let open = 0;
    let kind = wire;
    for (;;) {
      if (kind === WIRE_VARINT) this.varint(end);
      else if (kind === WIRE_BYTES) this.pos += this.length(end);
      else if (kind === WIRE_FIXED64) this.advance(8, end);
      else if (kind === WIRE_FIXED32) this.advance(4, end);
      else if (kind === WIRE_GROUP) open++;
      else if (kind === WIRE_GROUP_END && open > 0) open--;
      else throw new ProtoError(`wire type ${kind} where a field was expected`);
      if (open === 0) return;
      kind = this.varint(end) & 7;
    }
  }

  private advance(count: number, end: number): void {
    if (end - this.pos < count) throw new ProtoError('truncated fixed-size field');
    this.pos += count;
  }
}

function join64(low: number, high: number): Int64 {
  const value = high * 0x1_0000_0000 + low;
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low);
}

function readMessage(
  reader: Reader,
  type: MessageType<unknown>,
  end: number,
  into: Values | undefined,
  depth: number,
): Values {
  if (depth > MAX_DEPTH) throw new ProtoError(`${type.name}: nested deeper than ${MAX_DEPTH} messages`);
  const plan = planOf(type);
  const out = into ?? defaults(type);
  while (reader.pos < end) {
    const tag = reader.varint(end);
    if (reader.high !== 0 || tag >>> 3 === 0) throw new ProtoError(`${type.name}: bad field number`);
    const field = plan.get(tag >>> 3);
    if (!field || !readField(reader, field, tag & 7, end, out, depth)) reader.skip(tag & 7, end);
  }
  return out;
}

/** Reads one occurrence of a field; false if its wire type is not the field's (it is then skipped as unknown). */
function readField(reader: Reader, field: Field, wire: number, end: number, out: Values, depth: number): boolean {
  const [, name, kind, occurs] = field;
  if (occurs === 'map') {
    if (wire !== WIRE_BYTES) return false;
    reader.count(name);
    readMapEntry(reader, field, reader.length(end), out[name] as Values, depth);
    return true;
  }
  if (typeof kind === 'object') {
    if (wire !== WIRE_BYTES) return false;
    const stop = reader.length(end) + reader.pos;
    if (occurs === 'repeated') {
      reader.count(name);
      (out[name] as unknown[]).push(readMessage(reader, kind, stop, undefined, depth + 1));
    } else {
      out[name] = readMessage(reader, kind, stop, out[name] as Values | undefined, depth + 1);
    }
    return true;
  }
  if (occurs === 'repeated' && wire === WIRE_BYTES && wireOf(kind) !== WIRE_BYTES) {
    const stop = reader.length(end) + reader.pos;
    while (reader.pos < stop) {
      reader.count(name);
      (out[name] as unknown[]).push(reader.scalar(kind, stop));
    }
    return true;
  }
  if (wire !== wireOf(kind)) return false;
  if (occurs === 'repeated') {
    reader.count(name);
    (out[name] as unknown[]).push(reader.scalar(kind, end));
  } else {
    out[name] = reader.scalar(kind, end);
  }
  return true;
}

function readMapEntry(reader: Reader, field: Field, length: number, map: Values, depth: number): void {
  const [, , kind, , keyKind = 'string'] = field;
  const stop = reader.pos + length;
  let key: unknown = defaultOf(keyKind);
  let value: unknown = typeof kind === 'object' ? undefined : defaultOf(kind);
  while (reader.pos < stop) {
    const tag = reader.varint(stop);
    const number = tag >>> 3;
    if (number === 1 && (tag & 7) === wireOf(keyKind)) key = reader.scalar(keyKind, stop);
    else if (number === 2 && typeof kind === 'object' && (tag & 7) === WIRE_BYTES) {
      const end = reader.length(stop) + reader.pos;
      value = readMessage(reader, kind, end, value as Values | undefined, depth + 1);
    } else if (number === 2 && typeof kind !== 'object' && (tag & 7) === wireOf(kind)) {
      value = reader.scalar(kind, stop);
    } else reader.skip(tag & 7, stop);
  }
  map[String(key)] = value ?? (typeof kind === 'object' ? defaults(kind) : undefined);
}

function wireOf(kind: ScalarType): number {
  if (kind === 'string' || kind === 'bytes') return WIRE_BYTES;
  return kind === 'double' ? WIRE_FIXED64 : WIRE_VARINT;
}

// ---- writing ----

/** Grows by doubling; nested messages are written in place and their length inserted afterwards. */
class Writer {
  private buffer = new Uint8Array(256);
  pos = 0;

  finish(): Uint8Array {
    return this.buffer.subarray(0, this.pos);
  }

  reserve(count: number): void {
    if (this.buffer.length - this.pos >= count) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.pos + count));
    grown.set(this.buffer.subarray(0, this.pos));
    this.buffer = grown;
  }

  varint(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.pos++] = (rest & 0x7f) | 0x80;
      rest = rest > 0x7fff_ffff ? Math.floor(rest / 128) : rest >>> 7;
    }
    this.buffer[this.pos++] = rest;
  }

  varint64(value: bigint): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.buffer[this.pos++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.pos++] = Number(rest);
  }

  raw(data: Uint8Array): void {
    this.varint(data.length);
    this.reserve(data.length);
    this.buffer.set(data, this.pos);
    this.pos += data.length;
  }

  string(text: string): void {
    // Short ASCII, the usual case, goes without the encoder.
    const length = text.length;
    if (length < 128) {
      this.reserve(length + 1);
      let at = this.pos + 1;
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code > 0x7f) {
          this.raw(utf8Encoder.encode(text));
          return;
        }
        this.buffer[at++] = code;
      }
      this.buffer[this.pos] = length;
      this.pos = at;
      return;
    }
    this.raw(utf8Encoder.encode(text));
  }

  double(value: number): void {
    this.reserve(8);
    new DataView(this.buffer.buffer, this.buffer.byteOffset).setFloat64(this.pos, value, true);
    this.pos += 8;
  }

  /** Puts the length of what `write` writes before it. */
  delimited(write: () => void): void {
    const start = this.pos;
    this.varint(0);
    write();
    const length = this.pos - start - 1;
    let room = 1;
    for (let rest = length; rest > 0x7f; rest = Math.floor(rest / 128)) room++;
    if (room > 1) {
      this.reserve(room - 1);
      this.buffer.copyWithin(start + room, start + 1, this.pos);
    }
    const end = this.pos + room - 1;
    this.pos = start;
    this.varint(length);
    this.pos = end;
  }
}

function writeMessage(writer: Writer, type: MessageType<unknown>, value: Values, depth: number): void {
  if (depth > MAX_DEPTH) throw new ProtoError(`${type.name}: nested deeper than ${MAX_DEPTH} messages`);
  for (const field of type.fields()) {
    const item = value[field[1]];
    if (item === undefined || item === null) continue;
    writeField(writer, type, field, item, depth);
  }
}

function writeField(writer: Writer, type: MessageType<unknown>, field: Field, item: unknown, depth: number): void {
  const [number, name, kind, occurs, keyKind = 'string'] = field;
  if (occurs === 'map') {
    for (const [key, entry] of Object.entries(item as Values)) {
      if (entry === undefined) continue;
      writer.varint(number * 8 + WIRE_BYTES);
      writer.delimited(() => {
        writeScalar(writer, type, [1, name, keyKind], keyKind, mapKey(keyKind, key), false);
        writeOne(writer, type, [2, name, kind], entry, false, depth);
      });
    }
    return;
  }
  if (occurs !== 'repeated') {
    writeOne(writer, type, field, item, occurs !== 'optional', depth);
    return;
  }
  const list = item as readonly unknown[];
  if (list.length === 0) return;
  if (typeof kind === 'object' || wireOf(kind) === WIRE_BYTES) {
    for (const entry of list) writeOne(writer, type, field, entry, false, depth);
    return;
  }
  writer.varint(number * 8 + WIRE_BYTES);
  writer.delimited(() => {
    for (const entry of list) writeNumber(writer, type, field, kind, entry);
  });
}

function mapKey(kind: ScalarType, key: string): unknown {
  if (kind === 'string') return key;
  return kind === 'bool' ? key === 'true' : BigInt(key);
}

function writeOne(
  writer: Writer,
  type: MessageType<unknown>,
  field: Field,
  item: unknown,
  omitDefault: boolean,
  depth: number,
): void {
  const kind = field[2];
  if (typeof kind !== 'object') {
    writeScalar(writer, type, field, kind, item, omitDefault);
    return;
  }
  if (typeof item !== 'object' || item === null) throw wrong(type, field, item);
  writer.varint(field[0] * 8 + WIRE_BYTES);
  writer.delimited(() => writeMessage(writer, kind, item as Values, depth + 1));
}

function writeScalar(
  writer: Writer,
  type: MessageType<unknown>,
  field: Field,
  kind: ScalarType,
  item: unknown,
  omitDefault: boolean,
): void {
  const number = field[0];
  if (kind === 'string') {
    if (typeof item !== 'string') throw wrong(type, field, item);
    if (omitDefault && item === '') return;
    writer.varint(number * 8 + WIRE_BYTES);
    writer.string(item);
  } else if (kind === 'bytes') {
    if (!(item instanceof Uint8Array)) throw wrong(type, field, item);
    if (omitDefault && item.length === 0) return;
    writer.varint(number * 8 + WIRE_BYTES);
    writer.raw(item);
  } else {
    // -0 is a double of its own and must be written; for all else 0 == false == 0n is the default.
    if (omitDefault && (item === false || item === 0n || (item === 0 && !Object.is(item, -0)))) return;
    writer.varint(number * 8 + wireOf(kind));
    writeNumber(writer, type, field, kind, item);
  }
}

function writeNumber(writer: Writer, type: MessageType<unknown>, field: Field, kind: ScalarType, item: unknown): void {
  if (kind === 'bool') {
    if (typeof item !== 'boolean') throw wrong(type, field, item);
    writer.varint(item ? 1 : 0);
  } else if (kind === 'double') {
    if (typeof item !== 'number') throw wrong(type, field, item);
    writer.double(item);
  } else if (typeof item === 'bigint') {
    if (!inRange(kind, item)) throw wrong(type, field, item);
    writer.varint64(item);
  } else {
    if (typeof item !== 'number' || !Number.isInteger(item) || !inRange(kind, item)) throw wrong(type, field, item);
    if (item >= 0 && item <= Number.MAX_SAFE_INTEGER) writer.varint(item);
    else writer.varint64(BigInt(item));
  }
}

function inRange(kind: ScalarType, item: number | bigint): boolean {
  switch (kind) {
    case 'int32':
      return item >= -0x8000_0000 && item <= 0x7fff_ffff;
    case 'uint32':
      return item >= 0 && item <= 0xffff_ffff;
    case 'uint64':
      return item >= 0 && item <= 0xffff_ffff_ffff_ffffn;
    default:
      return item >= -0x8000_0000_0000_0000n && item <= 0x7fff_ffff_ffff_ffffn;
  }
}

function wrong(type: MessageType<unknown>, field: Field, item: unknown): ProtoError {
  const kind = typeof field[2] === 'object' ? field[2].name : field[2];
  return new ProtoError(`${type.name}.${field[1]}: ${String(item)} (${typeof item}) is not a ${kind}`);
}
