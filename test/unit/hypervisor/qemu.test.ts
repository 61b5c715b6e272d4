import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { VmConfig } from '../../../host/hypervisor/hypervisor.ts';
import { BRIDGE_SLOTS } from '../../../host/hypervisor/qemu/command-line.ts';
import { MONITOR_SOCKET, VARIABLES_FILE } from '../../../host/hypervisor/qemu/devices.ts';
import { Qemu } from '../../../host/hypervisor/qemu/qemu.ts';
import { MNT_DETACH, native } from '../../../host/native.ts';
import { isAlive } from '../../../host/process.ts';
import { NO_BLOCK, NO_MORE_DEVICES, vmConfig } from './vm-config.ts';

const FAKE = fileURLToPath(new URL('fake-qemu.mjs', import.meta.url));
const NO_DEVICES = { arguments: [], fds: [] };
const TCG = { accelerator: 'tcg', reason: 'a test' } as const;

interface Context {
  directory: string;
  disk: string;
  qemu(changes?: Partial<VmConfig>): Qemu;
  vms: Qemu[];
  told: string[];
}

const vm = suite<Context>('QEMU under supervision');

vm.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-qemu-'));
  for (const name of ['vmlinux', 'initramfs', 'mute', 'refuse-device', 'keep', 'disk', 'no-uring', 'panic', 'reboot']) {
    writeFileSync(join(context.directory, name), '');
  }
  context.disk = join(context.directory, 'disk');
  context.vms = [];
  context.told = [];
  const tell = (message: string): void => void context.told.push(message);
  context.qemu = (changes = {}) => {
    const { directory } = context;
    const made = new Qemu(
      vmConfig({
        directory,
        qemuPath: FAKE,
        kernel: join(directory, 'vmlinux'),
        initrd: join(directory, 'initramfs'),
        ...changes,
      }),
      TCG,
      { warn: tell, error: tell },
    );
    context.vms.push(made);
    return made;
  };
});

vm.after.each(async (context) => {
  for (const made of context.vms) await made.stop();
  rmSync(context.directory, { recursive: true });
});

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

vm('tells of its process before the VMM answers', async ({ qemu }) => {
  const machine = qemu({ kernel: '/nowhere/vmlinux' });
  await failure(machine.start(NO_DEVICES, () => assert.unreachable('nothing was started')));
  const started = qemu();
  const seen: number[] = [];
  await started.start(NO_DEVICES, () => seen.push(started.pid));
  assert.equal(seen, [started.pid]);
  assert.ok(started.pid > 0);
});

vm('starts, tells who it is, and is gone after stop, any number of times', async ({ qemu }) => {
  const made = qemu();
  assert.is(made.pid, 0);
  await made.start(NO_DEVICES);
  assert.ok(made.identity && isAlive(made.identity));
  assert.is(made.pid, made.identity?.pid);
  assert.is(made.acceleratorReason, 'a test');
  await Promise.all([made.stop(), made.stop()]);
  assert.not(made.identity && isAlive(made.identity));
  assert.is((await made.exited).signal, 'SIGKILL');
  assert.is((await failure(made.plugBlock('a', '/dev/null', true))).code, 'unavailable');
});

vm('a VM that was never started stops too', async ({ qemu }) => {
  const made = qemu();
  await made.stop();
  assert.equal(await made.exited, { code: null, signal: null, stderr: '' });
  assert.is((await failure(made.start(NO_DEVICES))).code, 'unavailable');
});

vm('stop ends a start that waits for QEMU', async ({ qemu, directory }) => {
  const made = qemu({ kernel: join(directory, 'mute') });
  const started = failure(made.start(NO_DEVICES));
  while (made.pid === 0) await sleep(5);
  await made.stop();
  assert.is((await started).code, 'unavailable');
});

