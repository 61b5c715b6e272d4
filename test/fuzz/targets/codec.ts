/**
 * The table codec, with every message of proto/: what it reads it writes again, and that says to protobufjs what the original said;
 * it throws nothing but ProtoError, and refuses as cut off only what protobufjs refuses too.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { decode, encode, ProtoError } from '../../../host/proto/codec.ts';
import { messageOf, type Pair, pairs } from '../../unit/proto/oracle.ts';
import { type CaseBuffer, mutate } from '../buffer.ts';
import { hasGroup, hasLongVarint } from '../protobuf.ts';
import type { Random } from '../random.ts';
import { recordedTraffic } from '../recorded.ts';
import type { Target } from '../target.ts';

/** Random messages of each type to begin with, beside recorded ones; their seed. */
const SAMPLES = 3;
const SAMPLE_SEED = 20_261_121;
/** One case in so many is compared with protobufjs. */
const ORACLE_EVERY = 2;
/** Bytes that say which message a case is. */
const INDEX_BYTES = 2;
/** What protobufjs lets pass, and Go and we do not. */
const STRICTER = /64 bits|10 bytes|bad field number|wire type|nested deeper|more than/;

const TOKENS = Array.from({ length: 24 }, (_, i) => i + 1).flatMap((number) =>
  [0, 1, 2, 3, 4, 5].map((wire) => {
    const tag = number * 8 + wire;
    return tag < 128 ? Uint8Array.of(tag, 0) : Uint8Array.of((tag & 0x7f) | 0x80, tag >> 7, 0);
  }),
);

export async function codecTarget(): Promise<Target> {
  const types = await pairs();
  const cases: Uint8Array[][] = types.map(({ ours }) =>
    fc.sample(messageOf(ours), { numRuns: SAMPLES, seed: SAMPLE_SEED }).map((value) => encode(ours, value)),
  );
  const all = cases.flat();
  for (const { type, bytes } of recordedTraffic().messages) {
    const index = types.findIndex(({ ours }) => ours === type);
    cases[index]?.push(bytes);
  }

  function generate(buffer: CaseBuffer, random: Random): void {
    const index = random.below(types.length);
    buffer.append(Uint8Array.of(index >> 8, index & 0xff));
    buffer.append(random.pick(cases[index] as Uint8Array[]));
    const changes = random.once(8) ? 0 : random.size(5);
    for (let n = 0; n < changes; n++) mutate(buffer, INDEX_BYTES, random, all, TOKENS);
  }

  let count = 0;
  return {
    name: 'codec',
    room: 64 * 1024,
    generate,
    check(input) {
      const pair = types[((input[0] ?? 0) << 8) | (input[1] ?? 0)];
      if (pair) checkOne(pair, input.subarray(INDEX_BYTES), ++count % ORACLE_EVERY === 0);
    },
  };
}

function checkOne({ ours, oracle }: Pair, bytes: Uint8Array, withOracle: boolean): void {
  const value = attempt(() => decode(ours, bytes));
  if (value instanceof ProtoError) {
    if (!withOracle || STRICTER.test(value.message)) return;
    const theirs = attempt(() => oracle.decode(bytes));
    ok(theirs instanceof Error, `protobufjs reads what is refused: ${value.message}`);
    return;
  }
  if (value instanceof Error) throw value;
  const again = encode(ours, value);
  const twice = encode(ours, decode(ours, again));
  strictEqual(Buffer.compare(twice, again), 0, 'what is written reads as something else');
  if (!withOracle) return;
  const theirs = attempt(() => oracle.decode(bytes));
  if (theirs instanceof Error) {
    // Text that is no UTF-8 is read with U+FFFD: what a container named badly must not hide the rest of an answer.
    if (theirs.message.includes('utf-8')) return;
    ok(hasGroup(bytes) || hasLongVarint(bytes), `protobufjs refuses: ${theirs.message}`);
    return;
  }
  const options = { longs: String, bytes: String, defaults: true };
  deepStrictEqual(oracle.toObject(oracle.decode(again), options), oracle.toObject(theirs, options), 'protobufjs');
}

function attempt<T>(work: () => T): T | Error {
  try {
    return work();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
