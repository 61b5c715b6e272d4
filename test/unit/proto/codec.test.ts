import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decode,
  encode,
  MAP_ENTRY_ELEMENTS,
  MAX_DEPTH,
  MAX_ELEMENTS,
  MAX_MESSAGE_BYTES,
  type MessageType,
  message,
  ProtoError,
} from '../../../host/proto/codec.ts';
import { forOracle, type Message, messageOf, type Pair, pairs } from './oracle.ts';

/** Random messages a type. */
const RUNS = 40;
const SEED = 20260101;

const all = await pairs();
const oracle = suite('codec and protobufjs');

oracle('there is a pair for every message', () => {
  assert.ok(all.length > 180, `${all.length} types`);
});

for (const { ours, oracle: type } of all) {
  oracle(`${ours.name}: the same bytes, and back`, () => {
    fc.assert(
      fc.property(messageOf(ours), (value) => roundTrips({ ours, oracle: type }, value)),
      { seed: SEED, numRuns: RUNS },
    );
  });
}

function roundTrips({ ours, oracle: type }: Pair, value: Message): void {
  const bytes = encode(ours, value);
  const expected = type.encode(forOracle(ours, value)).finish();
  assert.is(Buffer.compare(bytes, expected), 0, `${hex(bytes)} instead of ${hex(expected)}`);
  const back = decode(ours, bytes);
  deepStrictEqual(back, value);
  assert.is(Buffer.compare(encode(ours, back), bytes), 0);
}

oracle.run();

const limits = suite('codec limits');
interface Node {
  child: Node | undefined;
  items: number[];
  map: Record<string, string>;
  text: string;
}
const Node: MessageType<Node> = message<Node>('test.Node', () => [
  [1, 'child', Node],
  [2, 'items', 'int32', 'repeated'],
  [3, 'map', 'string', 'map', 'string'],
  [4, 'text', 'string'],
]);

function nested(depth: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < depth; i++) bytes = Uint8Array.from([0x0a, ...lengthOf(bytes.length), ...bytes]);
  return bytes;
}

function lengthOf(length: number): number[] {
  return length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
}

limits('nesting', () => {
  decode(Node, nested(MAX_DEPTH));
  assert.throws(() => decode(Node, nested(MAX_DEPTH + 1)), isProtoError);
  let value: Record<string, unknown> = {};
  for (let i = 0; i < MAX_DEPTH; i++) value = { child: value };
  encode(Node, value);
  assert.throws(() => encode(Node, { child: value }), isProtoError);
});

limits('elements', () => {
  const packed = (count: number): Uint8Array => encode(Node, { items: new Array(count).fill(1) });
  assert.is(decode(Node, packed(MAX_ELEMENTS)).items.length, MAX_ELEMENTS);
  assert.throws(() => decode(Node, packed(MAX_ELEMENTS + 1)), isProtoError);
});

limits('messages and entries of maps count for what they take in memory', () => {
  const children = message<{ list: Node[] }>('test.List', () => [[1, 'list', Node, 'repeated']]);
  // An element, and its four fields.
  const most = MAX_ELEMENTS / 5;
  const empty = (count: number): Uint8Array =>
    new Uint8Array(2 * count).fill(0x0a).map((byte, i) => (i % 2 ? 0 : byte));
  assert.is(decode(children, empty(most)).list.length, most);
  assert.throws(() => decode(children, empty(most + 1)), isProtoError);
  const entries = new Uint8Array((2 * MAX_ELEMENTS) / MAP_ENTRY_ELEMENTS + 2).map((_, i) => (i % 2 ? 0 : 0x1a));
  decode(Node, entries.subarray(2));
  assert.throws(() => decode(Node, entries), isProtoError);
});

limits('bad field numbers, in entries of maps too', () => {
  for (const tag of [[0x02], [0x8a, 0x80, 0x80, 0x80, 0x10]]) {
    assert.throws(() => decode(Node, Uint8Array.from([...tag, 0])), isProtoError);
    assert.throws(() => decode(Node, Uint8Array.from([0x1a, tag.length + 1, ...tag, 0])), isProtoError);
  }
});

limits('size', () => {
  const bytes = new Uint8Array(MAX_MESSAGE_BYTES + 1);
  // One field that fills the message but for its tag and length, then one byte more.
  bytes.set([0x22, ...[0xfb, 0xff, 0xff, 0x07]]);
  assert.is(decode(Node, bytes.subarray(0, MAX_MESSAGE_BYTES)).text.length, MAX_MESSAGE_BYTES - 5);
  assert.throws(() => decode(Node, bytes), isProtoError);
});

limits('varints of more than 64 bits, or more than 10 bytes', () => {
  const items = (...bytes: number[]): Uint8Array => Uint8Array.from([0x10, ...bytes]);
  const nine = new Array(9).fill(0xff) as number[];
  assert.equal(decode(Node, items(...nine, 0x01)).items, [-1]);
  assert.throws(() => decode(Node, items(...nine, 0x02)), isProtoError);
  assert.throws(() => decode(Node, items(...nine, 0x81, 0x00)), isProtoError);
});

limits('lengths that run past the end', () => {
  for (const bytes of [
    [0x22, 1],
    [0x22, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x22, 0x80],
    [0x0a, 2, 0x22, 2, 65, 65],
  ]) {
    assert.throws(() => decode(Node, Uint8Array.from(bytes)), isProtoError, String(bytes));
  }
});

limits('unknown fields of every wire type are skipped', () => {
  const unknown = [
    0x78, 1, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 2, 0x0a, 0x7f, 0x7b, 0x7a, 1, 0, 0x7c,
  ];
  assert.is(decode(Node, Uint8Array.from([...unknown, 0x22, 1, 65, ...unknown])).text, 'A');
});

limits('unknown fields and groups are skipped, however deep', () => {
  const groups = [...new Array(10_000).fill(0x2b), ...new Array(10_000).fill(0x2c)] as number[];
  assert.is(decode(Node, Uint8Array.from([...groups, 0x22, 1, 65])).text, 'A');
  assert.throws(() => decode(Node, Uint8Array.from(groups.slice(1))), isProtoError);
  assert.throws(() => decode(Node, Uint8Array.from(groups.slice(0, -1))), isProtoError);
});

limits('a key named __proto__ is a key', () => {
  const map = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
  const back = decode(Node, encode(Node, { map }));
  assert.equal(Object.entries(back.map), [['__proto__', 'x']]);
  assert.is(({} as Record<string, unknown>).x, undefined);
});

limits('a leading U+FEFF is part of a string', () => {
  assert.is(decode(Node, encode(Node, { text: '\ufeffx' })).text, '\ufeffx');
});

limits('values that do not fit', () => {
  for (const items of [[2 ** 31], [-(2 ** 31) - 1], [0.5], [Number.NaN]])
    assert.throws(() => encode(Node, { items }), isProtoError);
  assert.throws(() => encode(Node, { text: 5 as unknown as string }), isProtoError);
  assert.throws(() => encode(Node, { child: 'x' as unknown as Node }), isProtoError);
});

limits('random bytes decode or fail cleanly', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(all.length - 1), (bytes, index) => {
      const { ours } = all[index] as Pair;
      try {
        decode(ours, bytes);
      } catch (error) {
        assert.ok(isProtoError(error), String(error));
      }
    }),
    { seed: SEED, numRuns: 5000 },
  );
});

function isProtoError(error: unknown): boolean {
  return error instanceof ProtoError;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

limits.run();