for (const [key, changes] of [
  ['path', { qemuPath: '/nonexistent/qemu' }],
  ['kernel', { kernel: '/nonexistent/vmlinux' }],
  ['initrd', { initrd: '/nonexistent/initrd' }],
  ['image', { initrd: undefined, image: '/nonexistent/image' }],
  ['kernel', { kernel: '/' }],
] as const) {
  vm(`${Object.values(changes).at(-1)} as ${key} is refused by name`, async ({ qemu }) => {
    const made = qemu(changes);
    const { code, message } = await failure(made.start(NO_DEVICES));
    assert.is(code, 'failed_precondition');
    assert.match(message, `hypervisor.qemu.${key}: ${Object.values(changes).at(-1)} cannot be used`);
    assert.is(made.pid, 0);
  });
}

vm('QEMU that ends at once is an error in its own words', async ({ qemu, directory }) => {
  const program = join(directory, 'qemu');
  writeFileSync(program, '#!/bin/sh\necho "qemu: no \x1b[1mmachine" >&2\nexit 1\n');
  chmodSync(program, 0o755);
  const { code, message } = await failure(qemu({ qemuPath: program }).start(NO_DEVICES));
  assert.is(code, 'internal');
  assert.is(message, 'QEMU did not start (exit code 1): qemu: no \\x1b[1mmachine');
});

vm("QEMU's own end is told, and later calls fail at once", async ({ qemu }) => {
  const made = qemu();
  await made.start(NO_DEVICES);
  process.kill(made.pid, 'SIGKILL');
  assert.is((await made.exited).signal, 'SIGKILL');
  assert.is((await failure(made.plugBlock('a', '/dev/null', true))).code, 'unavailable');
  await made.stop();
});

vm('what the guest prints is kept and harmless', async ({ qemu }) => {
  const made = qemu();
  await made.start(NO_DEVICES);
  while (made.consoleTail() === '') await sleep(5);
  assert.is(made.consoleTail(), '\\x1b[2Jguest says hello\n');
});

vm('devices take a slot each, and give it back', async ({ qemu, disk }) => {
  const made = qemu();
  await made.start(NO_DEVICES);
  assert.is(await made.plugVirtioFs('kataShared', '/run/fs.sock'), '10/01');
  for (let n = 2; n <= BRIDGE_SLOTS; n++) {
    const path = `10/${n.toString(16).padStart(2, '0')}`;
    assert.is(await made.plugBlock(`disk/${n}`, disk, true), path);
  }
  const full = await failure(made.plugBlock('one more', disk, true));
  assert.is(full.code, 'resource_exhausted');
  await made.unplug('disk/3');
  await made.unplug('disk/3');
  assert.is(await made.plugBlock('one more', disk, true), '10/03');
  assert.is((await failure(made.plugBlock('one more', disk, true))).code, 'already_exists');
});

vm('a device that QEMU refuses leaves nothing behind', async ({ qemu, directory, disk }) => {
  const made = qemu({ kernel: join(directory, 'refuse-device') });
  await made.start(NO_DEVICES);
  for (let n = 0; n <= BRIDGE_SLOTS; n++) {
    const { code, message } = await failure(made.plugBlock('a', disk, true));
    assert.is(code, 'internal');
    assert.match(message, /no such bus/);
  }
  await made.stop();
  // What QEMU knew after each attempt: the one backend under way, never those of earlier attempts.
  const known = (await made.exited).stderr.trim().split('\n').at(-1);
  assert.is(known, `block-${BRIDGE_SLOTS}`);
});

vm('a disk that does not exist is not found', async ({ qemu }) => {
  const made = qemu();
  await made.start(NO_DEVICES);
  const { code, message } = await failure(made.plugBlock('a', '/nonexistent/disk', true));
  assert.is(code, 'not_found');
  assert.match(message, /\/nonexistent\/disk/);
});

