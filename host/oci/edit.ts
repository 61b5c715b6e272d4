/**
 * Edits an encoded message without decoding it: fields are taken out and put in at any depth, all else stays byte for byte.
 *
 * Appending a partial message to the whole would do by protobuf's rule that occurrences merge, but the decoder of Kata's
 * agent (rust-protobuf) replaces the first occurrence by the second. So each message keeps its single occurrence.
 */
import type { Field, MessageType } from '../proto/codec.ts';

/** Names of fields from the outermost message to the field itself. */
export type FieldPath = readonly string[];

/** What happens within one message. */
export interface Edit {
  /** Numbers of the fields to take out. */
  readonly dropped: Set<number>;
  /** Edits of the messages within, by field number. */
  readonly nested: Map<number, Edit>;
  /** Encoded fields to put in at the end; makes the message if it is absent. */
  added: Uint8Array;
}

const NOTHING = new Uint8Array(0);

const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

export function noEdit(): Edit {
  return { dropped: new Set(), nested: new Map(), added: NOTHING };
}

/** Has `edit` take out the field of `type` that `path` names. */
export function dropField(edit: Edit, type: MessageType<unknown>, path: FieldPath): void {
  const [within, field] = descend(edit, type, path);
  within.dropped.add(field[0]);
}

/** Has `edit` put encoded fields into the message within `type` that `path` names. */
export function addFields(edit: Edit, type: MessageType<unknown>, path: FieldPath, encoded: Uint8Array): void {
  if (encoded.length === 0) return;
  let within = edit;
  if (path.length > 0) {
    const [outer, field] = descend(edit, type, path);
    within = nestedEdit(outer, field[0]);
  }
  within.added = concat([within.added, encoded]);
}

/**
 * Carries out an edit.
 * @param encoded as our own encoders write: every message field that the edit names occurs once
 * @throws RangeError where that is no protobuf message
 */
export function applyEdit(encoded: Uint8Array, edit: Edit): Uint8Array {
  const parts: Uint8Array[] = [];
  const seen = new Set<number>();
  let at = 0;
  // Bytes since `kept` are kept as they are.
  let kept = 0;
  while (at < encoded.length) {
    const from = at;
    const [tag, value] = readVarint(encoded, at);
    const number = Math.floor(tag / 8);
    const [start, end] = extent(encoded, value, tag & 7);
    at = end;
    const nested = edit.nested.get(number);
    if (!nested && !edit.dropped.has(number)) continue;
    parts.push(encoded.subarray(kept, from));
    kept = end;
    if (!nested || edit.dropped.has(number)) continue;
    seen.add(number);
    parts.push(delimited(number, applyEdit(encoded.subarray(start, end), nested)));
  }
  parts.push(encoded.subarray(kept));
  for (const [number, nested] of edit.nested) {
    const made = seen.has(number) ? NOTHING : applyEdit(NOTHING, nested);
    if (made.length > 0) parts.push(delimited(number, made));
  }
  parts.push(edit.added);
  return concat(parts);
}

function descend(edit: Edit, type: MessageType<unknown>, path: FieldPath): [Edit, Field] {
  let within = edit;
  let message = type;
  for (const [i, name] of path.entries()) {
    const field = message.fields().find((candidate) => candidate[1] === name);
    if (!field) throw new RangeError(`${message.name} has no field ${name}`);
    if (i === path.length - 1) return [within, field];
    if (typeof field[2] !== 'object') throw new RangeError(`${message.name}.${name} is no message`);
    within = nestedEdit(within, field[0]);
    message = field[2];
  }
  throw new RangeError('a path of no fields');
}

function nestedEdit(edit: Edit, number: number): Edit {
  let nested = edit.nested.get(number);
  if (!nested) {
    nested = noEdit();
    edit.nested.set(number, nested);
  }
  return nested;
}

/** Where a field's value starts and ends. Only what our protocol uses: varints and delimited values. */
function extent(encoded: Uint8Array, at: number, wire: number): [number, number] {
  if (wire === WIRE_VARINT) return [at, readVarint(encoded, at)[1]];
  if (wire !== WIRE_BYTES) throw new RangeError(`wire type ${wire} at byte ${at}`);
  const [length, start] = readVarint(encoded, at);
  if (length > encoded.length - start) throw new RangeError(`a length runs past the end at byte ${at}`);
  return [start, start + length];
}

/** A varint's value (rounded beyond 2^53: such ones are only stepped over) and the offset behind it. */
function readVarint(encoded: Uint8Array, at: number): [number, number] {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = encoded[at + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  throw new RangeError(`no varint at byte ${at}`);
}

function delimited(number: number, body: Uint8Array): Uint8Array {
  return concat([varint(number * 8 + WIRE_BYTES), varint(body.length), body]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
