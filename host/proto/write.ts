/** Writes messages. */
import {
  type Field,
  MAX_DEPTH,
  type MessageType,
  ProtoError,
  type ScalarType,
  type Values,
  WIRE_BYTES,
  wireOf,
} from './message.ts';

const utf8Encoder = new TextEncoder();

/** Grows by doubling; nested messages are written in place and their length inserted afterwards. */
export class Writer {
  protected buffer: Uint8Array = new Uint8Array(256);
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

/** Writes a message's fields in the order of its table. */
export function writeMessage(writer: Writer, type: MessageType<unknown>, value: Values, depth: number): void {
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
