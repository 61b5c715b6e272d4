/**
 * The frame writers: debug WASM, release WASM and JavaScript write the same bytes at the same places, none before the frame or
 * behind its limit; the scanner reads back what was asked for.
 */
import { ok, strictEqual } from 'node:assert/strict';
import {
  FAULT_NONE,
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  OUTPUT_BASE,
  OUTPUT_BYTES,
  RECORD_CODE,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_METADATA_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
  STATE_FRAME_END,
} from '../../../assembly/layout.ts';
import { instantiate } from '../../../host/core/core.ts';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { JsWriter } from '../../../host/ttrpc/frame-writer.ts';
import { type FrameWriter, wasmWriter } from '../../../host/ttrpc/frames.ts';
import { built } from '../../unit/core/builds.ts';
import type { Target } from '../target.ts';

/** Words of a case: which function, where, and its arguments. */
const WORDS = 11;
const INTERESTING = [0, 1, 2, 5, 100, 127, 128, 129, 16_383, 16_384, 65_536, 2 ** 21 - 1, 2 ** 21];
const AT_THE_LIMIT = [
  FRAME_MAX_DATA_BYTES - 20,
  FRAME_MAX_DATA_BYTES - 5,
  FRAME_MAX_DATA_BYTES,
  FRAME_MAX_DATA_BYTES + 1,
];
const HUGE = [0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff];
/** Bytes before and behind a frame that are compared each time, and all of its first ones. */
const MARGIN = 32;
const HEAD = 64;
/** What memory holds before, so that bytes left alone show. */
const FILL = 0xa5;
/** Tags of fields that fill room which the writer leaves: google.rpc.Status.details, Request.metadata, one that nobody knows. */
const DETAILS = 0x1a;
const METADATA = 0x2a;
const UNKNOWN = 0x32;
/** Memory of the JavaScript twin; one more page than the output, for what would be written behind it. */
const JS_BYTES = OUTPUT_BASE + OUTPUT_BYTES + 65_536;

