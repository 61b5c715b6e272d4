/** Which output is held back, and how long. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FAST_BYTES_PER_MS,
  MAX_PAUSE_MS,
  MUCH_ENOUGH_BYTES,
  MUCH_MAX_PAUSE_MS,
  MUCH_MS,
  MUCH_PLENTY_BYTES,
  Pace,
  STREAM_MAX_BYTES,
  STREAM_MIN_BYTES,
} from '../../../guest/agent/pace.ts';

const test = suite('pace of output');

/** Pauses after reads of so many bytes, a millisecond after the pause each. */
function pauses(...reads: readonly number[]): number[] {
  const pace = new Pace();
  let now = 1000;
  return reads.map((bytes) => {
    now += pace.pause + 1;
    pace.read(bytes, now);
    return pace.pause;
  });
}

test('a stream of small writes gets ever longer pauses, up to the limit', () => {
  const all = pauses(...Array.from({ length: 7 }, () => 4096));
  assert.equal(all, [0, 1, 2, 4, 8, MAX_PAUSE_MS, MAX_PAUSE_MS]);
});

test('somebody who types is never held back, nor one who waits for a line', () => {
  assert.equal(pauses(1, 1, 80, STREAM_MIN_BYTES - 1), [0, 0, 0, 0]);
  const pace = new Pace();
  for (let now = 0; now < 100; now += 10) {
    pace.read(4096, now);
    assert.is(pace.pause, 0);
  }
});

test('much at a time gets a pause until answers are well filled', () => {
  assert.equal(pauses(65536, STREAM_MAX_BYTES, 65536, 65536, 65536), [0, 1, 2, MUCH_MAX_PAUSE_MS, MUCH_MAX_PAUSE_MS]);
  assert.equal(pauses(65536, 65536, MUCH_ENOUGH_BYTES, MUCH_PLENTY_BYTES - 1), [0, 1, 1, 1]);
  assert.equal(
    pauses(65536, 65536, 65536, MUCH_PLENTY_BYTES, MUCH_PLENTY_BYTES, MUCH_PLENTY_BYTES),
    [0, 1, 2, 1, 0, 0],
  );
  assert.equal(pauses(65536, 65536, 0, 65536), [0, 1, 0, 1]);
});

test('much at a time is read at once where that is fast, and where it comes seldom', () => {
  const fast = new Pace();
  const seldom = new Pace();
  for (let read = 1; read < 10; read++) {
    fast.read(100_000, (read * 100_000) / FAST_BYTES_PER_MS);
    seldom.read(100_000, read * MUCH_MS);
    assert.equal([fast.pause, seldom.pause], [0, 0]);
  }
});

test('a pause in which nothing came is the last', () => {
  assert.equal(pauses(4096, 4096, 4096, 0, 4096), [0, 1, 2, 0, 1]);
});

test.run();
