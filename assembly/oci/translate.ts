/**
 * OCI JSON to the agent protocol's protobuf, in one pass from input to output, driven by ./tables.
 *
 * The document must be JSON to its last byte, in UTF-8. Where JSON leaves a choice:
 * - A key that occurs twice counts once: the last value replaces the others, it is not merged with them.
 * - `null` is an absent field, an empty string in a map, an empty element in a list (as Go's decoder reads it).
 * - Unknown keys are skipped, their values checked. Keys are compared with their case.
 * - Half a surrogate pair becomes U+FFFD. U+0000 is refused in what is carried over.
 * - Numbers are whole and within their field's range; 1.0 and 1e3 are refused (as Go's decoder does).
 * - Every message occurs once in the output: the decoder of Kata's agent does not merge a second occurrence.
 */

import {
  at,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  END,
  fail,
  failure,
  failureOffset,
  isNumberStart,
  LETTER_N,
  OPEN_BRACE,
  OPEN_BRACKET,
  open,
  peek,
  QUOTE,
  take,
  takeFalse,
  takeIf,
  takeNext,
  takeNull,
  takeTrue,
} from './cursor';
import {
  BAD_CALL,
  EXPECTED_ARRAY,
  EXPECTED_BOOL,
  EXPECTED_COLON,
  EXPECTED_END,
  EXPECTED_NUMBER,
  EXPECTED_OBJECT,
  EXPECTED_STRING,
  NOT_WHOLE,
  NUL_CHARACTER,
  OUT_OF_RANGE,
  TOO_LARGE,
} from './errors';
import { MAX_INPUT } from './limits';
import { isNegative, isWhole, magnitude, overflows, scanNumber } from './number';
import { skipValue } from './skip';
import { hasNul, lengthOfString, scanString, takeKey, textAddress } from './string';
import { FIELDS, MAX_NESTING, MESSAGE_COUNT, MESSAGES, NAMES } from './tables';
import { closeLength, openOutput, remove, writeByte, writeString, writeVarint, written } from './wire';

// Kinds of fields, as proto/generate-oci-tables.mjs writes them.
const KIND_STRING: u32 = 1;
const KIND_BOOL: u32 = 2;
const KIND_INT64: u32 = 3;
const KIND_UINT64: u32 = 4;
const KIND_UINT32: u32 = 5;
const KIND_MESSAGE: u32 = 6;
const KIND_MAP: u32 = 7;
const KIND_MASK: u32 = 15;
const REPEATED: u32 = 16;
const PRESENCE: u32 = 32;

const WIRE_BYTES: u32 = 2;

/** Bytes of a row of FIELDS. */
const FIELD_BYTES: usize = 6;
/** No key of the tables is longer (bytes); a longer one is unknown. */
const MAX_KEY: usize = 32;
/** A message has 16 fields at most; for each, by its row: where its value starts and ends in the output (two words; 0, 0: not seen). */
const FRAME_FIELDS: usize = 16;
const FRAME_BYTES: usize = FRAME_FIELDS * 8;
const MAX_LEVELS: i32 = 8;

const frames: usize = memory.data(128 * 8); // FRAME_BYTES for each of MAX_LEVELS;
const key: usize = memory.data(32);

/**
 * Translates a document.
 * @param root number of the document's message in ./tables
 * @param input address of the document, `length` bytes
 * @param output address of `capacity` bytes, apart from the input
 * @returns bytes written, or -1; then `ociError` and `ociErrorOffset` tell why and where
 */
export function ociTranslate(root: i32, input: usize, length: usize, output: usize, capacity: usize): i32 {
  open(input, 0);
  const size = (<u64>memory.size()) << 16;
  const fits = <u64>input + <u64>length <= size && <u64>output + <u64>capacity <= size;
  if (root < 0 || root >= MESSAGE_COUNT || !fits || capacity > <usize>i32.MAX_VALUE || MAX_NESTING > MAX_LEVELS) {
    fail(BAD_CALL, input);
    return -1;
  }
  if (length > <usize>MAX_INPUT) {
    fail(TOO_LARGE, input + MAX_INPUT);
    return -1;
  }
  open(input, length);
  openOutput(output, capacity);
  if (peek() !== OPEN_BRACE) {
    fail(EXPECTED_OBJECT, at);
    return -1;
  }
  if (!writeMessage(root, 0)) return -1;
  if (peek() !== END) {
    fail(EXPECTED_END, at);
    return -1;
  }
  return <i32>written();
}

