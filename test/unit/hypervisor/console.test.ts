/** A guest that floods its console is held up, not followed; one that boots in detail is not held up. */
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BURST_READS, READS_PER_S, REST_MS, readConsole } from '../../../host/hypervisor/qemu/console.ts';

const consoles = suite("the guest's console, read");

consoles('a burst at once, then at a rate, and nothing is lost', async () => {
  const stream = new PassThrough({ highWaterMark: 1024 * 1024 });
  let now = 0;
  let taken = '';
  let reads = 0;
  let sawEnd = false;
  readConsole(
    stream,
    (chunk) => {
      sawEnd ||= chunk.length === 0;
      taken += chunk;
      reads += 1;
    },
    () => now,
  );
  let said = '';
  const say = (text: string): void => {
    said += text;
    stream.write(text);
  };
  for (let i = 0; i < BURST_READS - 1; i++) say('x');
  await sleep(1);
  assert.not.ok(stream.isPaused());
  assert.is(taken, said);
  say('y');
  await sleep(0);
  assert.ok(stream.isPaused());
  // No time has passed by its clock: after each rest one read, however much there is.
  reads = 0;
  for (let i = 0; i < 1000; i++) say('z');
  await sleep(10 * REST_MS);
  assert.ok(reads >= 1 && reads <= 12, `${reads} reads`);
  now += (1000 * 1100) / READS_PER_S;
  while (taken.length < said.length) await sleep(REST_MS);
  assert.is(taken, said);
  say('end');
  await sleep(2 * REST_MS);
  assert.is(taken, said);
  let ended = false;
  const before = taken.length;
  stream.end();
  stream.once('close', () => {
    ended = true;
  });
  while (!ended) await sleep(1);
  await sleep(0);
  assert.is(taken.length, before);
  assert.ok(sawEnd, 'the end is told');
});

consoles.run();
