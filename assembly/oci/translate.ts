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
  COMMA,
  END,
  fail,
  failure,
  failureOffset,
  isNumberStart,
  LETTER_N,
  moveTo,
  OPEN_BRACE,
  OPEN_BRACKET,
  open,
  peek,
  QUOTE,
  refuse,
  take,
  takeAtOnce,
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
  EXPECTED_KEY,
  EXPECTED_NUMBER,
  EXPECTED_OBJECT,
  EXPECTED_STRING,
  NOT_WHOLE,
  NUL_CHARACTER,
  OUT_OF_RANGE,
  TOO_LARGE,
} from './errors';
import {
  FAILED,
  firstField,
  indexOf,
  KIND_BOOL,
  KIND_INT64,
  KIND_MAP,
  KIND_MASK,
  KIND_MESSAGE,
  KIND_STRING,
  KIND_UINT32,
  KIND_UINT64,
  kindOf,
  messageOf,
  messageRow,
  numberOf,
  PRESENCE,
  plainTagOf,
  REPEATED,
  takeField,
} from './fields';
import { MAX_INPUT, PADDING } from './limits';
import { isNegative, isWhole, magnitude, overflows, scanNumber } from './number';
import { skipValue } from './skip';
import { hasNul, scanString } from './string';
import { MAX_NESTING, MESSAGE_COUNT } from './tables';
import { closeLength, openOutput, remove, writeByte, writePlain, writeString, writeVarint, written } from './wire';

const WIRE_BYTES: u32 = 2;
/** Tags of a map entry's two fields. */
const TAG_KEY: u32 = 0x0a;
const TAG_VALUE: u32 = 0x12;

/** `""` as two bytes. */
const EMPTY_TEXT: u32 = 0x2222;

/** A message has 16 fields at most; for each, by its row: where its value starts and ends in the output, two words. */
const FRAME_FIELDS: usize = 16;
const FRAME_BYTES: usize = FRAME_FIELDS * 8;
const MAX_LEVELS: i32 = 8;

const frames: usize = memory.data(128 * 8); // FRAME_BYTES for each of MAX_LEVELS;

/**
 * Translates a document.
 * @param root number of the document's message in ./tables
 * @param input address of the document, `length` bytes; the PADDING bytes behind it are overwritten
 * @param output address of `capacity` bytes, apart from the input
 * @returns bytes written, or -1; then `ociError` and `ociErrorOffset` tell why and where
 */
