/** The proof that nothing stays must itself see what stays. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { leftovers, snapshot, sweep } from '../../../setup/leftovers.ts';
import { kill, markedProcesses, readProcess } from '../../../setup/processes.ts';

const test = suite('leftovers');
const mark = mkdtempSync('/tmp/ke-leftovers-');
const place = `/run/ke-leftovers-${process.pid}`;
const mine = (what: string) => what.includes(place) || what.includes('sleep 4711');
const found = async () => (await leftovers(before, mark, 0)).filter(({ what }) => mine(what));
const before = snapshot(mark);
test.after(() => {
  for (const directory of [mark, place]) rmSync(directory, { recursive: true, force: true });
});

test('nothing new is nothing', async () => {
  assert.equal(await found(), []);
});

test('a new directory and file under /run are seen and swept', async () => {
  mkdirSync(place);
  writeFileSync(`${place}/state.json`, '');
  const left = await found();
  assert.equal(
    left.map(({ kind, what }) => [kind, what]),
    [
      ['file', place],
      ['file', `${place}/state.json`],
    ],
  );
  sweep(left);
  assert.equal(await found(), []);
});

test('what another daemon of this machine has is not left behind', async () => {
  const key = randomBytes(16).toString('hex');
  const sandbox = `/run/kata-containers/${key}`;
  const other = mkdtempSync('/tmp/ke-other-');
  const id = randomBytes(32).toString('hex');
  const left = async () =>
    (await leftovers(before, mark, 0)).filter(({ what }) => what.includes(key) || what.includes(id));
  try {
    mkdirSync(sandbox, { recursive: true });
    writeFileSync(`${sandbox}/state.json`, JSON.stringify({ address: `${other}/c.sock` }));
    assert.equal(await left(), []);
    writeFileSync(`${sandbox}/state.json`, JSON.stringify({ address: `${mark}/c.sock` }));
    assert.is((await left()).length, 2);
    mkdirSync(`${place}/${id}`, { recursive: true });
    assert.is((await left()).length, 3);
    mkdirSync(`${other}/state/io.containerd.runtime.v2.task/k8s.io/${id}`, { recursive: true });
    assert.is((await left()).length, 2);
  } finally {
    for (const directory of [sandbox, other, place]) rmSync(directory, { recursive: true, force: true });
  }
});

for (const [how, options] of [
  ['its environment', { env: { PLACE: `${mark}/c.sock` } }],
  ['its working directory', { cwd: mark }],
] as const) {
  test(`a process is known by ${how}, and killed by pid and start time`, async () => {
    const child = spawn('/bin/sleep', ['4711'], { ...options, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)));
    const [left] = await found();
    assert.is(left?.kind, 'process');
    assert.match(left?.what ?? '', String(child.pid));
    const process = readProcess(child.pid ?? 0);
    assert.ok(process);
    kill({ ...process, startTime: `${process.startTime}0` });
    assert.ok(readProcess(process.pid), 'killed though its start time was another');
    kill(process);
    assert.is(await ended, 'SIGKILL');
  });
}

test('a child of a marked process is marked', async () => {
  const child = spawn('/bin/sh', ['-c', 'env -i /bin/sleep 4711 & wait'], { env: { PLACE: mark }, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const sleeping = () =>
    markedProcesses(mark).filter(({ command }) => command.includes('sleep 4711') && !command.includes('-c'));
  while (sleeping().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.is(sleeping()[0]?.parent, child.pid);
  for (const process of markedProcesses(mark)) kill(process);
  await ended;
});

test.run();
