/** The JavaScript twin of assembly/oci/wire.ts: writes protobuf. Every writer returns false, with the fault noted, once the output is full. */
import { OUTPUT_FULL } from '../../../assembly/oci/errors.ts';
import { at, BACKSLASH, COMMA, fail, json, moveTo, QUOTE } from './cursor.ts';
import { copyString, stringLength } from './string.ts';

/** No text as long as this is copied while it is scanned, bytes: its length takes two bytes. */
const MAX_PLAIN = 128;
/** What a plain text may take: tag and length of a byte each. */
const PLAIN_ROOM = 2 + MAX_PLAIN;

/** Of each byte: 1 where it ends plain text, which is ASCII without escapes. */
const ENDS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte > 0x7f || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

let out: Uint8Array = new Uint8Array(0);
let limit = 0;
/** Bytes written. */
export let to = 0;

export function openOutput(capacity: number): void {
  out = Buffer.allocUnsafeSlow(capacity);
  limit = capacity;
  to = 0;
}

/** What was written, the caller's own from now on. */
export function takeOutput(): Uint8Array {
  const written = out.subarray(0, to);
  out = new Uint8Array(0);
  return new Uint8Array(written.buffer, 0, to);
}

export function writeByte(byte: number): boolean {
  if (to >= limit) return full();
  out[to++] = byte;
  return true;
}

/** Writes a whole number from 0 to 2^53. */
export function writeVarint(value: number): boolean {
  if (value < 0x80) return writeByte(value);
  if (limit - to < varintLength(value)) return full();
  putVarint(value);
  return true;
}

/** Writes 64 bits. */
export function writeBits(value: bigint): boolean {
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) if (!writeByte(Number(rest & 0x7fn) | 0x80)) return false;
  return writeByte(Number(rest));
}

/** The last string scanned, with its length before it. */
export function writeString(): boolean {
  if (!writeVarint(stringLength)) return false;
  if (limit - to < stringLength) return full();
  copyString(out, to);
  to += stringLength;
  return true;
}

/**
 * Takes the string that is next and writes it as a field; of a list, also those that follow with only a comma between.
 * @param tag of one byte
 * @returns false, with nothing taken, where the string is not plain (ASCII without escapes), as long as MAX_PLAIN, or the output is nearly full
 */
export function writePlain(tag: number, isList: boolean): boolean {
  const source = json;
  const target = out;
  const from = to;
  let p = at;
  if (source[p] !== QUOTE) return false;
  while (limit - to >= PLAIN_ROOM) {
    const start = p + 1;
    const room = Math.min(start + MAX_PLAIN, source.length);
    let q = to + 2;
    for (p = start; p < room; p++) {
      const byte = source[p] as number;
      if (ENDS_PLAIN[byte] === 1) break;
      target[q++] = byte;
    }
    if (p >= room || source[p] !== QUOTE) break;
    target[to] = tag;
    target[to + 1] = p - start;
    to = q;
    p++;
    moveTo(p);
    if (!isList || p + 1 >= source.length || source[p] !== COMMA || source[p + 1] !== QUOTE) break;
    p++;
  }
  return to !== from;
}

/** Puts the length of all that was written since `mark` there; the byte at `mark` was kept free for it. */
export function closeLength(mark: number): boolean {
  const body = mark + 1;
  const length = to - body;
  if (length < 0x80) {
    out[mark] = length;
    return true;
  }
  const more = varintLength(length) - 1;
  if (limit - to < more) return full();
  out.copyWithin(body + more, body, to);
  to = mark;
  putVarint(length);
  to += length;
  return true;
}

/** Removes what stands from one offset to another. */
export function remove(from: number, until: number): void {
  out.copyWithin(from, until, to);
  to -= until - from;
}

function full(): false {
  return fail(OUTPUT_FULL, at);
}

function putVarint(value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    out[to++] = (rest & 0x7f) | 0x80;
    rest = rest > 0x7fff_ffff ? Math.floor(rest / 128) : rest >>> 7;
  }
  out[to++] = rest;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++;
  return length;
}