export function ociTranslate(root: i32, input: usize, length: usize, output: usize, capacity: usize): i32 {
  const size = (<u64>memory.size()) << 16;
  const fits = <u64>input + <u64>length + PADDING <= size && <u64>output + <u64>capacity <= size;
  if (root < 0 || root >= MESSAGE_COUNT || !fits || capacity > <usize>i32.MAX_VALUE || MAX_NESTING > MAX_LEVELS) {
    refuse(BAD_CALL, 0);
    return -1;
  }
  if (length > <usize>MAX_INPUT) {
    refuse(TOO_LARGE, MAX_INPUT);
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
  const message = messageRow(type);
  const first = firstField(message);
  /** A bit for each field whose value stands in the output. */
  let seen: u32 = 0;
  take(OPEN_BRACE, EXPECTED_OBJECT);
  if (takeIf(CLOSE_BRACE)) return true;
  while (true) {
    const field = takeField(type, message);
    if (field === FAILED) return false;
    if (field === 0) {
      if (!skipValue(level + 1)) return false;
    } else {
      const index = indexOf(field, first);
      const slot = frame + <usize>index * 8;
      if ((seen >> index) & 1) forget(slot, frame);
      seen |= (<u32>1) << index;
      const from = written();
      if (!writePlainValue(field) && !(peek() === LETTER_N && takeNull()) && !writeValue(field, level)) return false;
      store<u32>(slot, <u32>from);
      store<u32>(slot, <u32>written(), 4);
    }
    if (takeAtOnce(COMMA)) continue;
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
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
    // Slots of fields not seen hold what an earlier message left: moving those does no harm.
    if (load<u32>(other) < until) continue;
    store<u32>(other, load<u32>(other) - (until - from));
    store<u32>(other, load<u32>(other, 4) - (until - from), 4);
  }
}

/** A field's value if that is a plain string without white space before it, which most are; else false, and nothing is taken. */
function writePlainValue(field: usize): bool {
  const tag = plainTagOf(field);
  return kindOf(field) === KIND_STRING && tag !== 0 && load<u16>(at) !== EMPTY_TEXT && writePlain(tag, false);
}

function writeValue(field: usize, level: i32): bool {
  const kind = kindOf(field);
  if (kind === KIND_MAP) return writeMap(tagOf(field, KIND_MAP));
  if ((kind & REPEATED) !== 0) return writeList(field, level);
  if (kind === KIND_STRING) return writeSingularText(tagOf(field, kind));
  if (kind === KIND_MESSAGE) return writeNested(field, level);
  if (kind === KIND_BOOL) return writeBool(tagOf(field, kind));
  return writeNumber(field, kind);
}

/** Takes a string that is carried over. */
function takeText(): bool {
  if (peek() !== QUOTE) return fail(EXPECTED_STRING, at);
  const from = at;
  if (!scanString()) return false;
  return hasNul() ? fail(NUL_CHARACTER, from) : true;
}

/** The string that is next, which proto3 leaves out where it is empty. */
function writeSingularText(tag: u32): bool {
  if (load<u16>(at) !== EMPTY_TEXT) return writeText(tag);
  moveTo(at + 2);
  return true;
}

/** The string that is next; white space before it is skipped already. */
function writeText(tag: u32): bool {
  if (tag < 0x80 && writePlain(tag, false)) return true;
  return takeText() && writeVarint(tag) && writeString();
}

function tagOf(field: usize, kind: u32): u32 {
  const wire = kind === KIND_STRING || kind === KIND_MESSAGE || kind === KIND_MAP ? WIRE_BYTES : 0;
  return (numberOf(field) << 3) | wire;
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
  return writeByte(0) && writeMessage(messageOf(field), level + 1) && closeLength(mark);
}

function writeList(field: usize, level: i32): bool {
  if (!take(OPEN_BRACKET, EXPECTED_ARRAY)) return false;
  if (takeIf(CLOSE_BRACKET)) return true;
  const kind = kindOf(field) & KIND_MASK;
  const packed = kind === KIND_UINT32;
  let mark: usize = 0;
  if (packed) {
    if (!writeVarint((numberOf(field) << 3) | WIRE_BYTES)) return false;
    mark = written();
    if (!writeByte(0)) return false;
  }
  const tag = tagOf(field, kind);
  while (true) {
    const isPlain = kind === KIND_STRING && tag < 0x80 && writePlain(tag, true);
    if (!isPlain && !writeElement(field, kind, level)) return false;
    if (takeAtOnce(COMMA)) continue;
    const next = takeNext(CLOSE_BRACKET);
    if (next < 0) return false;
    if (next === 0) return packed ? closeLength(mark) : true;
  }
}

function writeElement(field: usize, kind: u32, level: i32): bool {
  if (peek() === LETTER_N && takeNull()) {
    return kind === KIND_UINT32 ? writeByte(0) : writeVarint(tagOf(field, kind)) && writeByte(0);
  }
  if (kind === KIND_STRING) return writeText(tagOf(field, kind));
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
    if (takeAtOnce(COMMA)) continue;
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

function writeEntry(): bool {
  if (peek() !== QUOTE) return fail(EXPECTED_KEY, at);
  const from = at;
  if (!writePlain(TAG_KEY, false)) {
    if (!(scanString() && writeVarint(TAG_KEY) && writeString())) return false;
    if (!take(COLON, EXPECTED_COLON)) return false;
    if (hasNul()) return fail(NUL_CHARACTER, from);
  } else if (!(takeAtOnce(COLON) || take(COLON, EXPECTED_COLON))) return false;
  if (peek() === LETTER_N && takeNull()) return writeByte(TAG_VALUE) && writeByte(0);
  return writeText(TAG_VALUE);
}
