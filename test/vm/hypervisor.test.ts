/** Real QEMU, real virtiofsd, real guest kernel: what reaches the guest, and that nothing is left. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../host/error.ts';
import { childrenOf, isAlive } from '../../host/process.ts';
import type { Mount } from '../../host/proto/messages/containerd_types.ts';
import { privateMounts } from '../../host/storage/mounts.ts';
import { Rootfs } from '../../host/storage/rootfs.ts';
import { inOwnNamespace, mountsBelow } from '../harness/own-namespace.ts';
import { ShellGuest } from '../harness/shell-guest.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const VIRTIO_FS = { daemon: '', cache: 'auto', extraArgs: ['--thread-pool-size=1'], disableBlockDeviceUse: false };

interface Context {
  directory: string;
  guest: ShellGuest;
  rootfs: Rootfs;
}

const vm = suite<Context>('a virtual machine');

vm.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-vm-'));
  context.guest = new ShellGuest(context.directory);
  context.rootfs = new Rootfs(context.guest.directory, VIRTIO_FS, context.guest.vm);
});

vm.after.each(async ({ directory, guest, rootfs }) => {
  const { identity } = guest.vm;
  const { daemon } = rootfs;
  await guest.stop();
  await rootfs.close();
  await rootfs.close();
  assert.equal(mountsBelow(directory), []);
  assert.equal(readdirSync(guest.directory), ['initramfs']);
  for (const child of [identity, daemon]) assert.not(child && isAlive(child));
  // esbuild's service, which tsx starts, is none of ours.
  const left = childrenOf(process.pid).map(({ pid }) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
  assert.equal(
    left.filter((name) => /qemu|virtiofsd|setpriv/.test(name)),
    [],
  );
  rmSync(directory, { recursive: true });
});

/** An overlay of one lower directory with a file. */
function overlay(directory: string, name: string): { mounts: Mount[]; upper: string } {
  const base = join(directory, name);
  for (const part of ['lower', 'upper', 'work']) mkdirSync(join(base, part), { recursive: true });
  writeFileSync(join(base, 'lower', 'hello'), `hello from ${name}\n`);
  const options = [`lowerdir=${base}/lower`, `upperdir=${base}/upper`, `workdir=${base}/work`];
  return { mounts: [{ type: 'overlay', source: 'overlay', target: '', options }], upper: join(base, 'upper') };
}

function disk(directory: string): Mount {
  const source = join(directory, 'disk.img');
  execFileSync('truncate', ['-s', '16M', source]);
  execFileSync('/sbin/mkfs.ext4', ['-q', source]);
  return { type: 'ext4', source, target: '', options: ['rw'] };
}

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

vm('boots, and shares root file systems mounted before and after it came up', async ({ directory, guest, rootfs }) => {
  const early = overlay(directory, 'early');
  await Promise.all([guest.boot(), rootfs.prepare().then(() => rootfs.addRootfs('early', early.mounts, ''))]);
  const [storage] = await rootfs.attach();
  assert.is(storage?.mount_point, '/run/kata-containers/shared/containers/');
  await guest.run(`mkdir -p ${storage?.mount_point}`);
  await guest.run(`mount -t ${storage?.fstype} -o ${storage?.options} ${storage?.source} ${storage?.mount_point}`);

  const late = await rootfs.addRootfs('late', overlay(directory, 'late').mounts, '');
  assert.is(await guest.run(`cat ${late.path}/hello`), 'hello from late\n');
  assert.is(await guest.run(`cat ${storage?.mount_point}early/rootfs/hello`), 'hello from early\n');

  await guest.run(`echo written > ${storage?.mount_point}early/rootfs/new`);
  assert.is(readFileSync(join(early.upper, 'new'), 'utf8'), 'written\n');
  const refused = await guest.run(`mkdir ${storage?.mount_point}mine 2>&1 || true`);
  assert.match(refused, /Read-only file system/);

  await rootfs.removeRootfs('late');
  assert.not(existsSync(join(guest.directory, 'mounts', 'late')));
  await rootfs.removeRootfs('late');
  assert.is(await guest.run(`cat ${storage?.mount_point}early/rootfs/hello`), 'hello from early\n');
});

