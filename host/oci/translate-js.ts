/**
 * The JavaScript twin of assembly/oci/translate.ts, function for function: the same documents, the same bytes, the same faults.
 * It is the fallback where WebAssembly cannot be had, finds the keys around faults of the WASM core, checks it in tests,
 * and is what it is measured against.
 */
import {
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
} from '../../assembly/oci/errors.ts';
import { MAX_INPUT } from '../../assembly/oci/limits.ts';
import { type Document, Fault, wordFault } from './fault.ts';
import { OCI_ROOTS } from './names.ts';
import {
  at,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  close,
  END,
  fail,
  failIn,
  fault,
  isNumberStart,
  json,
  LETTER_N,
  moveTo,
  OPEN_BRACE,
  OPEN_BRACKET,
  open,
  peek,
  QUOTE,
  take,
  takeIf,
  takeNext,
  takeWord,
} from './twin/cursor.ts';
import { EXACT_DIGITS, exactMagnitude, number, scanNumber } from './twin/number.ts';
import {
  KIND_BOOL,
  KIND_INT64,
  KIND_MAP,
  KIND_MASK,
  KIND_MESSAGE,
  KIND_STRING,
  KIND_UINT32,
  KIND_UINT64,
  PRESENCE,
  REPEATED,
  type Row,
  rowOf,
  slotsOf,
} from './twin/rows.ts';
import { indexAt, skipValue } from './twin/skip.ts';
import { keyAt, scanString, stringHasNul, stringStart, takeKey } from './twin/string.ts';
import {
  closeLength,
  openOutput,
  remove,
  takeOutput,
  to,
  writeBits,
  writeByte,
  writePlain,
  writeString,
  writeVarint,
} from './twin/wire.ts';

/** Tags of a map entry's two fields. */
const TAG_KEY = 0x0a;
const TAG_VALUE = 0x12;

/** Digits of the greatest number that any field holds. */
const MAX_DIGITS = 20;

/** Of a translation's length to its document's, at most: -1 in a field of a three-byte tag and key becomes 12 bytes. */
const GROWTH = 1.5;
const LEAST_OUTPUT = 64;

/** A message has 16 fields at most; for each, by its row: where its value starts and ends in the output. */
const FRAME_WORDS = 16 * 2;
const MAX_LEVELS = 8;
const frames = new Uint32Array(FRAME_WORDS * MAX_LEVELS);

/**
 * Translates a document to protobuf.
 * @throws KataError `invalid_argument` where it is no such document
 */
export function translateInJs(document: Document, bytes: Uint8Array): Uint8Array {
  try {
    return translateOrFault(document, bytes);
  } catch (thrown) {
    throw thrown instanceof Fault ? wordFault(document, bytes, thrown) : thrown;
  }
}

/**
 * Translates a document to protobuf.
 * @throws Fault where it is no such document
 */
export function translateOrFault(document: Document, bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_INPUT) throw new Fault(TOO_LARGE, MAX_INPUT, []);
  open(bytes);
  openOutput(Math.min(MAX_INPUT, Math.ceil(bytes.length * GROWTH) + LEAST_OUTPUT));
  const isWhole = writeDocument(OCI_ROOTS[document]);
  close();
  const output = takeOutput();
  if (!isWhole) throw fault();
  return output;
}

function writeDocument(root: number): boolean {
  if (peek() !== OPEN_BRACE) return fail(EXPECTED_OBJECT, at);
  if (!writeMessage(root, 0)) return false;
  return peek() === END || fail(EXPECTED_END, at);
}

