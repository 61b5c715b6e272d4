import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_SOCKET_PATH_BYTES } from '../../../host/agent/transport.ts';
import { PORTS, VirtioSerialTransport } from '../../../host/agent/virtio-serial.ts';
import type { KataError } from '../../../host/error.ts';

interface Context {
  directory: string;
  transport: VirtioSerialTransport;
}

const serial = suite<Context>('virtio-serial');

serial.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-serial-'));
  context.transport = new VirtioSerialTransport(context.directory);
});

serial.after.each(({ directory, transport }) => {
  transport.close();
  transport.close();
  assert.equal(readdirSync(directory), []);
  rmSync(directory, { recursive: true });
});

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

serial('listens before QEMU starts, under a name that QEMU is told', async ({ directory, transport }) => {
  const { arguments: args, fds } = await transport.prepare();
  assert.ok(args.includes(`socket,id=agent,path=${directory}/agent.sock`));
  assert.ok(args.includes('virtserialport,bus=agent-bus.0,chardev=agent,name=agent'));
  assert.ok(args.some((arg) => arg.startsWith('virtio-serial-pci,') && arg.endsWith(`,max_ports=${PORTS}`)));
  assert.equal(fds, []);
  assert.ok(existsSync(join(directory, 'agent.sock')));
  assert.equal((await transport.prepare()).arguments, args);
});

serial('one connection, and the door is shut behind it', async ({ directory, transport }) => {
  await transport.prepare();
  const waiting = transport.connect(AbortSignal.timeout(5000));
  const qemu = connect(join(directory, 'agent.sock'));
  const socket = await waiting;
  assert.is(await transport.connect(AbortSignal.timeout(5000)), socket);
  assert.not(existsSync(join(directory, 'agent.sock')));
  qemu.write('from the guest');
  assert.is(String((await once(socket, 'data'))[0]), 'from the guest');
  qemu.destroy();
  await once(socket, 'close');
  assert.is((await failure(transport.connect(AbortSignal.timeout(5000)))).code, 'unavailable');
});

serial('waiting ends with the signal, and with close', async ({ transport }) => {
  await transport.prepare();
  assert.is((await failure(transport.connect(AbortSignal.abort()))).code, 'deadline_exceeded');
  assert.is((await failure(transport.connect(AbortSignal.timeout(20)))).code, 'deadline_exceeded');
  const waiting = failure(transport.connect(AbortSignal.timeout(5000)));
  transport.close();
  assert.is((await waiting).code, 'unavailable');
  assert.is((await failure(transport.prepare())).code, 'unavailable');
});

serial('a path no socket can have is refused', async ({ directory }) => {
  const long = new VirtioSerialTransport(join(directory, 'x'.repeat(MAX_SOCKET_PATH_BYTES)));
  assert.match((await failure(long.prepare())).message, /exceeds 107 bytes/);
});

serial.run();