vm('links the guest makes lead nowhere on the host', async ({ directory, guest, rootfs }) => {
  const precious = join(directory, 'precious');
  mkdirSync(precious);
  writeFileSync(join(precious, 'secret'), 'of the host');
  await Promise.all([guest.boot(), rootfs.prepare()]);
  const [storage] = await rootfs.attach();
  const { path } = await rootfs.addRootfs('c', overlay(directory, 'c').mounts, '');
  await guest.run(`mkdir -p ${storage?.mount_point}; mount -t virtiofs kataShared ${storage?.mount_point}`);
  await guest.run(`ln -s ${precious} ${path}/link; ln -s ../../../../precious ${path}/up`);
  assert.is(await guest.run(`cat ${path}/link/secret ${path}/up/secret 2>/dev/null || true`), '');
  const { code } = await failure(
    rootfs.addRootfs(
      'd',
      [
        { type: 'bind', source: join(directory, 'c', 'upper'), target: '', options: ['rbind'] },
        { type: 'bind', source: precious, target: 'link', options: ['bind'] },
      ],
      '',
    ),
  );
  assert.is(code, 'invalid_argument');
  await rootfs.removeRootfs('c');
  assert.is(readFileSync(join(precious, 'secret'), 'utf8'), 'of the host');
});

vm('a block device reaches the guest as such, and no share is started for it', async ({ directory, guest, rootfs }) => {
  const mount = disk(directory);
  rootfs.expect([mount]);
  await Promise.all([guest.boot(), rootfs.prepare()]);
  assert.equal(await rootfs.attach(), []);
  assert.is(rootfs.daemon, undefined);
  const { path, storages } = await rootfs.addRootfs('b', [mount], '');
  const [storage] = storages;
  assert.is(storage?.driver, 'blk');
  const [port = '', slot = ''] = (storage?.source ?? '').split('/');
  const node = `/sys/bus/pci/devices/0000:00:${port}.0/*:${slot}.0/virtio*/block/`;
  await guest.run(`until ls -d ${node}* >/dev/null 2>&1; do sleep 0.02; done`);
  await guest.run(
    `mkdir -p ${path}; mount -t ext4 /dev/$(ls ${node}) ${path}; echo kept > ${path}/file; umount ${path}`,
  );
  await rootfs.removeRootfs('b');
  assert.is((await guest.run('ls /sys/block | grep vd || true')).trim(), '');
  assert.match(execFileSync('/sbin/debugfs', ['-R', 'cat file', mount.source], { stdio: 'pipe' }).toString(), /kept/);

  // The share comes with the first container that needs it.
  const shared = await rootfs.addRootfs('s', overlay(directory, 's').mounts, '');
  const [late] = shared.storages;
  assert.is(late?.source, 'kataShared');
  await guest.run(`mkdir -p ${late?.mount_point}; mount -t virtiofs kataShared ${late?.mount_point}`);
  assert.is(await guest.run(`cat ${shared.path}/hello`), 'hello from s\n');
});

vm('vCPUs beyond those at boot can be woken by the guest', async ({ directory, rootfs, guest }) => {
  await guest.stop();
  const wide = new ShellGuest(directory, { maxVcpus: 2 });
  try {
    await wide.boot();
    assert.is(await wide.run('cat /sys/devices/system/cpu/online'), '0\n');
    await wide.run('echo 1 > /sys/devices/system/cpu/cpu1/online');
    assert.is(await wide.run('cat /sys/devices/system/cpu/online'), '0-1\n');
  } finally {
    await wide.stop();
    await rootfs.close();
  }
});

vm('a guest that panics ends the VM, and its last words are kept', async ({ guest }) => {
  await guest.boot();
  void guest.run('echo c > /proc/sysrq-trigger').catch(() => {});
  const exit = await guest.vm.exited;
  assert.is(exit.code, 0);
  assert.match(guest.vm.consoleTail(), /Kernel panic - not syncing: sysrq triggered crash/);
});

vm('a kernel that finds no init says so before it ends', async ({ directory, rootfs, guest }) => {
  const lost = new ShellGuest(directory, { kernelParams: 'rdinit=/nothing root=/dev/none' });
  await failure(lost.boot());
  assert.match(lost.vm.consoleTail(), /Kernel panic/);
  await lost.stop();
  await rootfs.close();
  await guest.stop();
});

vm('the end of virtiofsd is seen, and the VM still ends cleanly', async ({ directory, guest, rootfs }) => {
  await Promise.all([guest.boot(), rootfs.prepare()]);
  await rootfs.attach();
  const { daemon } = rootfs;
  assert.ok(daemon);
  process.kill(daemon.pid, 'SIGKILL');
  await rootfs.daemonExited;
  const { code } = await failure(rootfs.addRootfs('c', overlay(directory, 'c').mounts, ''));
  assert.is(code, 'unavailable');
});

vm('a link in place of the rootfs directory is not mounted on', async ({ directory, guest, rootfs }) => {
  await rootfs.prepare();
  const outside = join(directory, 'outside');
  mkdirSync(outside);
  symlinkSync(outside, join(guest.directory, 'mounts', 'c'));
  await failure(rootfs.addRootfs('c', overlay(directory, 'c').mounts, ''));
  assert.equal(mountsBelow(outside), []);
  assert.equal(readdirSync(outside), []);
  rmSync(join(guest.directory, 'mounts', 'c'));
});

vm.run();
