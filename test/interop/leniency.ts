/**
 * Where we accept more than protobuf's letter allows, on purpose: text that is not UTF-8 (a name like that belongs to no
 * method, a status message is shown with replacement characters), groups that end with another number than theirs or
 * hold fields of number 0 (none of the envelopes has groups), and a status' details that cannot be read (there are none then).
 */
import type { Envelope } from './envelopes.ts';

/** A message's fields: how the value of a length-delimited one is read. */
interface Shape {
  readonly [field: number]: Shape | 'text';
}

const SHAPES: Readonly<Record<Envelope['type'], Shape>> = {
  request: { 1: 'text', 2: 'text', 5: { 1: 'text', 2: 'text' } },
  response: { 1: { 2: 'text', 3: { 1: 'text' } } },
};
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Whether an envelope that we accept is sound to the letter, too. */
export function isSound({ type, data }: Envelope): boolean {
  try {
    message(Buffer.from(data), SHAPES[type]);
    return true;
  } catch {
    return false;
  }
}

function message(data: Buffer, shape: Shape): void {
  for (let at = 0; at < data.length; ) at = field(data, at, shape);
}

/** @returns where the field at `start` ends; @throws Error where there is none */
function field(data: Buffer, start: number, shape: Shape): number {
  const [tag, at] = varint(data, start);
  const number = tag >> 3n;
  if (number < 1n || number >= 2n ** 29n) throw new RangeError(`field number ${number}`);
  const wire = Number(tag & 7n);
  if (wire === 0) return varint(data, at)[1];
  if (wire === 1) return within(data, at + 8);
  if (wire === 5) return within(data, at + 4);
  if (wire === 3) return group(data, at, number);
  if (wire !== 2) throw new RangeError(`wire type ${wire}`);
  const [length, from] = varint(data, at);
  const end = within(data, from + Number(length));
  const inner = shape[Number(number)];
  if (inner === 'text') utf8.decode(data.subarray(from, end));
  else if (inner) message(data.subarray(from, end), inner);
  return end;
}

function group(data: Buffer, start: number, number: bigint): number {
  for (let at = start; ; ) {
    const [tag, end] = varint(data, at);
    if (tag === ((number << 3n) | 4n)) return end;
    at = field(data, at, {});
  }
}

function varint(data: Buffer, start: number): [value: bigint, end: number] {
  let value = 0n;
  for (let at = start; at - start < 10; at++) {
    const byte = BigInt(data.readUInt8(at));
    value |= (byte & 0x7fn) << BigInt(7 * (at - start));
    if (byte < 0x80n && value < 2n ** 64n) return [value, at + 1];
  }
  throw new RangeError('a varint of more than 64 bits');
}

function within(data: Buffer, end: number): number {
  if (end > data.length) throw new RangeError(`an end of ${end} in ${data.length} bytes`);
  return end;
}
