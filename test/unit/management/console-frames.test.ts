/** Frames of a debug console: written and read, in whatever pieces, with bounds. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import {
  exitFrame,
  FRAME,
  FRAME_HEADER_BYTES,
  type Frame,
  FrameReader,
  frame,
  MAX_FRAME_BYTES,
  MAX_TERMINAL_SIZE,
  orderOf,
  resizeFrame,
  sizeOf,
  statusOf,
} from '../../../host/management/console-frames.ts';
import { Random } from '../../fuzz/random.ts';

const frames = suite("a debug console's frames");
const ORDER = { args: ['ls', '-l'], terminal: true, rows: 24, columns: 80, term: 'xterm' };

function read(reader: FrameReader, ...chunks: Buffer[]): Frame[] {
  const found: Frame[] = [];
  for (const chunk of chunks) reader.push(chunk, (each) => found.push({ ...each, payload: Buffer.from(each.payload) }));
  return found;
}

function code(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    return (thrown as KataError).code;
  }
  return 'nothing was thrown';
}

frames('every cut of a stream is read alike', () => {
  const sent = Buffer.concat([
    frame(FRAME.open, Buffer.from(JSON.stringify(ORDER))),
    frame(FRAME.stdin),
    frame(FRAME.stdout, Buffer.from('abc')),
    resizeFrame(33, 120),
    exitFrame(-1),
  ]);
  const whole = read(new FrameReader(), sent);
  assert.equal(
    whole.map(({ type }) => type),
    [FRAME.open, FRAME.stdin, FRAME.stdout, FRAME.resize, FRAME.exit],
  );
  assert.equal(sizeOf(whole[3]?.payload as Buffer), { rows: 33, columns: 120 });
  assert.is(statusOf(whole[4]?.payload as Buffer), -1);
  for (let cut = 0; cut <= sent.length; cut++) {
    assert.equal(read(new FrameReader(), sent.subarray(0, cut), sent.subarray(cut)), whole);
  }
  const bytes = [...sent].map((byte) => Buffer.from([byte]));
  assert.equal(read(new FrameReader(), ...bytes), whole);
});

frames('the largest is taken, one byte more is not', () => {
  const [largest] = read(new FrameReader(), frame(FRAME.stdin, Buffer.alloc(MAX_FRAME_BYTES, 7)));
  assert.is(largest?.payload.length, MAX_FRAME_BYTES);
  assert.throws(() => frame(FRAME.stdin, Buffer.alloc(MAX_FRAME_BYTES + 1)), /frame of/);
  const header = Buffer.from([FRAME.stdin, 0, 0, 0]);
  header.writeUIntBE(MAX_FRAME_BYTES + 1, 1, 3);
  assert.is(
    code(() => read(new FrameReader(), header)),
    'invalid_argument',
  );
});

frames('unknown types, sizes and statuses of another length', () => {
  for (let type = 0; type < 256; type++) {
    const known = (Object.values(FRAME) as number[]).includes(type);
    const outcome = code(() => read(new FrameReader(), Buffer.from([type, 0, 0, 0])));
    assert.is(outcome, known ? 'nothing was thrown' : 'invalid_argument');
  }
  for (const length of [0, 3, 5]) {
    assert.is(
      code(() => sizeOf(Buffer.alloc(length))),
      'invalid_argument',
    );
    assert.is(
      code(() => statusOf(Buffer.alloc(length))),
      'invalid_argument',
    );
  }
  const [huge] = read(new FrameReader(), resizeFrame(1e9, 2e9));
  assert.equal(sizeOf(huge?.payload as Buffer), { rows: MAX_TERMINAL_SIZE, columns: MAX_TERMINAL_SIZE });
});

frames('an order is one, or is refused', () => {
  assert.equal(orderOf(Buffer.from(JSON.stringify(ORDER))), ORDER);
  assert.is(orderOf(Buffer.from(JSON.stringify({ ...ORDER, port: 1026 }))).port, 1026);
  const bad = [
    'null',
    '[]',
    '{',
    '"x"',
    ...[
      { ...ORDER, args: 'ls' },
      { ...ORDER, args: ['a', 1] },
      { ...ORDER, args: ['a\0b'] },
      { ...ORDER, terminal: 1 },
      { ...ORDER, rows: -1 },
      { ...ORDER, rows: MAX_TERMINAL_SIZE + 1 },
      { ...ORDER, columns: 1.5 },
      { ...ORDER, term: null },
      { ...ORDER, port: 0 },
      { ...ORDER, port: 2 ** 32 },
      { ...ORDER, port: '1' },
    ].map((order) => JSON.stringify(order)),
  ];
  for (const text of bad)
    assert.is(
      code(() => orderOf(Buffer.from(text))),
      'invalid_argument',
      text,
    );
});

frames('a hundred thousand random streams: bounded, and never anything but invalid_argument', () => {
  const random = new Random(20_260_101);
  for (let round = 0; round < 100_000; round++) {
    const reader = new FrameReader();
    let held = 0;
    try {
      for (let piece = 0; piece < 4; piece++) {
        const bytes = Buffer.alloc(random.u32() % 24);
        for (let at = 0; at < bytes.length; at++) bytes[at] = random.u32();
        // Often enough something that looks like a frame.
        if (bytes.length >= FRAME_HEADER_BYTES && random.u32() % 2 === 0) {
          bytes[0] = [0, 1, 2, 3, 16, 17, 18, 19][random.u32() % 8] as number;
          bytes.writeUIntBE(random.u32() % 12, 1, 3);
        }
        held += bytes.length;
        reader.push(bytes, ({ type, payload }) => {
          held -= FRAME_HEADER_BYTES + payload.length;
          assert.ok(held >= 0, 'more came out than went in');
          if (type === FRAME.resize && payload.length === 4) sizeOf(payload);
          if (type === FRAME.open) code(() => orderOf(payload));
        });
      }
    } catch (thrown) {
      assert.is((thrown as KataError).code, 'invalid_argument');
    }
  }
});

frames.run();
