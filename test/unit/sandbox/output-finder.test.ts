/** Where output lies in the agent's answers: debug WASM, release WASM and JavaScript, by one list of tests. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  STATE_OUTPUT_LENGTH,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../../assembly/layout.ts';
import { JsFinder, type OutputFinder, outputIn, outputStartIn, wasmFinder } from '../../../host/agent/output-finder.ts';
import { instantiate } from '../../../host/core/core.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { ReadStreamResponse } from '../../../host/proto/messages/agent.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { frameMemory } from '../../../host/ttrpc/memory.ts';
import { built } from '../core/builds.ts';

const SEED = 20261121;
const RESPONSE = 2;

const finders: readonly (readonly [name: string, finder: OutputFinder])[] = [
  ['debug WASM', wasmFinder(instantiate(built.debug))],
  ['release WASM', wasmFinder(instantiate(built.release))],
  ['JavaScript', new JsFinder(new Uint8Array(WINDOW_BASE + WINDOW_BYTES))],
];

/** Fields 2 and up of any wire type, a group of two levels among them. */
const UNKNOWN = [
  [0x10, 0x96, 0x01],
  [0x19, 1, 2, 3, 4, 5, 6, 7, 8],
  [0x22, 3, 0x0a, 1, 0xff],
  [0x2d, 1, 2, 3, 4],
  [0x33, 0x0a, 1, 7, 0x3b, 0x08, 1, 0x3c, 0x34],
  [0x98, 0x80, 0x80, 0x80, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];
/** No protobuf message, each for a reason of its own. */
const MALFORMED = [
  [0x0a],
  [0x0a, 2, 1],
  [0x0a, 0x80],
  [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
  [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x02, 0],
  [0x0f, 0],
  [0x0c],
  [0x13, 0x0a],
  [0x13, 0x13, 0x14],
  [0x11, 1, 2, 3],
  [0x15, 1],
  [0x80, 0x80, 0x80, 0x80, 0x10, 0],
];

for (const [name, finder] of finders) {
  const test = suite(`output finder: ${name}`);

  function output(payload: readonly number[] | Uint8Array): Buffer | undefined {
    finder.bytes.set(payload, WINDOW_BASE);
    const data = finder.output(WINDOW_BASE, WINDOW_BASE + payload.length);
    if (data === 0) return undefined;
    const length = finder.state[STATE_OUTPUT_LENGTH] as number;
    assert.ok(data >= WINDOW_BASE && data + length <= WINDOW_BASE + payload.length);
    return Buffer.from(finder.bytes.subarray(data, data + length));
  }

  /** Where data begins when `there` bytes of the frame have arrived, counted from the frame's start. */
  function start(frame: Uint8Array, there = frame.length): number {
    finder.bytes.fill(0xee, WINDOW_BASE, WINDOW_BASE + 64 + there);
    finder.bytes.set(frame.subarray(0, there), WINDOW_BASE);
    const found = finder.outputStart(WINDOW_BASE, WINDOW_BASE + there);
    return found === 0 ? 0 : found - WINDOW_BASE;
  }

  test('data, none, and the last of several', () => {
    assert.equal(output([]), Buffer.alloc(0));
    assert.equal(output([0x0a, 0]), Buffer.alloc(0));
    assert.equal(output([0x0a, 2, 65, 66]), Buffer.from('AB'));
    assert.equal(output([0x0a, 2, 65, 66, 0x0a, 1, 67]), Buffer.from('C'));
    assert.equal(output([0x0a, 2, 65, 66, 0x0a, 0]), Buffer.alloc(0));
    // A longer varint than needed is one all the same.
    assert.equal(output([0x8a, 0x00, 0x82, 0x00, 65, 66]), Buffer.from('AB'));
  });

  test('unknown fields are skipped, before and behind', () => {
    for (const unknown of UNKNOWN) {
      assert.equal(output(unknown), Buffer.alloc(0), String(unknown));
      assert.equal(output([...unknown, 0x0a, 1, 65, ...unknown]), Buffer.from('A'), String(unknown));
    }
  });

  test('what is no message is told', () => {
    for (const bad of MALFORMED) {
      assert.is(output(bad), undefined, String(bad));
      assert.is(output([0x0a, 1, 65, ...bad]), undefined, String(bad));
    }
  });

  test('any bytes: the same as the codec finds', () => {
    const field = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((data) => [...encode(ReadStreamResponse, { data })]),
      fc.constantFrom(...UNKNOWN, ...MALFORMED),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => [...bytes]),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 6 }), (fields) => {
        const payload = Uint8Array.from(fields.flat());
        let expected: Buffer | undefined;
        try {
          expected = Buffer.from(decode(ReadStreamResponse, payload).data);
        } catch {
          // Not a message.
        }
        assert.equal(output(payload), expected);
      }),
      { seed: SEED, numRuns: 5000 },
    );
  });

  test('the start of an answer is found as soon as its heads are there', () => {
    for (const size of [1, 127, 128, 300, 20_000, WINDOW_BYTES - 64, 1024 * 1024, FRAME_MAX_DATA_BYTES - 20]) {
      const frame = frameOf(answer(size));
      const data = frame.length - size;
      // The window holds no more; what is missing is data.
      for (let there = 0; there < data; there++) assert.is(start(frame, there), 0, `${there} of ${size}`);
      for (const there of [data, data + 1, Math.min(frame.length, WINDOW_BYTES - 64)])
        assert.is(start(frame, there), data, `${there} of ${size}`);
    }
  });

  test('a frame of any other shape is left alone', () => {
    const good = answer(300);
    assert.is.not(start(frameOf(good), 200), 0);
    const status = encode(Response, { status: { code: 2, message: 'x'.repeat(300) } });
    const others: Uint8Array[] = [
      frameOf(good, 1),
      frameOf(good, 3),
      frameOf(good, RESPONSE, 1),
      frameOf(status),
      frameOf(Buffer.concat([good, status])),
      frameOf(Buffer.concat([status, good])),
      frameOf(Buffer.concat([good, good])),
      frameOf(encode(Response, { payload: Buffer.concat([inner(300), inner(1)]) })),
      frameOf(encode(Response, { payload: Buffer.concat([Buffer.from([0x10, 1]), inner(300)]) })),
      frameOf(encode(Response, { payload: Buffer.concat([inner(300), Buffer.from([0x10, 1])]) })),
      frameOf(good.subarray(0, good.length - 1)),
      frameOf(Buffer.concat([good, Buffer.alloc(1)])),
      frameOf(Buffer.from([0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80])),
      frameOf(Buffer.alloc(300, 0xff)),
      header(FRAME_MAX_DATA_BYTES + 1),
      header(0xffff_ffff),
    ];
    for (const [index, other] of others.entries())
      for (const there of [9, 10, 12, 16, 20, 200, 400])
        assert.is(start(other, Math.min(there, other.length)), 0, `${index}: ${there}`);
  });

  test('any start: what it finds is what the whole frame holds', () => {
    const part = fc.uint8Array({ maxLength: 12 });
    fc.assert(
      fc.property(part, fc.uint8Array({ maxLength: 300 }), part, fc.nat(400), (before, data, behind, cut) => {
        const payload = Buffer.concat([before, encode(ReadStreamResponse, { data }), behind]);
        const frame = frameOf(encode(Response, { payload }));
        const found = start(frame, Math.min(cut, frame.length));
        if (found === 0) return;
        assert.equal(Buffer.from(frame.subarray(found)), Buffer.from(decode(ReadStreamResponse, payload).data));
      }),
      { seed: SEED, numRuns: 5000 },
    );
  });

  test.run();
}

