import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { socketOf, VsockTransport } from '../../../host/agent/vsock.ts';
import type { KataError } from '../../../host/error.ts';

const vsock = suite('vsock');

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

vsock('a host without the device is told what to load', async () => {
  const { code, message } = await failure(new VsockTransport(1024, '/nonexistent/vhost-vsock').prepare());
  assert.is(code, 'failed_precondition');
  assert.match(message, /\/nonexistent\/vhost-vsock.*load the module vhost_vsock/);
});

vsock('a device that gives no context id is an error', async () => {
  const transport = new VsockTransport(1024, '/dev/null');
  const { code, message } = await failure(transport.prepare());
  assert.is(code, 'internal');
  assert.match(message, /ENOTTY/);
  transport.close();
  assert.is((await failure(transport.prepare())).code, 'unavailable');
});

vsock('waiting for an agent ends with the signal, and with close', async () => {
  const transport = new VsockTransport();
  const late = await failure(transport.connect(AbortSignal.abort()));
  assert.is(late.code, 'deadline_exceeded');
  assert.match(late.message, /timed out connecting to vsock 0:1024/);
  transport.close();
  assert.is((await failure(transport.connect(AbortSignal.timeout(5000)))).code, 'unavailable');
});

vsock('a port that nobody can be reached on is unavailable', async () => {
  const { code, message } = await failure(new VsockTransport().dial(1026, AbortSignal.timeout(5000)));
  assert.is(code, 'unavailable');
  assert.match(message, 'vsock 0:1026');
});

vsock('a descriptor of any stream becomes a socket that reads, writes and closes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-vsock-'));
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const socket = socketOf(openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK));
  socket.write('there and back');
  assert.is(String((await once(socket, 'data'))[0]), 'there and back');
  socket.destroy();
  await once(socket, 'close');
  rmSync(directory, { recursive: true });
});

vsock('a descriptor that is not open is an error', () => {
  assert.throws(
    () => socketOf(2 ** 20),
    (error: KataError) => error.code === 'internal',
  );
});

vsock.run();