/** Why the last translation failed (./errors), 0 if it did not. */
export function ociError(): i32 {
  return failure();
}

/** Where it failed, bytes from the document's start. */
export function ociErrorOffset(): u32 {
  return <u32>failureOffset();
}

/** The object that is next. */
function writeMessage(type: i32, level: i32): bool {
  const frame = frames + <usize>level * FRAME_BYTES;
  for (let slot = frame; slot < frame + FRAME_BYTES; slot += 16) v128.store(slot, i32x4.splat(0));
  const first = FIELDS + <usize>load<u8>(MESSAGES + type * 2) * FIELD_BYTES;
  take(OPEN_BRACE, EXPECTED_OBJECT);
  if (takeIf(CLOSE_BRACE)) return true;
  while (true) {
    if (!takeKey()) return false;
    const field = fieldOf(type, first);
    if (!take(COLON, EXPECTED_COLON)) return false;
    if (
      !(field === 0
        ? skipValue(level + 1)
        : writeMember(field, frame + ((field - first) / FIELD_BYTES) * 8, frame, level))
    )
      return false;
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

/** The row of the last string scanned among a message's fields, or 0. */
function fieldOf(type: i32, first: usize): usize {
  const length = lengthOfString();
  if (length === 0 || length > MAX_KEY) return 0;
  const text = textAddress(key);
  let row = first;
  const last = row + <usize>load<u8>(MESSAGES + type * 2, 1) * FIELD_BYTES;
  for (; row < last; row += FIELD_BYTES) {
    if (<usize>load<u8>(row) === length && memory.compare(NAMES + load<u16>(row, 4), text, length) === 0) return row;
  }
  return 0;
}

/** A field's value, in place of an earlier one. */
function writeMember(field: usize, slot: usize, frame: usize, level: i32): bool {
  if (load<u32>(slot, 4) !== 0) forget(slot, frame);
  if (peek() === LETTER_N && takeNull()) return true;
  const from = written();
  if (!writeValue(field, level)) return false;
  store<u32>(slot, <u32>from);
  store<u32>(slot, <u32>written(), 4);
  return true;
}

/**
 * Removes a value written before, by moving what follows. The field's new value goes to the end, so bytes move again only
 * when another of the message's fields (16 at most) is replaced or they are read again: the sum stays linear.
 */
function forget(slot: usize, frame: usize): void {
  const from = load<u32>(slot);
  const until = load<u32>(slot, 4);
  remove(from, until);
  for (let other = frame; other < frame + FRAME_BYTES; other += 8) {
    if (load<u32>(other) < until) continue;
    store<u32>(other, load<u32>(other) - (until - from));
    store<u32>(other, load<u32>(other, 4) - (until - from), 4);
  }
  store<u64>(slot, 0);
}

function writeValue(field: usize, level: i32): bool {
  const kind = <u32>load<u8>(field, 2);
  if (kind === KIND_MAP) return writeMap(tagOf(field, KIND_MAP));
  if ((kind & REPEATED) !== 0) return writeList(field, level);
  if (kind === KIND_STRING) return takeText() && (lengthOfString() === 0 || writeText(tagOf(field, kind)));
  if (kind === KIND_MESSAGE) return writeNested(field, level);
  if (kind === KIND_BOOL) return writeBool(tagOf(field, kind));
  return writeNumber(field, kind);
}

function tagOf(field: usize, kind: u32): u32 {
  const wire = kind === KIND_STRING || kind === KIND_MESSAGE || kind === KIND_MAP ? WIRE_BYTES : 0;
  return ((<u32>load<u8>(field, 1)) << 3) | wire;
}

/** Takes a string that is carried over. */
function takeText(): bool {
  if (peek() !== QUOTE) return fail(EXPECTED_STRING, at);
  const from = at;
  if (!scanString()) return false;
  return hasNul() ? fail(NUL_CHARACTER, from) : true;
}

function writeText(tag: u32): bool {
  return writeVarint(tag) && writeString();
}

function writeBool(tag: u32): bool {
  if (takeFalse()) return true;
  if (takeTrue()) return writeVarint(tag) && writeByte(1);
  return fail(EXPECTED_BOOL, at);
}

function writeNumber(field: usize, kind: u32): bool {
  if (!takeWhole(kind & KIND_MASK)) return false;
  if (magnitude() === 0 && (kind & PRESENCE) === 0) return true;
  return writeVarint(tagOf(field, kind & KIND_MASK)) && writeVarint(isNegative() ? 0 - magnitude() : magnitude());
}

/** Takes a number that fits the kind. */
function takeWhole(kind: u32): bool {
  const byte = peek();
  const from = at;
  if (!isNumberStart(byte)) return fail(EXPECTED_NUMBER, from);
  if (!scanNumber()) return false;
  if (!isWhole()) return fail(NOT_WHOLE, from);
  let most = <u64>u32.MAX_VALUE;
  if (kind === KIND_UINT64) most = u64.MAX_VALUE;
  if (kind === KIND_INT64) most = i64.MAX_VALUE;
  // -0 is 0.
  if (isNegative()) most = kind === KIND_INT64 ? most + 1 : 0;
  return overflows() || magnitude() > most ? fail(OUT_OF_RANGE, from) : true;
}

function writeNested(field: usize, level: i32): bool {
  if (peek() !== OPEN_BRACE) return fail(EXPECTED_OBJECT, at);
  if (!writeVarint(tagOf(field, KIND_MESSAGE))) return false;
  const mark = written();
  return writeByte(0) && writeMessage(load<u8>(field, 3), level + 1) && closeLength(mark);
}

function writeList(field: usize, level: i32): bool {
  if (!take(OPEN_BRACKET, EXPECTED_ARRAY)) return false;
  if (takeIf(CLOSE_BRACKET)) return true;
  const kind = <u32>load<u8>(field, 2) & KIND_MASK;
  const packed = kind === KIND_UINT32;
  let mark: usize = 0;
  if (packed) {
    if (!writeVarint(((<u32>load<u8>(field, 1)) << 3) | WIRE_BYTES)) return false;
    mark = written();
    if (!writeByte(0)) return false;
  }
  while (true) {
    if (!writeElement(field, kind, level)) return false;
    const next = takeNext(CLOSE_BRACKET);
    if (next < 0) return false;
    if (next === 0) return packed ? closeLength(mark) : true;
  }
}

function writeElement(field: usize, kind: u32, level: i32): bool {
  if (peek() === LETTER_N && takeNull()) {
    return kind === KIND_UINT32 ? writeByte(0) : writeVarint(tagOf(field, kind)) && writeByte(0);
  }
  if (kind === KIND_STRING) return takeText() && writeText(tagOf(field, kind));
  if (kind === KIND_MESSAGE) return writeNested(field, level);
  return takeWhole(kind) && writeVarint(magnitude());
}

/** Strings by strings: entries of key (field 1) and value (field 2). The last of equal keys wins at the reader's. */
function writeMap(tag: u32): bool {
  if (!take(OPEN_BRACE, EXPECTED_OBJECT)) return false;
  if (takeIf(CLOSE_BRACE)) return true;
  while (true) {
    if (!writeVarint(tag)) return false;
    const mark = written();
    if (!(writeByte(0) && writeEntry() && closeLength(mark))) return false;
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

function writeEntry(): bool {
  peek();
  const from = at;
  if (!takeKey()) return false;
  const badKey = hasNul();
  if (!(writeText(0x0a) && take(COLON, EXPECTED_COLON))) return false;
  if (badKey) return fail(NUL_CHARACTER, from);
  if (peek() === LETTER_N && takeNull()) return writeByte(0x12) && writeByte(0);
  return takeText() && writeText(0x12);
}