export function writeTarget(): Target {
  const cores = [instantiate(built.debug), instantiate(built.release)] as const;
  const writers: readonly FrameWriter[] = [
    wasmWriter(cores[0]),
    wasmWriter(cores[1]),
    new JsWriter(new Uint8Array(JS_BYTES)),
  ];
  for (const { bytes } of writers) bytes.fill(FILL, OUTPUT_BASE - HEAD, JS_BYTES);
  const [first] = writers as [FrameWriter];
  const scanner = new JsScanner(first.bytes, 1);

  return {
    name: 'write',
    room: WORDS * 4,
    generate(buffer, random) {
      const length = (): number => {
        if (random.once(40)) return random.pick(HUGE);
        if (random.once(40)) return random.pick(AT_THE_LIMIT);
        return random.once(3) ? random.pick(INTERESTING) : random.below(300);
      };
      buffer.length = WORDS * 4;
      const room = random.once(3) ? random.below(400) : OUTPUT_BYTES;
      const low = random.once(2) ? 0 : random.u32();
      const high = random.once(2) ? 0 : random.u32();
      const words = [
        random.below(4),
        random.below(200),
        room,
        random.u32(),
        random.below(256),
        length(),
        length(),
        length(),
      ];
      [...words, random.once(3) ? 0 : random.u32() >>> random.below(32), low, high].forEach((word, i) => {
        buffer.word(i * 4, word);
      });
    },
    check(input) {
      if (input.length < WORDS * 4) return;
      const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
      const word = (i: number): number => view.getUint32(i * 4);
      const [what, stream, flags, code] = [word(0) & 3, word(3), word(4) & 0xff, word(8)];
      const at = OUTPUT_BASE + (word(1) % 1024);
      const limit = Math.min(at + word(2), OUTPUT_BASE + OUTPUT_BYTES);
      const [a, b, c, low, high] = [word(5), word(6), word(7), word(9), word(10)];
      const put = (writer: FrameWriter): number => {
        if (what === 0) return writer.response(at, limit, stream, a) >>> 0;
        if (what === 1) return writer.status(at, limit, stream, code, a, b) >>> 0;
        if (what === 2) return writer.data(at, limit, stream, flags, a) >>> 0;
        return writer.request(at, limit, stream, flags, b, a, low, high, c) >>> 0;
      };
      const places = writers.map(put);
      const ends = writers.map(({ state }) => state[STATE_FRAME_END]);
      strictEqual(places[1], places[0], 'payload address of release and debug');
      strictEqual(places[2], places[0], 'payload address of JavaScript and debug');
      const payload = places[0] as number;
      if (payload !== 0 && (what === 1 || what === 3)) {
        strictEqual(ends[1], ends[0], 'frame end of release and debug');
        strictEqual(ends[2], ends[0], 'frame end of JavaScript and debug');
      }
      const end = payload === 0 ? at : what === 1 || what === 3 ? (ends[0] as number) : payload + a;
      ok(end <= limit || payload === 0, 'the frame ends within its limit');
      const near = (from: number, until: number): void => {
        for (const { bytes } of writers) {
          const same = Buffer.compare(bytes.subarray(from, until), first.bytes.subarray(from, until)) === 0;
          ok(same, `bytes 0x${from.toString(16)} to 0x${until.toString(16)} differ`);
        }
      };
      near(at - MARGIN, at + HEAD);
      near(payload === 0 ? at : payload + a - MARGIN, (payload === 0 ? at : payload + a) + HEAD);
      ok(isFilled(first.bytes, at - MARGIN, at), 'written before the frame');
      ok(isFilled(first.bytes, end, end + MARGIN), 'written behind the frame');
      /** Puts fields of the asked sizes into the room that was left, and scans the frame. */
      const readBack = (): void => {
        const { bytes } = first;
        // One byte is no field.
        if (what !== 0 && what !== 2 && (b === 1 || (what === 3 && c === 1))) return;
        bytes.fill(0, payload, payload + a);
        if (what === 1 && b > 0) bytes.set([DETAILS, b - 2], end - b);
        if (what === 3 && b > 0) bytes.set([UNKNOWN, b - 2], at + FRAME_HEADER_BYTES);
        if (what === 3 && c > 0) bytes.set([METADATA, c - 2], end - c);
        strictEqual(scanner.scan(at, end), 1, 'one frame');
        const expected: (readonly [number, number])[] = [
          [RECORD_FAULT, FAULT_NONE],
          [RECORD_STREAM, stream],
          [RECORD_FLAGS, what < 2 ? 0 : flags],
        ];
        if (what === 1) expected.push([RECORD_CODE, code], [RECORD_TEXT_LENGTH, a]);
        else expected.push([RECORD_PAYLOAD_LENGTH, a]);
        if (what === 3)
          expected.push([RECORD_METADATA_LENGTH, c], [RECORD_TIMEOUT_LOW, low], [RECORD_TIMEOUT_HIGH, high]);
        for (const [place, value] of expected) strictEqual(scanner.records[place], value, `record word ${place}`);
        if (a > 0) strictEqual(scanner.records[what === 1 ? RECORD_TEXT : RECORD_PAYLOAD], payload, 'payload');
      };
      if (payload !== 0) {
        if (Math.max(b, c) < 129) readBack();
        for (const { bytes } of writers) bytes.fill(FILL, at, end);
      }
    },
    finish() {
      ok(isFilled(first.bytes, OUTPUT_BASE + OUTPUT_BYTES, JS_BYTES), 'written behind the output');
      for (const { memory } of cores) ok(isFilled(memory, OUTPUT_BASE - HEAD, JS_BYTES), 'written where no frame was');
    },
  };
}

function isFilled(bytes: Uint8Array, from: number, until: number): boolean {
  for (let i = from; i < until; i++) if (bytes[i] !== FILL) return false;
  return true;
}
