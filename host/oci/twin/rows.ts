/** The fields of the messages, found by the bytes of their keys. */
import { OCI_MESSAGES } from '../fields.ts';
import { json } from './cursor.ts';
import { stringEnd, stringLength, stringStart, stringText } from './string.ts';

// Kinds of fields, as proto/generate-oci-tables.mjs writes them.
export const KIND_STRING = 1;
export const KIND_BOOL = 2;
export const KIND_INT64 = 3;
export const KIND_UINT64 = 4;
export const KIND_UINT32 = 5;
export const KIND_MESSAGE = 6;
export const KIND_MAP = 7;
export const KIND_MASK = 15;
export const REPEATED = 16;
export const PRESENCE = 32;

const WIRE_BYTES = 2;

/** Slots of a message's keys. */
const SLOTS = 64;

/** A field as it is looked up. */
export interface Row {
  readonly index: number;
  readonly name: Uint8Array;
  readonly key: string;
  readonly tag: number;
  readonly kind: number;
  readonly message: number;
}

/** A message's fields, each at its key's hash or behind it. */
export type Slots = readonly (Row | undefined)[];

const slotsByMessage: (Slots | undefined)[] = [];

/** A message's fields by their keys' hash, made at first use. */
export function slotsOf(type: number): Slots {
  const known = slotsByMessage[type];
  if (known) return known;
  const slots = new Array<Row | undefined>(SLOTS).fill(undefined);
  OCI_MESSAGES[type]?.forEach(([key, number, kind, message], index) => {
    const name = new TextEncoder().encode(key);
    let slot = hashOf(name, 0, name.length);
    while (slots[slot]) slot = (slot + 1) % SLOTS;
    slots[slot] = { index, name, key, tag: number * 8 + wireOf(kind), kind, message };
  });
  slotsByMessage[type] = slots;
  return slots;
}

function wireOf(kind: number): number {
  const one = kind & KIND_MASK;
  const isPacked = (kind & REPEATED) !== 0;
  return isPacked || one === KIND_STRING || one === KIND_MESSAGE || one === KIND_MAP ? WIRE_BYTES : 0;
}

function hashOf(bytes: Uint8Array, from: number, length: number): number {
  const [first, last] = [bytes[from] as number, bytes[from + length - 1] as number];
  return (length * 5 + first * 3 + last * 11) % SLOTS;
}

/** The row of the last string scanned among a message's fields. */
export function rowOf(slots: Slots): Row | undefined {
  if (stringLength === 0) return undefined;
  if (stringEnd - stringStart !== stringLength) return rowOfText(slots, stringText());
  let slot = hashOf(json, stringStart, stringLength);
  for (let row = slots[slot]; row; row = slots[slot]) {
    if (isName(row.name)) return row;
    slot = (slot + 1) % SLOTS;
  }
  return undefined;
}

function isName(name: Uint8Array): boolean {
  if (name.length !== stringLength) return false;
  for (let i = 0; i < name.length; i++) if (json[stringStart + i] !== name[i]) return false;
  return true;
}

/** The row of a key that is written with escapes. */
function rowOfText(slots: Slots, key: string): Row | undefined {
  return slots.find((row) => row?.key === key);
}
