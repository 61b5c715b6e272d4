/**
 * Frames of a debug console: any bytes, cut anywhere, are the frames they are as a whole, or the same refusal; what a frame says is read
 * or refused, and never anything else.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { KataError } from '../../../host/error.ts';
import {
  exitFrame,
  FRAME,
  FRAME_HEADER_BYTES,
  FrameReader,
  type FrameType,
  frame,
  MAX_FRAME_BYTES,
  orderOf,
  resizeFrame,
  sizeOf,
  statusOf,
} from '../../../host/management/console-frames.ts';
import { mutate } from '../buffer.ts';
import { Random } from '../random.ts';
import type { Target } from '../target.ts';

const ORDER = JSON.stringify({
  args: ['sh', '-c', 'é'],
  terminal: true,
  rows: 24,
  columns: 80,
  term: 'xterm',
  port: 1026,
});
const FRAMES: readonly Uint8Array[] = [
  frame(FRAME.open, Buffer.from(ORDER)),
  frame(FRAME.stdin, Buffer.from('ls\n')),
  frame(FRAME.stdin),
  frame(FRAME.stdout, Buffer.alloc(300, 'x')),
  frame(FRAME.stderr, Buffer.from('no')),
  frame(FRAME.error, Buffer.from('it is gone')),
  frame(FRAME.nothing),
  resizeFrame(33, 120),
  exitFrame(137),
];

type Read = { readonly type: FrameType; readonly payload: string };

export function consoleTarget(): Target {
  return {
    name: 'console',
    room: 8 * 1024,
    generate(buffer, random) {
      // What the cuts follow from.
      buffer.append(Uint8Array.of(random.u32()));
      for (let count = random.below(8); count >= 0; count--) buffer.append(random.pick(FRAMES));
      for (let changes = random.below(4); changes > 0; changes--) mutate(buffer, 1, random, FRAMES, FRAMES);
    },
    check(input) {
      const bytes = Buffer.from(input.subarray(1));
      const whole = read([bytes]);
      deepStrictEqual(read(cuts(bytes, new Random(input[0] ?? 0))), whole);
      const length = whole.frames.reduce((sum, { payload }) => sum + FRAME_HEADER_BYTES + payload.length, 0);
      ok(length <= bytes.length, 'more came out than went in');
      for (const { type, payload } of whole.frames) {
        ok(payload.length <= MAX_FRAME_BYTES);
        const data = Buffer.from(payload, 'latin1');
        if (type === FRAME.resize)
          deepStrictEqual(
            refusedOr(() => resizeBack(data), data),
            data,
          );
        if (type === FRAME.exit)
          deepStrictEqual(
            refusedOr(() => exitFrame(statusOf(data)).subarray(4), data),
            data,
          );
        if (type === FRAME.open) refusedOr(() => orderOf(data), undefined);
      }
    },
  };
}

function resizeBack(data: Buffer): Buffer {
  const { rows, columns } = sizeOf(data);
  return resizeFrame(rows, columns).subarray(FRAME_HEADER_BYTES);
}

/** Frames until the end, or the first refusal. */
function read(pieces: readonly Buffer[]): { frames: Read[]; refusal: string } {
  const reader = new FrameReader();
  const frames: Read[] = [];
  for (const piece of pieces) {
    const refusal = refusedOr(() => {
      reader.push(piece, ({ type, payload }) => frames.push({ type, payload: payload.toString('latin1') }));
      return '';
    }, 'refused');
    if (refusal !== '') return { frames, refusal };
  }
  return { frames, refusal: '' };
}

function cuts(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = random.size(64);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

function refusedOr<T>(act: () => T, otherwise: T): T {
  try {
    return act();
  } catch (thrown) {
    ok(thrown instanceof KataError, String(thrown));
    strictEqual(thrown.code, 'invalid_argument');
    return otherwise;
  }
}
