/** What other writers may send: the same message in another order, with numbers packed or not, and with fields that we do not know. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decode,
  encode,
  type Field,
  MAP_ENTRY_ELEMENTS,
  MAX_DEPTH,
  MAX_ELEMENTS,
  type MessageType,
  message,
  ProtoError,
} from '../../../host/proto/codec.ts';
import { type Message, messageOf, pairs } from './oracle.ts';

/** Random messages a type. */
const RUNS = 25;
const SEED = 20261121;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
/** No message of proto/ has this field. */
const UNKNOWN = 4242;

/** One field as it stands on the wire. */
interface WireField {
  readonly number: number;
  readonly bytes: Uint8Array;
}

const all = await pairs();
const forms = suite('other forms of the same message');

for (const { ours, oracle } of all) {
  forms(`${ours.name}: as protobufjs reads it`, () => {
    fc.assert(
      fc.property(messageOf(ours), fc.infiniteStream(fc.nat()), (value, chances) => {
        const next = (below: number): number => (chances.next().value as number) % below;
        const bytes = rewritten(ours, encode(ours, value), next);
        const read = decode(ours, bytes);
        deepStrictEqual(read, value);
        // protobufjs brings it back to the form that `encode` writes.
        deepStrictEqual(decode(ours, Uint8Array.from(oracle.encode(oracle.decode(bytes)).finish())), read);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
}

forms.run();

const rules = suite('rules of proto3');

interface Node {
  child: Node | undefined;
  items: number[];
  map: Record<string, Node>;
  text: string;
  chosen: number | undefined;
}
const Node: MessageType<Node> = message<Node>('test.Node', () => [
  [1, 'child', Node],
  [2, 'items', 'uint32', 'repeated'],
  [3, 'map', Node, 'map', 'string'],
  [4, 'text', 'string'],
  [5, 'chosen', 'uint32', 'optional'],
]);

rules('a scalar that occurs twice has its last value, a message is merged', () => {
  const first = encode(Node, { text: 'a', chosen: 7, child: { text: 'x', items: [1] } });
  const second = encode(Node, { text: 'b', child: { items: [2], chosen: 0 } });
  const read = decode(Node, Buffer.concat([first, second]));
  deepStrictEqual([read.text, read.chosen], ['b', 7]);
  deepStrictEqual([read.child?.text, read.child?.items, read.child?.chosen], ['x', [1, 2], 0]);
});

rules('a map has the last of equal keys', () => {
  const first = encode(Node, { map: { k: { text: 'a' }, other: {} } });
  const read = decode(Node, Buffer.concat([first, encode(Node, { map: { k: { chosen: 1 } } })]));
  deepStrictEqual(Object.keys(read.map), ['k', 'other']);
  deepStrictEqual([read.map.k?.text, read.map.k?.chosen], ['', 1]);
});

rules('presence: what is set to its default is written where the field says optional, and only there', () => {
  deepStrictEqual([...encode(Node, { text: '', items: [], chosen: 0, map: {} })], [0x28, 0]);
  assert.is(decode(Node, Uint8Array.of(0x28, 0)).chosen, 0);
  assert.is(decode(Node, Uint8Array.of()).chosen, undefined);
});

rules('a field of another wire type than its own is unknown', () => {
  const read = decode(Node, Uint8Array.of(0x20, 5, 0x0d, 1, 2, 3, 4, 0x18, 1, 0x2a, 1, 9, 0x12, 2, 3, 4, 0x10, 5));
  deepStrictEqual([read.text, read.child, read.chosen, read.items], ['', undefined, undefined, [3, 4, 5]]);
});

rules('numbers of 64 bits and more than their type are cut as protobuf cuts them', () => {
  const minusOne = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
  assert.is(decode(Node, Uint8Array.of(0x28, ...minusOne)).chosen, 0xffff_ffff);
  assert.is(decode(Node, Uint8Array.of(0x28, 0x80, 0x80, 0x80, 0x80, 0x10)).chosen, 0);
});

rules('tags: number 0, or one beyond 29 bits, is no field', () => {
  for (const tag of [
    [0x00, 0],
    [0x02, 0],
    [0x80, 0x80, 0x80, 0x80, 0x10, 0],
    [0xf8, 0xff, 0xff, 0xff, 0xff, 0x01, 0],
  ]) {
    assert.throws(() => decode(Node, Uint8Array.from(tag)), isProtoError, String(tag));
  }
});

rules('elements are counted over lists, maps and all messages within', () => {
  const half = new Array<number>(MAX_ELEMENTS / 2).fill(1);
  // Beside them room for the child's own fields, and for one entry of a map.
  const rest = half.slice(Node.fields().length + MAP_ENTRY_ELEMENTS);
  const fits = encode(Node, { items: half, child: { items: rest } });
  assert.is(decode(Node, fits).items.length, half.length);
  const entries = (count: number): Uint8Array => Buffer.alloc(count * 2, Uint8Array.of(0x1a, 0));
  assert.is(Object.keys(decode(Node, Buffer.concat([fits, entries(1)])).map).length, 1);
  assert.throws(() => decode(Node, Buffer.concat([fits, entries(2)])), isProtoError);
  const unpacked = Buffer.alloc((MAX_ELEMENTS + 1) * 2, Uint8Array.of(0x10, 1));
  assert.throws(() => decode(Node, unpacked), isProtoError);
});

rules('messages in maps count as levels', () => {
  let value: Message = {};
  for (let i = 0; i < MAX_DEPTH; i++) value = { map: { k: value } };
  const bytes = encode(Node, value);
  decode(Node, bytes);
  const entry = Buffer.concat([Uint8Array.of(0x12), varint(bytes.length), bytes]);
  const deeper = Buffer.concat([Uint8Array.of(0x1a), varint(entry.length), entry]);
  assert.throws(() => decode(Node, deeper), isProtoError);
});

rules('a message that ends within an unknown group, or a group closed by another', () => {
  const open = varint(UNKNOWN * 8 + 3);
  for (const bytes of [open, Buffer.concat([open, open, varint(UNKNOWN * 8 + 4)]), varint(UNKNOWN * 8 + 4)]) {
    assert.throws(() => decode(Node, bytes), isProtoError, bytes.toString('hex'));
  }
});

rules.run();

/** The same message: its fields in another order, numbers of lists apart or together, unknown fields between. */
function rewritten(type: MessageType<unknown>, bytes: Uint8Array, next: (below: number) => number): Uint8Array {
  const fields = new Map(type.fields().map((field) => [field[0], field]));
  const queues = new Map<number, Uint8Array[]>();
  for (const field of split(bytes)) {
    const queue = queues.get(field.number) ?? [];
    queue.push(...apart(fields.get(field.number), field, next));
    queues.set(field.number, queue);
  }
  const out: Uint8Array[] = [];
  // Occurrences of one field keep their order: that is its elements'.
  while (queues.size > 0) {
    const [number, queue] = [...queues][next(queues.size)] as [number, Uint8Array[]];
    out.push(queue.shift() as Uint8Array);
    if (queue.length === 0) queues.delete(number);
    if (next(4) === 0) out.push(unknown(next, 3));
  }
  return Uint8Array.from(Buffer.concat(out));
}

/** A packed list in pieces: of one number each, some packed, some not. */
function apart(field: Field | undefined, { number, bytes }: WireField, next: (below: number) => number): Uint8Array[] {
  const [, , kind, occurs] = field ?? [];
  const isPacked = occurs === 'repeated' && typeof kind === 'string' && kind !== 'string' && kind !== 'bytes';
  if (!isPacked || next(3) === 0) return [bytes];
  const reader = new Cursor(bytes);
  reader.varint();
  reader.varint();
  const wire = kind === 'double' ? FIXED64 : VARINT;
  const pieces: Uint8Array[] = [];
  while (reader.at < bytes.length) {
    const one = reader.value(wire);
    const isAlone = next(2) === 0;
    const head = isAlone ? varint(number * 8 + wire) : Buffer.concat([varint(number * 8 + BYTES), varint(one.length)]);
    pieces.push(Buffer.concat([head, one]));
  }
  return pieces;
}

function unknown(next: (below: number) => number, depth: number): Uint8Array {
  const tag = (wire: number): Buffer => varint(UNKNOWN * 8 + wire);
  const junk = Uint8Array.from({ length: next(5) }, () => next(256));
  switch (next(depth > 0 ? 5 : 4)) {
    case 0:
      return Buffer.concat([tag(0), varint(next(2 ** 31))]);
    case 1:
      return Buffer.concat([tag(1), Buffer.alloc(8, next(256))]);
    case 2:
      return Buffer.concat([tag(2), varint(junk.length), junk]);
    case 3:
      return Buffer.concat([tag(5), Buffer.alloc(4, next(256))]);
    default:
      return Buffer.concat([tag(3), unknown(next, depth - 1), unknown(next, depth - 1), tag(4)]);
  }
}

function split(bytes: Uint8Array): WireField[] {
  const out: WireField[] = [];
  const reader = new Cursor(bytes);
  while (reader.at < bytes.length) {
    const from = reader.at;
    const tag = reader.varint();
    reader.value(tag & 7);
    out.push({ number: tag >>> 3, bytes: bytes.subarray(from, reader.at) });
  }
  return out;
}

/** Goes over bytes that `encode` wrote. */
class Cursor {
  at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** The value, where it fits 31 bits. */
  varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++] as number;
      value |= (byte & 0x7f) << shift;
      if (!(byte >= 0x80)) return value;
    }
  }

  value(wire: number): Uint8Array {
    const from = this.at;
    if (wire === VARINT) this.varint();
    else if (wire === FIXED64) this.at += 8;
    else {
      const length = this.varint();
      this.at += length;
    }
    return this.bytes.subarray(from, this.at);
  }
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out.push((rest & 0x7f) | 0x80);
  return Buffer.from([...out, rest]);
}

function isProtoError(error: unknown): boolean {
  return error instanceof ProtoError;
}
