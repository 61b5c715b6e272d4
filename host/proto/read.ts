/** Reads messages of the wire, which a hostile peer may have written. */
import {
  type Field,
  type Int64,
  MAP_ENTRY_ELEMENTS,
  MAX_DEPTH,
  MAX_ELEMENTS,
  type MessageType,
  ProtoError,
  type ScalarType,
  type Values,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_GROUP,
  WIRE_GROUP_END,
  WIRE_VARINT,
  wireOf,
} from './message.ts';

// A leading U+FEFF is part of a string like any other character.
const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/** Message types' fields by number. */
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

export class Reader {
  pos = 0;
  elements = 0;
  private readonly view: DataView;

  constructor(readonly data: Uint8Array) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  count(name: string, elements = 1): void {
    this.elements += elements;
    if (this.elements > MAX_ELEMENTS) throw new ProtoError(`${name}: more than ${MAX_ELEMENTS} elements`);
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
      else if (kind === WIRE_BYTES) this.bytes(end);
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

/** Reads one message up to `end`, into `into` where it is merged with an earlier occurrence. */
export function readMessage(
  reader: Reader,
  type: MessageType<unknown>,
  end: number,
  into: Values | undefined,
  depth: number,
): Values {
  if (depth > MAX_DEPTH) throw new ProtoError(`${type.name}: nested deeper than ${MAX_DEPTH} messages`);
  const plan = planOf(type);
  if (!into && depth > 0) reader.count(type.name, plan.size);
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
    reader.count(name, MAP_ENTRY_ELEMENTS);
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
  const [, name, kind, , keyKind = 'string'] = field;
  const stop = reader.pos + length;
  let key: unknown = defaultOf(keyKind);
  let value: unknown = typeof kind === 'object' ? undefined : defaultOf(kind);
  while (reader.pos < stop) {
    const tag = reader.varint(stop);
    const number = tag >>> 3;
    if (reader.high !== 0 || number === 0) throw new ProtoError(`${name}: bad field number`);
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
