/** Which output is held back, and how long. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_PAUSE_MS, Pace, STREAM_MAX_BYTES, STREAM_MIN_BYTES } from '../../../guest/agent/pace.ts';

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

test('who fills the pipe is read at once; a pause that gathers enough stays', () => {
  assert.equal(pauses(65536, STREAM_MAX_BYTES, STREAM_MAX_BYTES), [0, 0, 0]);
  assert.equal(pauses(4096, 4096, 4096, STREAM_MAX_BYTES, 20000), [0, 1, 2, 2, 2]);
});

test('a pause in which nothing came is the last', () => {
  assert.equal(pauses(4096, 4096, 4096, 0, 4096), [0, 1, 2, 0, 1]);
});

test.run();
