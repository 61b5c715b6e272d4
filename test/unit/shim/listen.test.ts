import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_SOCKET_PATH_BYTES } from '../../../host/agent/transport.ts';
import { listen, socketPath, socketPathOf } from '../../../host/shim/listen.ts';

const test = suite<{ directory: string }>('listening');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-listen-'));
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

test("the socket is its owner's alone, in a directory that is too", async ({ directory }) => {
  const path = join(directory, 's', 'x');
  const server = await listen(path);
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.is(statSync(join(directory, 's')).mode & 0o777, 0o700);
  assert.ok(statSync(path).isSocket());
  await new Promise((resolve) => server?.close(resolve));
});

test('somebody answers there: it is theirs', async ({ directory }) => {
  const path = join(directory, 'x');
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(path, resolve));
  assert.is(await listen(path), undefined);
  await new Promise((resolve) => other.close(resolve));
});

test('nobody answers there: it is taken over', async ({ directory }) => {
  const path = join(directory, 'x');
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', program]);
  assert.ok(statSync(path).isSocket(), 'a stale socket lies there');
  const server = await listen(path);
  assert.ok(server);
  await new Promise((resolve) => server?.close(resolve));
});

test('paths', () => {
  assert.is(socketPath('', undefined, 'abc'), '/run/containerd/s/abc');
  assert.is(socketPath('', '/elsewhere', 'abc'), '/elsewhere/abc');
  assert.is(socketPath('unix:///x/y', '/elsewhere', 'abc'), '/x/y');
  assert.is(socketPathOf('vsock://1:2'), undefined);
  assert.throws(() => socketPath('vsock://1:2', undefined, 'abc'), /absolute/);
  assert.throws(() => socketPath('', 'relative', 'abc'), /absolute/);
  const longest = `/${'x'.repeat(MAX_SOCKET_PATH_BYTES - 1)}`;
  assert.is(socketPath(longest, undefined, 'abc'), longest);
  assert.throws(() => socketPath(`${longest}x`, undefined, 'abc'), /107/);
});

test.run();
