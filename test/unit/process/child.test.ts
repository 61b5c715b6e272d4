import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Child } from '../../../host/child.ts';
import { identityOf, isAlive, waitGone } from '../../../host/process.ts';
import { TAIL_BYTES } from '../../../host/tail.ts';

const PLAIN = { descriptors: [], dropCapabilities: false } as const;

const child = suite('child process');

child('tells how it ended, with its last words', async () => {
  const { exited } = await Child.spawn('/bin/sh', ['-c', 'echo no such machine >&2; exit 3'], PLAIN);
  assert.equal(await exited, { code: 3, signal: null, stderr: 'no such machine\n' });
});

child('keeps a bounded end of what it says', async () => {
  const { exited } = await Child.spawn(
    '/bin/sh',
    ['-c', 'head -c 100000 /dev/zero | tr "\\0" x >&2; echo end >&2'],
    PLAIN,
  );
  const { stderr } = await exited;
  assert.is(stderr.length, TAIL_BYTES);
  assert.ok(stderr.endsWith('xend\n'));
});

child('is killed with its own children, any number of times', async () => {
  const started = await Child.spawn('/bin/sh', ['-c', 'sleep 60 & echo $! >&2; wait'], PLAIN);
  while (started.stderr() === '') await sleep(5);
  const grandchild = identityOf(Number(started.stderr()));
  assert.ok(grandchild);
  await started.kill();
  assert.not(isAlive(started.identity));
  assert.not(isAlive(grandchild));
  await started.kill();
});

child('a program that is missing is an exit with a reason', async () => {
  const { exited } = await Child.spawn('/nonexistent/program', [], PLAIN);
  const { code, stderr } = await exited;
  assert.is.not(code, 0);
  assert.match(stderr, /nonexistent\/program/);
});

child('loses its capabilities when told to, and cannot gain privileges', async () => {
  const script = 'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status >&2';
  const { exited } = await Child.spawn('/bin/sh', ['-c', script], { descriptors: [], dropCapabilities: true });
  const { stderr } = await exited;
  assert.match(stderr, /CapEff:\s0+\n/);
  assert.match(stderr, /CapBnd:\s0+\n/);
  assert.match(stderr, /NoNewPrivs:\s1\n/);
});

child('inherits the descriptors given, from 3 on, and no others', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-child-'));
  const file = join(directory, 'file');
  writeFileSync(file, 'inherited');
  const fd = openSync(file, 'r');
  const script = 'cat <&4 >&3; exec ls /proc/self/fd >&2';
  const started = await Child.spawn('/bin/sh', ['-c', script], { descriptors: ['pipe', fd], dropCapabilities: false });
  closeSync(fd);
  const [said] = await once(started.stream(0), 'data');
  assert.is(String(said), 'inherited');
  const { stderr } = await started.exited;
  // 5 is the directory that ls reads.
  assert.equal(stderr.trim().split('\n'), ['0', '1', '2', '3', '4', '5']);
  await started.kill();
  rmSync(directory, { recursive: true });
});

child('does not outlive this process, even when that is killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-child-'));
  const script = join(directory, 'parent.mts');
  const pidFile = join(directory, 'pid');
  const source = fileURLToPath(new URL('../../../host/child.ts', import.meta.url));
  writeFileSync(
    script,
    `import { Child } from ${JSON.stringify(source)};
     import { writeFileSync } from 'node:fs';
     const child = await Child.spawn('/bin/sleep', ['60'], { descriptors: [], dropCapabilities: true });
     writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));`,
  );
  const parent = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), script], { stdio: 'inherit' });
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await sleep(5);
  const pid = Number(readFileSync(pidFile, 'utf8'));
  // setpriv has become sleep once its name has changed.
  while (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'sleep') await sleep(5);
  const sleeper = identityOf(pid);
  assert.ok(sleeper);
  parent.kill('SIGKILL');
  assert.ok(await waitGone(sleeper, 10_000));
  rmSync(directory, { recursive: true });
});

child.run();
