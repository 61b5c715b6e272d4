/** QEMU without root: who it is, and what it is handed. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Child } from '../../../host/child.ts';
import type { KataError } from '../../../host/error.ts';
import { connected, FIRST_UID, handOver, openDisk, userOf } from '../../../host/hypervisor/qemu/rootless.ts';

interface Context {
  directory: string;
  path: string;
  server: Server;
  received: string[];
}

const rootless = suite<Context>('QEMU without root');

rootless.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-rootless-'));
  context.path = join(context.directory, 'a,b.sock');
  context.received = [];
  context.server = createServer((socket) => {
    socket.on('data', (chunk) => context.received.push(chunk.toString()));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => context.server.listen(context.path, resolve));
});

rootless.after.each(({ directory, server }) => {
  server.close();
  rmSync(directory, { recursive: true });
});

rootless('a sandbox has one user, others have others, and none is anybody', () => {
  const users = ['/run/kata-containers/a', '/run/kata-containers/b', '/run/kata-containers/a'].map((path) =>
    userOf(path, '/none'),
  );
  assert.equal(users[0], users[2]);
  assert.is.not(users[0]?.uid, users[1]?.uid);
  for (const { uid, gid, groups } of users) {
    assert.is(uid, gid);
    assert.ok(uid >= FIRST_UID && uid < 2 ** 31 - 1);
    assert.equal(groups, []);
  }
});

rootless("KVM's group is its, root's never", ({ directory }) => {
  const kvm = join(directory, 'kvm');
  writeFileSync(kvm, '');
  assert.equal(userOf('/run/a', kvm).groups, []);
});

rootless('a child is that user, in no group but those named, without capabilities', async () => {
  const user = { uid: FIRST_UID + 7, gid: FIRST_UID + 8, groups: [FIRST_UID + 9] };
  const child = await Child.spawn('/bin/sleep', ['60'], { descriptors: [], dropCapabilities: true, user });
  try {
    const status = (): string => readFileSync(`/proc/${child.pid}/status`, 'utf8');
    // setpriv becomes it, then the program.
    while (!/^Name:\s+sleep$/m.test(status())) await new Promise((resolve) => setTimeout(resolve, 5));
    const [uid, gid] = [user.uid, user.gid].map((id) => `${id}\t${id}\t${id}\t${id}`);
    assert.match(status(), `Uid:\t${uid}`);
    assert.match(status(), `Gid:\t${gid}`);
    assert.match(status(), new RegExp(`^Groups:\\s+${user.groups[0]} *$`, 'm'));
    assert.match(status(), /^CapEff:\s+0+$/m);
    assert.match(status(), /^CapBnd:\s+0+$/m);
    assert.match(status(), /^NoNewPrivs:\s+1$/m);
  } finally {
    await child.kill();
  }
});

rootless('sockets that devices name are connected, and named by descriptor', async ({ path, received }) => {
  const devices = {
    arguments: ['-chardev', `socket,id=agent,path=${path.replaceAll(',', ',,')}`, '-device', 'x,fd={{fd0}}'],
    fds: [40],
  };
  const { devices: handed, held } = await handOver(devices);
  const [given] = held;
  if (!given || held.length !== 1) return assert.unreachable('one connection');
  assert.equal(handed, {
    arguments: ['-chardev', 'socket,id=agent,fd={{fd1}}', '-device', 'x,fd={{fd0}}'],
    fds: [40, given.fd],
  });
  writeSync(given.fd, 'from QEMU');
  while (received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(received, ['from QEMU']);
  given.close();
});

rootless('where nobody listens nothing stays open', async ({ directory, path }) => {
  const devices = {
    arguments: ['-chardev', `socket,id=a,path=${path.replaceAll(',', ',,')}`, '-chardev', 'socket,id=b,path=/none'],
    fds: [],
  };
  const thrown = await handOver(devices).catch((error: KataError) => error);
  assert.is((thrown as KataError).code, 'unavailable');
  assert.match((thrown as KataError).message, /\/none/);
  assert.is(
    (await connected(join(directory, 'none')).catch((error: KataError) => error.code)) as string,
    'unavailable',
  );
});

rootless('a disk is open for what it is used for, and only that', async ({ directory }) => {
  const path = join(directory, 'disk');
  writeFileSync(path, 'of root');
  chmodSync(path, 0o600);
  const reading = await openDisk(path, true);
  assert.throws(() => writeSync(reading.fd, 'x'), /EBADF/);
  reading.close();
  const writing = await openDisk(path, false);
  writeSync(writing.fd, 'mine');
  writing.close();
  assert.is(readFileSync(path, 'utf8'), 'mineoot');
  const thrown = await openDisk('/none', true).catch((error: KataError) => error);
  assert.is((thrown as KataError).code, 'failed_precondition');
});

rootless.run();
