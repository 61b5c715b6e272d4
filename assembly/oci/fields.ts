/** The fields of a message, found by their keys; what the tables say of each. */
import { at, COLON, moveTo, peek, QUOTE, take } from './cursor';
import { EXPECTED_COLON } from './errors';
import { lengthOfString, takeKey, textAddress } from './string';
import { FIELDS, MESSAGES, SLOTS } from './tables';

// Kinds of fields, as proto/generate-oci-tables.mjs writes them.
export const KIND_STRING: u32 = 1;
export const KIND_BOOL: u32 = 2;
export const KIND_INT64: u32 = 3;
export const KIND_UINT64: u32 = 4;
export const KIND_UINT32: u32 = 5;
export const KIND_MESSAGE: u32 = 6;
export const KIND_MAP: u32 = 7;
export const KIND_MASK: u32 = 15;
export const REPEATED: u32 = 16;
export const PRESENCE: u32 = 32;

// A row of MESSAGES: bytes, and offsets in it.
const MESSAGE_BYTES: usize = 8;
const MESSAGE_FIELDS: usize = 1;
const MESSAGE_MULTIPLIER: usize = 4;
/** Slots of a message in SLOTS, a byte each; a slot's number is the upper bits of the hash. */
const MESSAGE_SLOTS: usize = 32;
const HASH_SHIFT: u32 = 27;
const NO_ROW: usize = 255;

// A row of FIELDS: bytes, and offsets in it.
const FIELD_BYTES: usize = 32;
const FIELD_NAME_LENGTH: usize = 24;
const FIELD_NUMBER: usize = 25;
const FIELD_KIND: usize = 26;
const FIELD_MESSAGE: usize = 27;
/** The tag where it takes one byte, else 0. */
const FIELD_TAG: usize = 28;

/** No key of the tables is longer (bytes); a longer one is unknown. */
const MAX_KEY: usize = 32;
/** What `takeField` says where no key and colon are next; no row has this address. */
export const FAILED: usize = 1;

const key: usize = memory.data(32);

/** A message's row of MESSAGES. */
export function messageRow(type: i32): usize {
  return MESSAGES + <usize>type * MESSAGE_BYTES;
}

/** The first of a message's rows of FIELDS. */
export function firstField(message: usize): usize {
  return FIELDS + <usize>load<u8>(message) * FIELD_BYTES;
}

export function indexOf(field: usize, first: usize): u32 {
  return <u32>((field - first) / FIELD_BYTES);
}

export function kindOf(field: usize): u32 {
  return load<u8>(field, FIELD_KIND);
}

export function numberOf(field: usize): u32 {
  return load<u8>(field, FIELD_NUMBER);
}

/** The message that a field of KIND_MESSAGE holds. */
export function messageOf(field: usize): i32 {
  return load<u8>(field, FIELD_MESSAGE);
}

/** The tag of a string where it takes one byte, else 0. */
export function plainTagOf(field: usize): u32 {
  return load<u8>(field, FIELD_TAG);
}

/** Takes a key and its colon; the key's row of FIELDS, 0 where the message has none, or FAILED. */
export function takeField(type: i32, message: usize): usize {
  if (<i32>load<u8>(at) !== QUOTE) peek();
  const plain = takePlainKey(type, message);
  if (plain !== 0) return plain;
  if (!takeKey()) return FAILED;
  const field = fieldOf(message);
  return take(COLON, EXPECTED_COLON) ? field : FAILED;
}

/** Takes the key that is next, and its colon, if it is the one of its slot, written without escapes and white space; its row of FIELDS, else 0. */
function takePlainKey(type: i32, message: usize): usize {
  if (<i32>load<u8>(at) !== QUOTE) return 0;
  const hash = (load<u32>(at + 1) * load<u32>(message, MESSAGE_MULTIPLIER)) >> HASH_SHIFT;
  const row = <usize>load<u8>(SLOTS + <usize>type * MESSAGE_SLOTS + <usize>hash);
  if (row === NO_ROW) return 0;
  const field = FIELDS + row * FIELD_BYTES;
  const length = load<u8>(field, FIELD_NAME_LENGTH);
  // The name, its closing quote and the colon.
  const wanted = ((<i32>4) << length) - 1;
  const same = i8x16.bitmask(i8x16.eq(v128.load(at + 1), v128.load(field)));
  if ((same & wanted) !== wanted) return 0;
  moveTo(at + length + 3);
  return field;
}

/** The row of the last string scanned among a message's fields, or 0. */
function fieldOf(message: usize): usize {
  const length = lengthOfString();
  if (length === 0 || length > MAX_KEY) return 0;
  const text = textAddress(key);
  let field = firstField(message);
  const last = field + <usize>load<u8>(message, MESSAGE_FIELDS) * FIELD_BYTES;
  for (; field < last; field += FIELD_BYTES) {
    if (<usize>load<u8>(field, FIELD_NAME_LENGTH) === length && memory.compare(field, text, length) === 0) return field;
  }
  return 0;
}
