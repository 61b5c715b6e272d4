/**
 * Output in the agent's answers: debug WASM, release WASM and JavaScript find the same bytes, the codec finds them too, and what is
 * said of a frame's beginning holds for the whole frame.
 */
import { ok, strictEqual } from 'node:assert/strict';
import {
  FRAME_HEADER_BYTES,
  STATE_OUTPUT_LENGTH,
  TYPE_RESPONSE,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../../assembly/layout.ts';
import { JsFinder, type OutputFinder, wasmFinder } from '../../../host/agent/output-finder.ts';
import { instantiate } from '../../../host/core/core.ts';
import { decode, encode, type MessageType, ProtoError } from '../../../host/proto/codec.ts';
import { ReadStreamResponse } from '../../../host/proto/messages/agent.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { built } from '../../unit/core/builds.ts';
import { type CaseBuffer, mutate } from '../buffer.ts';
import type { Random } from '../random.ts';
import type { Target } from '../target.ts';

/** Bytes behind a case that differ between the finders. */
const BEHIND = 32;
const WINDOW_END = WINDOW_BASE + WINDOW_BYTES;
/** What a case is: its first byte's lowest bit. */
const PAYLOAD = 0;
const FRAME = 1;

const TOKENS = [
  [0x0a],
  [0x12],
  [0x0a, 0],
  [0x12, 0],
  [0x13],
  [0x14],
  [0x10, 1],
  [0x15, 1, 2, 3, 4],
  [0x19, 1, 2, 3, 4, 5, 6, 7, 8],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
].map((bytes) => Uint8Array.from(bytes));
const OUTPUTS = [0, 1, 5, 100, 127, 128, 300].map((length) =>
  encode(ReadStreamResponse, { data: new Uint8Array(length).fill(0x61) }),
);
const ANSWERS = OUTPUTS.map((payload) => encode(Response, { payload }));

export function outputTarget(): Target {
  const finders: readonly OutputFinder[] = [
    wasmFinder(instantiate(built.debug)),
    wasmFinder(instantiate(built.release)),
    new JsFinder(new Uint8Array(WINDOW_END + BEHIND)),
  ];
  const [first] = finders as [OutputFinder];

  /** What all find in [start, end): an address, and a length where there is one. */
  function find(start: number, end: number, inFrame: boolean): { data: number; length: number } {
    const found = finders.map((finder) => {
      const data = inFrame ? finder.outputStart(start, end) : finder.output(start, end);
      return { data, length: finder.state[STATE_OUTPUT_LENGTH] as number };
    });
    const [one] = found as [{ data: number; length: number }];
    for (const other of found) {
      strictEqual(other.data, one.data, 'address');
      if (!inFrame && one.data !== 0) strictEqual(other.length, one.length, 'length');
    }
    return one;
  }

  return {
    name: 'output',
    room: 4096,
    generate,
    check(input) {
      const inFrame = ((input[0] ?? 0) & 1) === FRAME;
      const bytes = input.subarray(1);
      const start = bytes.length % 3 === 0 ? WINDOW_END - bytes.length : WINDOW_BASE + (bytes.length % 61);
      const end = start + bytes.length;
      finders.forEach((finder, i) => {
        finder.bytes.set(bytes, start);
        finder.bytes.fill((i * 0x55) & 0xff, end, end + BEHIND);
      });
      if (!inFrame) {
        const { data, length } = find(start, end, false);
        const expected = read(ReadStreamResponse, bytes);
        strictEqual(data !== 0, expected !== undefined, 'whether it is a message');
        if (!expected) return;
        ok(data >= start && data + length <= end, 'data within the message');
        strictEqual(Buffer.compare(first.bytes.subarray(data, data + length), expected.data), 0, 'data');
        return;
      }
      const whole = end - start >= FRAME_HEADER_BYTES ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : 0;
      for (const there of [end, start + Math.floor(bytes.length / 2), start + 14, start + 17]) {
        if (there > end) continue;
        const { data } = find(start, there, true);
        if (data === 0) continue;
        ok(data > start + FRAME_HEADER_BYTES && data <= there, 'data begins where bytes have arrived');
        if (start + FRAME_HEADER_BYTES + whole > end) continue;
        // The frame is there whole: it must say the same.
        const frame = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + whole);
        const answer = read(Response, frame);
        const output = answer && read(ReadStreamResponse, answer.payload);
        ok(answer && !answer.status && output, 'a successful answer');
        strictEqual(output.data.length, whole - (data - start - FRAME_HEADER_BYTES), 'the data ends with the frame');
      }
    },
  };
}

function generate(buffer: CaseBuffer, random: Random): void {
  const kind = random.once(2) ? PAYLOAD : FRAME;
  buffer.append(Uint8Array.of(kind));
  if (kind === PAYLOAD) {
    for (let n = random.below(3); n > 0; n--) buffer.append(random.pick(random.once(2) ? OUTPUTS : TOKENS));
    for (let n = random.below(5); n > 0; n--) mutate(buffer, 1, random, OUTPUTS, TOKENS);
    return;
  }
  const start = buffer.open(1, FRAME_HEADER_BYTES) + 1;
  buffer.append(random.pick(ANSWERS));
  for (let n = random.below(3); n > 0; n--) mutate(buffer, start, random, ANSWERS, TOKENS);
  buffer.word(1, random.once(8) ? random.u32() : buffer.length - start + (random.once(4) ? random.below(4) : 0));
  buffer.word(5, 1);
  buffer.bytes[9] = random.once(12) ? random.u32() : TYPE_RESPONSE;
  buffer.bytes[10] = random.once(12) ? random.u32() : 0;
}

function read<T>(type: MessageType<T>, bytes: Uint8Array): T | undefined {
  try {
    return decode(type, bytes);
  } catch (error) {
    if (error instanceof ProtoError) return undefined;
    throw error;
  }
}