/** The object that is next. */
function writeMessage(type: number, level: number): boolean {
  const slots = slotsOf(type);
  const frame = level * FRAME_WORDS;
  /** A bit for each field whose value stands in the output. */
  let seen = 0;
  moveTo(at + 1);
  if (takeIf(CLOSE_BRACE)) return true;
  for (;;) {
    if (!takeKey()) return false;
    const key = stringStart - 1;
    const row = rowOf(slots);
    if (!take(COLON, EXPECTED_COLON)) return failIn(keyAt(key));
    if (row === undefined) {
      if (!skipValue(level + 1)) return failIn(keyAt(key));
    } else {
      const slot = frame + row.index * 2;
      if ((seen >> row.index) & 1) forget(slot, frame);
      seen |= 1 << row.index;
      const from = to;
      if (!(peek() === LETTER_N && takeWord('null')) && !writeValue(row, level)) return failIn(row.key);
      frames[slot] = from;
      frames[slot + 1] = to;
    }
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

/** Removes a value written before, by moving what follows; see assembly/oci/translate.ts for what that costs. */
function forget(slot: number, frame: number): void {
  const [from, until] = [frames[slot] as number, frames[slot + 1] as number];
  remove(from, until);
  for (let other = frame; other < frame + FRAME_WORDS; other += 2) {
    if ((frames[other] as number) < until) continue;
    frames[other] = (frames[other] as number) - (until - from);
    frames[other + 1] = (frames[other + 1] as number) - (until - from);
  }
}

function writeValue(row: Row, level: number): boolean {
  const { kind, tag } = row;
  if (kind === KIND_STRING) return writeSingularText(tag);
  if (kind === KIND_MAP) return writeMap(tag);
  if ((kind & REPEATED) !== 0) return writeList(row, level);
  if (kind === KIND_MESSAGE) return writeNested(row, level);
  if (kind === KIND_BOOL) return writeBool(tag);
  return writeNumber(row);
}

/** The string that is next, which proto3 leaves out where it is empty. */
function writeSingularText(tag: number): boolean {
  if (json[at] !== QUOTE || json[at + 1] !== QUOTE) return writeText(tag);
  moveTo(at + 2);
  return true;
}

/** The string that is next; white space before it is skipped already. */
function writeText(tag: number): boolean {
  if (tag < 0x80 && writePlain(tag, false)) return true;
  return takeText() && writeVarint(tag) && writeString();
}

/** Takes a string that is carried over. */
function takeText(): boolean {
  if (peek() !== QUOTE) return fail(EXPECTED_STRING, at);
  const from = at;
  if (!scanString()) return false;
  return stringHasNul ? fail(NUL_CHARACTER, from) : true;
}

function writeBool(tag: number): boolean {
  if (takeWord('false')) return true;
  if (takeWord('true')) return writeVarint(tag) && writeByte(1);
  return fail(EXPECTED_BOOL, at);
}

function writeNumber({ tag, kind }: Row): boolean {
  if (!takeWhole(kind & KIND_MASK)) return false;
  if (number.magnitude === 0 && (kind & PRESENCE) === 0) return true;
  return writeVarint(tag) && writeWhole();
}

function writeWhole(): boolean {
  if (number.digits <= EXACT_DIGITS && !(number.isNegative && number.magnitude > 0))
    return writeVarint(number.magnitude);
  return writeBits(number.isNegative ? -exactMagnitude() : exactMagnitude());
}

/** Takes a number that fits the kind. */
function takeWhole(kind: number): boolean {
  const byte = peek();
  const from = at;
  if (!isNumberStart(byte)) return fail(EXPECTED_NUMBER, from);
  if (!scanNumber()) return false;
  if (!number.isWhole) return fail(NOT_WHOLE, from);
  return isInRange(kind) || fail(OUT_OF_RANGE, from);
}

function isInRange(kind: number): boolean {
  const { digits, isNegative, magnitude } = number;
  if (digits > MAX_DIGITS) return false;
  // -0 is 0.
  if (isNegative && kind !== KIND_INT64) return digits === 1 && magnitude === 0;
  if (digits <= EXACT_DIGITS) return kind !== KIND_UINT32 || magnitude <= 0xffff_ffff;
  if (kind === KIND_UINT32) return false;
  if (kind === KIND_UINT64) return exactMagnitude() < 1n << 64n;
  return exactMagnitude() < (1n << 63n) + (isNegative ? 1n : 0n);
}

function writeNested({ tag, message }: Row, level: number): boolean {
  if (peek() !== OPEN_BRACE) return fail(EXPECTED_OBJECT, at);
  if (!writeVarint(tag)) return false;
  const mark = to;
  return writeByte(0) && writeMessage(message, level + 1) && closeLength(mark);
}

function writeList(row: Row, level: number): boolean {
  if (!take(OPEN_BRACKET, EXPECTED_ARRAY)) return false;
  if (takeIf(CLOSE_BRACKET)) return true;
  const kind = row.kind & KIND_MASK;
  const isPacked = kind === KIND_UINT32;
  let mark = 0;
  if (isPacked) {
    if (!writeVarint(row.tag)) return false;
    mark = to;
    if (!writeByte(0)) return false;
  }
  const first = at;
  for (;;) {
    peek();
    const element = at;
    const isPlain = kind === KIND_STRING && row.tag < 0x80 && writePlain(row.tag, true);
    if (!isPlain && !writeElement(row, kind, level)) return failIn(indexAt(first, element));
    const next = takeNext(CLOSE_BRACKET);
    if (next < 0) return false;
    if (next === 0) return isPacked ? closeLength(mark) : true;
  }
}

function writeElement(row: Row, kind: number, level: number): boolean {
  if (peek() === LETTER_N && takeWord('null')) {
    return kind === KIND_UINT32 ? writeByte(0) : writeVarint(row.tag) && writeByte(0);
  }
  if (kind === KIND_STRING) return writeText(row.tag);
  if (kind === KIND_MESSAGE) return writeNested(row, level);
  return takeWhole(kind) && writeVarint(number.magnitude);
}

/** Strings by strings: entries of key (field 1) and value (field 2). The last of equal keys wins at the reader's. */
function writeMap(tag: number): boolean {
  if (peek() !== OPEN_BRACE) return fail(EXPECTED_OBJECT, at);
  moveTo(at + 1);
  if (takeIf(CLOSE_BRACE)) return true;
  for (;;) {
    if (!writeVarint(tag)) return false;
    const mark = to;
    if (!(writeByte(0) && writeEntry() && closeLength(mark))) return false;
    const next = takeNext(CLOSE_BRACE);
    if (next <= 0) return next === 0;
  }
}

function writeEntry(): boolean {
  if (peek() !== QUOTE) return fail(EXPECTED_KEY, at);
  const key = at;
  let hasNul = false;
  if (!writePlain(TAG_KEY, false)) {
    if (!(scanString() && writeVarint(TAG_KEY) && writeString())) return false;
    hasNul = stringHasNul;
  }
  if (!take(COLON, EXPECTED_COLON)) return failIn(keyAt(key));
  if (hasNul) return fail(NUL_CHARACTER, key) || failIn(keyAt(key));
  if (peek() === LETTER_N && takeWord('null')) return writeByte(TAG_VALUE) && writeByte(0);
  return writeText(TAG_VALUE) || failIn(keyAt(key));
}
