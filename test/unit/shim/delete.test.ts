import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { identityOf, isAlive, type ProcessIdentity } from '../../../host/process.ts';
import { decode } from '../../../host/proto/codec.ts';
import { DeleteResponse } from '../../../host/proto/messages/task_v2.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import { deleteTask } from '../../../host/shim/delete.ts';
import { KeptLog } from '../sandbox/fake-guest.ts';

interface Context {
  directory: string;
  others: ProcessIdentity[];
}
const test = suite<Context>('delete');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-delete-'));
  context.others = [];
});
test.after.each(({ directory, others }) => {
  for (const other of others) if (isAlive(other)) process.kill(other.pid, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A process that looks like a shim, with its pid in the bundle. */
function shim(
  { directory, others }: Context,
  words: readonly string[],
  script = 'setInterval(() => {}, 1000)',
): ProcessIdentity {
  const program = join(directory, 'shim.cjs');
  writeFileSync(program, script);
  const { pid = 0 } = spawn(process.execPath, [program, ...words], { stdio: 'ignore' });
  const identity = identityOf(pid);
  if (!identity) throw new Error('node did not start');
  others.push(identity);
  writeFileSync(join(directory, 'shim.pid'), `${pid}`);
  return identity;
}

function remove({ directory }: Context, id = 'c1'): Promise<Uint8Array> {
  return deleteTask(identify('/run/x.sock', 'ns', id, join(directory, 'run')), directory, new KeptLog(), directory);
}

test('where there is nothing it answers all the same', async (context) => {
  const { pid, exit_status } = decode(DeleteResponse, await remove(context));
  assert.equal([pid, exit_status], [0, 137]);
});

test('a shim that serves nobody, and has no state, is ended', async (context) => {
  const found = shim(context, ['-namespace', 'ns', '-id', 'c1', 'start']);
  await remove(context);
  assert.not.ok(isAlive(found));
});

test('what one makes that had no state yet is removed with it', async (context) => {
  const { directory } = identify('/run/x.sock', 'ns', 'c1', join(context.directory, 'run'));
  const script = `process.on('SIGTERM', () => {}); setTimeout(() => require('node:fs').mkdirSync('${directory}', { recursive: true }), 300)`;
  shim(context, ['-namespace', 'ns', '-id', 'c1', 'start'], `${script}; setInterval(() => {}, 1000)`);
  await remove(context);
  assert.not.ok(existsSync(directory));
});

test('one that does not end by SIGTERM is killed, and its socket removed', async (context) => {
  const { hash } = identify('/run/x.sock', 'ns', 'c1');
  const socket = join(context.directory, hash);
  const script = `process.on('SIGTERM', () => {}); require('node:net').createServer().listen('${socket}')`;
  const found = shim(context, ['-namespace', 'ns', '-id', 'c1', 'start'], script);
  while (!existsSync(socket)) await sleep(1);
  await remove(context);
  assert.equal([isAlive(found), existsSync(socket)], [false, false]);
});

test("a process that is no shim of this id is left alone, whatever the bundle's file says", async (context) => {
  const other = shim(context, ['-namespace', 'ns', '-id', 'c2', 'start']);
  await remove(context);
  assert.ok(isAlive(other));
  writeFileSync(join(context.directory, 'shim.pid'), '1');
  await remove(context);
  writeFileSync(join(context.directory, 'shim.pid'), 'no pid');
  await remove(context);
});

test.run();
