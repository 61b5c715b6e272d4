import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { childrenOf, identityOf, isAlive, kill, startTimeOf, waitGone } from '../../../host/process.ts';

const identity = suite('process identity');

identity('a living process has a start time, and keeps it', () => {
  const startTime = startTimeOf(process.pid);
  assert.type(startTime, 'number');
  assert.is(startTimeOf(process.pid), startTime);
  assert.ok(isAlive({ pid: process.pid, startTime: startTime ?? -1 }));
});

identity('a pid of another start time is another process, and is not signalled', async () => {
  const child = spawn('sleep', ['60']);
  const self = identityOf(child.pid ?? 0);
  assert.ok(self);
  const other = { pid: self.pid, startTime: self.startTime + 1 };
  assert.not(isAlive(other));
  assert.not(kill(other, 'SIGKILL'));
  assert.ok(isAlive(self));
  assert.ok(kill(self, 'SIGKILL'));
  await once(child, 'exit');
  assert.not(kill(self, 'SIGKILL'));
});

identity('pids that are none have no identity', () => {
  for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 31]) assert.is(identityOf(pid), undefined);
});

identity('a name with parentheses and spaces does not shift the fields', async () => {
  const renamed = spawn('bash', ['-c', 'printf ") Z 1 (" > /proc/$$/comm; read -r line']);
  const found = await until(() => {
    const self = identityOf(renamed.pid ?? 0);
    return self && readText(`/proc/${self.pid}/comm`).startsWith(')') ? self : undefined;
  });
  assert.ok(isAlive(found));
  assert.match(readText(`/proc/${found.pid}/comm`), ') Z 1 (');
  renamed.kill('SIGKILL');
  await once(renamed, 'exit');
});

identity('a zombie is not alive', async () => {
  // The shell starts a child and turns into sleep, which never waits for it.
  const parent = spawn('sh', ['-c', 'sh -c "exit 0" & exec sleep 60']);
  const zombie = await until(() => zombieOf(parent.pid ?? 0));
  assert.is(startTimeOf(zombie), undefined);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
});

identity('waiting ends with the process, or after the time given', async () => {
  const child = spawn('sleep', ['60']);
  const self = identityOf(child.pid ?? 0);
  assert.ok(self);
  assert.is(await waitGone(self, 20), false);
  child.kill('SIGKILL');
  assert.is(await waitGone(self, 5000), true);
});

identity('children are found', async () => {
  const child = spawn('sleep', ['60']);
  assert.ok(childrenOf(process.pid).some((found) => found.pid === child.pid));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(childrenOf(2 ** 31), []);
});

function zombieOf(parent: number): number | undefined {
  const text = readText(`/proc/${parent}/task/${parent}/children`);
  const pid = Number(text.trim().split(' ')[0]);
  return pid > 0 && / Z /.test(readText(`/proc/${pid}/stat`)) ? pid : undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Asks until there is an answer; the runner's patience is the limit. */
async function until<T>(ask: () => T | undefined): Promise<T> {
  for (;;) {
    const answer = ask();
    if (answer !== undefined) return answer;
    await sleep(5);
  }
}

identity.run();
