/** What a command reads, from files, stdin and programs, is bounded. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  MAX_READ_BYTES,
  MAX_SAID_BYTES,
  PROGRAM_MS,
  readText,
  realMachine,
  runProgram,
} from '../../../host/cli/check/machine.ts';
import { readInput } from '../../../host/cli/input-file.ts';
import { MAX_RULES_BYTES } from '../../../host/cli/iptables.ts';
import { MAX_POLICY_BYTES } from '../../../host/cli/policy.ts';
import { succeed } from '../../../setup/command.ts';
import { goodMachine } from './fake-machine.ts';

const test = suite('limits of kata-runtime');
const directory = mkdtempSync(join(tmpdir(), 'kata-limits-'));

test.after(() => rmSync(directory, { recursive: true, force: true }));

test('a file for the guest: up to its limit, not empty, not a directory', () => {
  assert.ok(MAX_RULES_BYTES <= 1024 * 1024 && MAX_POLICY_BYTES <= 1024 * 1024, 'the shim takes as much');
  const file = join(directory, 'file');
  writeFileSync(file, Buffer.alloc(MAX_RULES_BYTES, 'x'));
  assert.is(readInput(file, MAX_RULES_BYTES).length, MAX_RULES_BYTES);
  writeFileSync(file, Buffer.alloc(MAX_RULES_BYTES + 1, 'x'));
  assert.throws(() => readInput(file, MAX_RULES_BYTES), `has more than ${MAX_RULES_BYTES} bytes`);
  assert.throws(() => readInput('/dev/zero', 10), 'has more than 10 bytes');
  writeFileSync(file, '');
  assert.throws(() => readInput(file, 10), 'is empty');
  mkdirSync(join(directory, 'd'));
  assert.throws(() => readInput(join(directory, 'd'), 10), 'it is a directory');
  assert.throws(() => readInput(join(directory, 'none'), 10), 'cannot be read: ENOENT');
});

test('a file of the machine is read up to its limit', () => {
  const fake = goodMachine();
  fake.write('/large', Buffer.alloc(MAX_READ_BYTES + 1, 'x'));
  assert.is(readText(fake.machine, '/large')?.length, MAX_READ_BYTES);
  assert.is(readText(fake.machine, '/proc'), undefined);
  assert.is(readText(fake.machine, '/none'), undefined);
});

test('a FIFO that nobody writes to holds up no check', async () => {
  const fake = goodMachine();
  await succeed(['mkfifo', `${fake.machine.root}/fifo`]);
  assert.is(readText(fake.machine, '/fifo'), '');
});

test('a program that does not stop talking, or does not end, is ended', async () => {
  const talker = await runProgram('/bin/sh', ['-c', 'exec yes']);
  assert.is(talker.code, -1);
  assert.ok(talker.text.length <= 2 * MAX_SAID_BYTES);
  const sleeper = await runProgram('/bin/sh', ['-c', 'echo before; exec sleep 600'], 500);
  assert.equal(sleeper, { code: -1, text: 'before\n' });
  assert.ok(PROGRAM_MS <= 10_000);
  assert.equal(await runProgram('/bin/sh', ['-c', 'cat; echo out; echo err >&2; exit 3']), {
    code: 3,
    text: 'out\nerr\n',
  });
  assert.match((await runProgram('/no/program', [])).text, 'ENOENT');
});

test('programs are looked for where PATH says, and in the usual places', () => {
  const { path } = realMachine({ PATH: '/a:relative::/usr/bin:/a' });
  assert.equal(path.slice(0, 2), ['/a', '/usr/bin']);
  assert.ok(path.includes('/usr/sbin') && !path.includes('relative'));
});

test.run();