vm('NICs are plugged by the name of their device, or by its descriptor', async ({ qemu }) => {
  const made = qemu();
  await made.start(NO_DEVICES);
  assert.is(await made.plugNic('nic-eth0', { device: 'tap0_kata', mac: '02:00:00:00:00:01' }), '10/01');
  const fd = openSync('/dev/null', 'r');
  assert.is(await made.plugNic('nic-net1', { device: 'tap1', mac: '02:00:00:00:00:02', fds: [fd] }), '10/02');
  const two = { device: 'tap2', mac: '02:00:00:00:00:03', fds: [fd, fd] };
  assert.is((await failure(made.plugNic('nic-net2', two))).code, 'invalid_argument');
  // Still the caller's.
  closeSync(fd);
  const absent = await failure(made.plugNic('nic-net3', { device: 'absent0', mac: '02:00:00:00:00:04' }));
  assert.match(absent.message, /netdev_add: could not configure absent0/);
  const closed = await failure(made.plugNic('nic-net4', { device: 'tap4', mac: '02:00:00:00:00:05', fds: [fd] }));
  assert.match(closed.message, /getfd: EBADF/);
  await made.unplug('nic-eth0');
  assert.is(await made.plugNic('nic-net5', { device: 'tap5', mac: '02:00:00:00:00:06' }), '10/03');
});

vm('what is plugged before the guest runs waits for no driver', async ({ qemu }) => {
  const made = qemu();
  const plugged: string[] = [];
  await made.start(NO_DEVICES, undefined, async () => {
    assert.ok(made.pid > 0);
    assert.match(readFileSync(`/proc/${made.pid}/cmdline`, 'latin1'), /\0-S\0/);
    plugged.push(await made.plugVirtioFs('share', '/run/share.sock'));
    plugged.push(await made.plugNic('nic-eth0', { device: 'tap0_kata', mac: '02:00:00:00:00:01' }));
  });
  assert.equal(plugged, ['10/01', '10/02']);
  assert.is(await made.plugVirtioFs('late', '/run/late.sock'), '10/03');
  const other = qemu();
  await other.start(NO_DEVICES);
  assert.not.match(readFileSync(`/proc/${other.pid}/cmdline`, 'latin1'), /\0-S\0/);
});

vm('a machine that cannot be given its devices is ended', async ({ qemu }) => {
  const made = qemu();
  const thrown = await failure(
    made.start(NO_DEVICES, undefined, async () => {
      throw new KataError('unavailable', 'virtiofsd has ended');
    }),
  );
  assert.equal([thrown.code, thrown.message], ['unavailable', 'virtiofsd has ended']);
  await made.exited;
});

vm('is born in the network namespace it is given', async ({ qemu, directory }) => {
  const networkNamespace = join(directory, 'netns');
  native().createNetworkNamespace(networkNamespace);
  try {
    const made = qemu({ networkNamespace });
    await made.start(NO_DEVICES);
    assert.is(statSync(`/proc/${made.pid}/ns/net`).ino, statSync(networkNamespace).ino);
    assert.is.not(statSync('/proc/self/ns/net').ino, statSync(networkNamespace).ino);
    const lost = qemu({ networkNamespace: join(directory, 'none') });
    assert.match((await failure(lost.start(NO_DEVICES))).message, /ENOENT.*none/);
  } finally {
    native().umount(networkNamespace, MNT_DETACH);
  }
});

vm('no device is plugged into a machine that cannot take one', async ({ qemu, disk }) => {
  const made = qemu({ machineType: 'microvm' });
  const { code, message } = await failure(made.start(NO_DEVICES));
  assert.is(code, 'failed_precondition');
  assert.match(message, /microvm/);
  assert.is((await failure(made.plugBlock('a', disk, true))).code, 'unavailable');
});

vm('disks fall back to threads where there is no io_uring, told once', async ({ qemu, directory, disk, told }) => {
  const block = { ...NO_BLOCK, aio: 'io_uring' } as const;
  const made = qemu({ kernel: join(directory, 'no-uring'), block });
  await made.start(NO_DEVICES);
  await made.plugBlock('a', disk, true);
  await made.plugBlock('b', disk, true);
  assert.equal(told, ['disks are read and written by threads instead of io_uring']);
  await made.stop();
  assert.match((await made.exited).stderr, /aio=threads/);

  const able = qemu({ block });
  await able.start(NO_DEVICES);
  await able.plugBlock('a', disk, true);
  await able.stop();
  assert.match((await able.exited).stderr, /aio=io_uring/);
  assert.is(told.length, 1);
});