const views = suite('output in views');

views('in the sockets\u2019 memory and elsewhere', () => {
  const payload = encode(ReadStreamResponse, { data: Buffer.from('data') });
  assert.equal(Buffer.from(outputIn(payload) ?? []), Buffer.from('data'));
  assert.is(outputIn(new Uint8Array(0))?.length, 0);
  assert.is(outputIn(Uint8Array.of(0x0a)), undefined);
  const { scanner, window } = frameMemory();
  window.set(payload, 7);
  const found = outputIn(window.subarray(7, 7 + payload.length));
  assert.equal([found?.buffer, found?.byteOffset], [window.buffer, window.byteOffset + 9]);
  const frame = frameOf(answer(300));
  window.set(frame.subarray(0, 100));
  assert.is(outputStartIn(scanner, WINDOW_BASE, WINDOW_BASE + 100), WINDOW_BASE + frame.length - 300);
  assert.is(outputStartIn(new JsScanner(frame), 0, 100), 0, 'a frame that is gathered elsewhere stays there');
});

views.run();

function inner(size: number): Uint8Array {
  return encode(ReadStreamResponse, { data: new Uint8Array(size).fill(7) });
}

function answer(size: number): Uint8Array {
  return encode(Response, { payload: inner(size) });
}

function header(length: number, type = RESPONSE, flags = 0): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
  bytes.writeUInt32BE(length);
  bytes.writeUInt32BE(1, 4);
  bytes[8] = type;
  bytes[9] = flags;
  return bytes;
}

function frameOf(data: Uint8Array, type = RESPONSE, flags = 0): Uint8Array {
  return Buffer.concat([header(data.length, type, flags), data]);
}
