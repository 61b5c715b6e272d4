/** When the event loop looks on for messages, and when it sleeps. */
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BULK_BYTES, LINGER_MS, Linger } from '../../../host/ttrpc/linger.ts';

const test = suite('linger');

function lingerAt(): { linger: Linger; pass: (ms: number) => void } {
  let clock = 1000;
  const linger = new Linger(() => clock);
  return {
    linger,
    pass: (ms) => {
      clock += ms;
    },
  };
}

test('one message is no reason to look on', () => {
  const { linger } = lingerAt();
  linger.received(100);
  assert.not(linger.looking);
});

test('messages farther apart than the moment are not looked for', () => {
  const { linger, pass } = lingerAt();
  for (let i = 0; i < 5; i++) {
    linger.received(100);
    pass(LINGER_MS);
  }
  assert.not(linger.looking);
});

test('after fast ones the loop looks on, for the moment and no longer', async () => {
  const { linger, pass } = lingerAt();
  linger.received(100);
  pass(LINGER_MS / 2);
  linger.received(100);
  assert.ok(linger.looking);
  for (let i = 0; i < 3; i++) await turn();
  assert.ok(linger.looking);
  pass(LINGER_MS * 0.9);
  linger.received(100);
  pass(LINGER_MS * 0.9);
  await turn();
  await turn();
  assert.ok(linger.looking);
  pass(LINGER_MS);
  await turn();
  await turn();
  assert.not(linger.looking);
});

test('data on its way is not looked for', () => {
  const { linger, pass } = lingerAt();
  linger.received(BULK_BYTES);
  linger.received(BULK_BYTES);
  assert.not(linger.looking);
  linger.received(BULK_BYTES - 1);
  assert.ok(linger.looking);
  // The clock stands still: without this it would look for ever.
  pass(LINGER_MS);
});

test.run();
