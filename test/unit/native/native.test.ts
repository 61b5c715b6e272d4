import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MNT_DETACH, native, O_PATH, UMOUNT_NOFOLLOW } from '../../../host/native.ts';

interface Context {
  directory: string;
}

const addon = suite<Context>('addon');

addon.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-native-'));
});

addon.after.each(({ directory }) => rmSync(directory, { recursive: true }));

/** The error a call throws. */
function thrownBy(call: () => unknown): NodeJS.ErrnoException {
  try {
    call();
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  return assert.unreachable('should have thrown') as never;
}

addon('errors have code, errno, call and subject as those of Node', ({ directory }) => {
  const error = thrownBy(() => native().mount('none', join(directory, 'nowhere'), 'tmpfs', 0, '', ''));
  assert.is(error.code, 'ENOENT');
  assert.is(error.errno, -2);
  assert.is(error.syscall, 'mount');
  assert.match(error.message, join(directory, 'nowhere'));
  assert.is(thrownBy(() => native().umount(directory, MNT_DETACH | UMOUNT_NOFOLLOW)).code, 'EINVAL');
});

addon('arguments that are none, too long or hold a zero byte are refused', ({ directory }) => {
  const { mount, listenUnix, vsockConnect, vhostVsockGuestCid, openBeneath } = native();
  const bad: (() => unknown)[] = [
    () => mount('none', directory, 'tmpfs', 0, 'x'.repeat(4096), ''),
    () => mount('none', `${directory}\0x`, 'tmpfs', 0, '', ''),
    () => mount('none', 'x'.repeat(4096), 'tmpfs', 0, '', ''),
    () => mount('none', directory, 'tmpfs', -1, '', ''),
    () => mount('none', directory, 'tmpfs', 2 ** 32, '', ''),
    () => mount('none', directory, 'tmpfs', 1.5, '', ''),
    () => (mount as (...args: unknown[]) => void)(),
    () => (mount as (...args: unknown[]) => void)(null, directory, 'tmpfs', 0, '', ''),
    () => listenUnix(`/${'x'.repeat(108)}`, 1),
    () => listenUnix(join(directory, 'sock'), 0),
    () => vsockConnect(-1, 1024, 10),
    () => vsockConnect(3, 2 ** 32, 10),
    () => vsockConnect(3, 1024, 0),
    () => vhostVsockGuestCid(0, 2),
    () => openBeneath(directory, 'x', Number.NaN, 0),
  ];
  for (const call of bad) assert.is(thrownBy(call).code, 'ERR_INVALID_ARG_VALUE', String(call));
});

addon('a listener is private, and connects to who is told', async ({ directory }) => {
  const path = join(directory, 'sock');
  const fd = native().listenUnix(path, 1);
  assert.is(statSync(path).mode & 0o777, 0o600);
  const client = connect(path);
  await once(client, 'connect');
  const { _handle } = client as unknown as { _handle: { fd: number } };
  assert.equal(native().peerCredentials(_handle.fd), {
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
  client.destroy();
  closeSync(fd);
  assert.is(thrownBy(() => native().listenUnix(path, 1)).code, 'EADDRINUSE');
  assert.is(thrownBy(() => native().listenUnix('relative', 1)).code, 'EINVAL');
  assert.is(thrownBy(() => native().peerCredentials(2 ** 30)).code, 'EBADF');
});

addon('a pipe holds as much as it is told to', ({ directory }) => {
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const wanted = 256 * 1024;
  assert.is(native().setPipeSize(writer, wanted), wanted);
  assert.is(writeSync(writer, Buffer.alloc(wanted)), wanted);
  assert.is(thrownBy(() => writeSync(writer, Buffer.alloc(1))).code, 'EAGAIN');
  closeSync(writer);
  closeSync(reader);
  assert.is(thrownBy(() => native().setPipeSize(2 ** 30, wanted)).code, 'EBADF');
});

addon('a file that is memory only has no name, and no child inherits it', () => {
  const fd = native().memoryFile('guest');
  assert.is(readlinkSync(`/proc/self/fd/${fd}`), '/memfd:guest (deleted)');
  const again = openSync(`/proc/self/fd/${fd}`, 'r+');
  writeSync(again, 'kept');
  closeSync(again);
  const bytes = Buffer.alloc(4);
  readSync(fd, bytes, 0, 4, 0);
  assert.is(bytes.toString(), 'kept');
  assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /^flags:\s+02[0-7]{6}$/m);
  closeSync(fd);
  assert.throws(() => native().memoryFile('n'.repeat(64)), /shorter string/);
});

addon('a server of Node can be asked who called', async ({ directory }) => {
  const server = createServer().listen(join(directory, 'sock'));
  await once(server, 'listening');
  const client = connect(join(directory, 'sock'));
  const [socket] = await once(server, 'connection');
  assert.is(native().peerCredentials(socket._handle.fd).pid, process.pid);
  client.destroy();
  socket.destroy();
  server.close();
});

addon('opening beneath a root follows nothing out of it', ({ directory }) => {
  mkdirSync(join(directory, 'root/sub'), { recursive: true });
  writeFileSync(join(directory, 'root/sub/file'), 'inside');
  symlinkSync('sub', join(directory, 'root/inner'));
  symlinkSync('/etc', join(directory, 'root/outer'));
  const open = (path: string): number => native().openBeneath(join(directory, 'root'), path, constants.O_RDONLY, 0);
  const fd = open('sub/file');
  assert.is(readFileSync(fd, 'utf8'), 'inside');
  closeSync(fd);
  for (const path of ['inner/file', 'outer/passwd', 'inner']) assert.is(thrownBy(() => open(path)).code, 'ELOOP', path);
  for (const path of ['../root', '/etc/passwd']) assert.is(thrownBy(() => open(path)).code, 'EXDEV', path);
  assert.is(thrownBy(() => native().openBeneath('/nonexistent', 'x', O_PATH, 0)).code, 'ENOENT');
});

addon('descriptors do not pass to children', () => {
  const fd = openSync('/dev/null', 'r');
  native().closeOnExec();
  // O_CLOEXEC as fdinfo shows it, octal.
  const flags = (of: number): number =>
    Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${of}`, 'utf8'))?.[1] ?? '', 8);
  assert.ok(flags(fd) & 0o2000000);
  closeSync(fd);
});

addon('what runs in another network namespace comes back, whatever it does', ({ directory }) => {
  const { inNetworkNamespace, createNetworkNamespace, createTap, netlinkSocket, netlinkExchange } = native();
  const path = join(directory, 'netns');
  const own = statSync('/proc/thread-self/ns/net').ino;
  const here = () => statSync('/proc/thread-self/ns/net').ino;
  createNetworkNamespace(path);
  try {
    assert.is(here(), own);
    assert.is(thrownBy(() => createNetworkNamespace(path)).code, 'EEXIST');
    assert.is(inNetworkNamespace(path, here), statSync(path).ino);
    assert.is(here(), own);
    const fails = () => {
      throw new Error('as it must');
    };
    assert.throws(() => inNetworkNamespace(path, fails), /as it must/);
    assert.is(here(), own);
    assert.is(
      inNetworkNamespace(path, () => inNetworkNamespace('/proc/self/ns/net', () => 7)),
      7,
    );
    assert.is(here(), own);
    assert.is(thrownBy(() => inNetworkNamespace(join(directory, 'none'), here)).code, 'ENOENT');
    assert.is(thrownBy(() => inNetworkNamespace(directory, here)).code, 'EINVAL');
    assert.throws(() => inNetworkNamespace(path, 1 as unknown as () => void), /a function expected/);

    inNetworkNamespace(path, () => createTap('tap0'));
    assert.is(thrownBy(() => inNetworkNamespace(path, () => createTap('tap0'))).code, 'EBUSY');
    assert.throws(() => createTap('a-name-of-16-char'), /shorter string/);

    const fd = inNetworkNamespace(path, () => netlinkSocket(0));
    // RTM_GETLINK with NLM_F_REQUEST and NLM_F_DUMP; the answer names lo and tap0.
    const request = Uint8Array.of(32, 0, 0, 0, 18, 0, 1, 3, ...new Array(24).fill(0));
    const answer = Buffer.from(netlinkExchange(fd, request, 1)).toString('latin1');
    assert.match(answer, /lo\0/);
    assert.match(answer, /tap0\0/);
    for (const answers of [0, 65]) assert.throws(() => netlinkExchange(fd, request, answers), /integer in range/);
    closeSync(fd);
    assert.is(thrownBy(() => netlinkExchange(fd, request, 1)).code, 'EBADF');
  } finally {
    native().umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
});

addon('a descriptor goes with the data it is sent with', async ({ directory }) => {
  const path = join(directory, 'sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const near = connect(path);
  const [far] = await once(server, 'connection');
  await once(near, 'connect');
  const { fd } = (near as unknown as { _handle: { fd: number } })._handle;
  const file = openSync('/dev/null', 'r');
  native().sendDescriptor(fd, file, 'with it\n');
  assert.is(String((await once(far, 'data'))[0]), 'with it\n');
  assert.is(thrownBy(() => native().sendDescriptor(fd, 9999, 'x')).code, 'EBADF');
  assert.is(thrownBy(() => native().sendDescriptor(file, file, 'x')).code, 'ENOTSOCK');
  assert.throws(() => native().sendDescriptor(fd, file, 'x'.repeat(512)), /shorter string/);
  closeSync(file);
  near.destroy();
  server.close();
});

addon('a loopback listener has a port; a connection that was not redirected has no original one', async () => {
  const { fd, port } = native().listenLoopback(4, 1);
  const server = createServer().listen({ fd });
  const near = connect(port, '127.0.0.1');
  const [far] = await once(server, 'connection');
  const accepted = far as { _handle: { fd: number }; destroy(): void };
  // Without connection tracking ENOPROTOOPT, with it ENOENT or, if it tracks all, the port itself.
  try {
    assert.is(native().originalPort(accepted._handle.fd, 4), port);
  } catch (error) {
    assert.ok(['ENOENT', 'ENOPROTOOPT'].includes((error as NodeJS.ErrnoException).code ?? ''));
  }
  assert.throws(() => native().listenLoopback(7 as 4, 1), /integer in range/);
  near.destroy();
  accepted.destroy();
  server.close();
});

addon('a vsock connection nobody answers is an error', async () => {
  try {
    // No guest of this machine has that context.
    await native().vsockConnect(0x7ffffff0, 1024, 100);
    assert.unreachable('should have failed');
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    assert.is(syscall, 'connect');
    assert.ok(['ETIMEDOUT', 'ENODEV', 'EAFNOSUPPORT', 'ECONNRESET', 'EHOSTUNREACH'].includes(code ?? ''), code);
  }
});

addon('a context id is claimed of a vhost device only', () => {
  const fd = openSync('/dev/null', 'r');
  assert.is(thrownBy(() => native().vhostVsockGuestCid(fd, 3)).code, 'ENOTTY');
  closeSync(fd);
});

addon.run();
