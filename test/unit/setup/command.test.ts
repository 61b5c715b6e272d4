import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe, finish } from '../../../setup/command.ts';

const test = suite('programs run to their end');

test('one that takes too long is killed', async () => {
  const done = await finish(['sleep', '100'], { timeoutMs: 20 });
  assert.equal([done.timedOut, done.signal, done.code], [true, 'SIGKILL', undefined]);
  assert.match(describe(done), /killed after/);
});

test('one that has a grace is told first, and may clean up', async () => {
  const script = 'trap "echo cleaned; exit 3" TERM; echo ready; while :; do sleep 0.01; done';
  const done = await finish(['sh', '-c', script], { timeoutMs: 500, graceMs: 60_000 });
  assert.equal([done.timedOut, done.code, done.stdout], [true, 3, 'ready\ncleaned\n']);
});

test('one that ignores that is killed when its grace is over', async () => {
  const done = await finish(['sh', '-c', 'trap "" TERM; while :; do :; done'], { timeoutMs: 200, graceMs: 100 });
  assert.equal([done.timedOut, done.signal], [true, 'SIGKILL']);
});

test.run();