vm('what is wrong with a disk beside io_uring is told as it is', async ({ qemu, directory, disk }) => {
  const made = qemu({ kernel: join(directory, 'refuse-device'), block: { ...NO_BLOCK, aio: 'io_uring' } });
  await made.start(NO_DEVICES);
  assert.match((await failure(made.plugBlock('a', disk, true))).message, /no such bus/);
});

vm("QEMU's own words go to the log where somebody debugs", async ({ qemu, disk, told }) => {
  for (const debug of [false, true]) {
    const made = qemu({ debug });
    await made.start(NO_DEVICES);
    await made.plugBlock('a', disk, true);
    await made.stop();
    await made.exited;
    assert.equal([...new Set(told)], debug ? ['QEMU says'] : []);
  }
});

vm('a second monitor listens in the directory of the machine, for nobody else', async ({ qemu, directory }) => {
  const made = qemu({ devices: { ...NO_MORE_DEVICES, monitor: 'qmp' } });
  await made.start(NO_DEVICES);
  const found = statSync(join(directory, MONITOR_SOCKET));
  assert.ok(found.isSocket());
  assert.is(found.mode & 0o777, 0o600);
});

vm('threads of vCPUs that are awake, in their order', async ({ qemu }) => {
  const made = qemu({ vcpus: 2, maxVcpus: 3 });
  await made.start(NO_DEVICES);
  assert.equal(await made.vcpuThreads(), [1000, 1001]);
});

for (const [what, kernel] of [
  ['panics', 'panic'],
  ['restarts, as guests do that panic', 'reboot'],
] as const) {
  vm(`the memory of a guest that ${what} is written, and the machine ends`, async ({ qemu, directory, told }) => {
    const dumps = join(directory, 'dumps');
    const made = qemu({
      kernel: join(directory, kernel),
      memoryMib: 1,
      devices: { ...NO_MORE_DEVICES, dump: { directory: dumps, paging: true } },
    });
    await made.start(NO_DEVICES, undefined, async () => {});
    assert.is((await made.exited).signal, 'SIGKILL');
    const [file = '', ...more] = readdirSync(join(dumps, 'sb'));
    assert.match(file, /^vmcore-[0-9TZ-]+\.elf$/);
    assert.equal(more, []);
    assert.match((await made.exited).stderr, /dump, paging true/);
    assert.is(statSync(join(dumps, 'sb', file)).mode & 0o777, 0o600);
    assert.is(statSync(join(dumps, 'sb')).mode & 0o777, 0o700);
    assert.equal(told, ['the guest kernel panicked; its memory was written']);
  });
}

vm('without room nothing is written, and the machine ends', async ({ qemu, directory, told }) => {
  const dumps = join(directory, 'dumps');
  const made = qemu({
    kernel: join(directory, 'panic'),
    memoryMib: 2 ** 40,
    devices: { ...NO_MORE_DEVICES, dump: { directory: dumps, paging: false } },
  });
  await made.start(NO_DEVICES, undefined, async () => {});
  await made.exited;
  assert.equal(readdirSync(join(dumps, 'sb')), []);
  assert.equal(told, ['the guest kernel panicked; its memory could not be written']);
});

vm("each machine has its own copy of the firmware's variables", async ({ qemu, directory }) => {
  const [code, variables] = [join(directory, 'code'), join(directory, 'variables')] as const;
  writeFileSync(code, 'code');
  writeFileSync(variables, 'variables');
  const made = qemu({ devices: { ...NO_MORE_DEVICES, pflashes: [code, variables] } });
  assert.not(existsSync(join(directory, VARIABLES_FILE)));
  await made.start(NO_DEVICES);
  assert.is(readFileSync(join(directory, VARIABLES_FILE), 'utf8'), 'variables');
});

vm.run();
