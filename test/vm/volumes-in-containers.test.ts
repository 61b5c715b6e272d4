/** Volumes as containers see them: the storage classes, a real VM, the agent and crun. One boot serves all tests. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VirtioSerialTransport } from '../../host/agent/virtio-serial.ts';
import { Qemu } from '../../host/hypervisor/qemu/qemu.ts';
import { MS, native } from '../../host/native.ts';
import { GUEST_SHM } from '../../host/oci/rules.ts';
import type { Init } from '../../host/proto/codec.ts';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import type { Mount } from '../../host/proto/messages/oci.ts';
import { sandboxShm } from '../../host/storage/empty-dir.ts';
import { privateMounts, unmount } from '../../host/storage/mounts.ts';
import { Rootfs } from '../../host/storage/rootfs.ts';
import { addVolumes } from '../../host/storage/volumes.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { BUILD } from '../../setup/paths.ts';
import { inOwnNamespace, mountsBelow } from '../harness/own-namespace.ts';
import { BareContainers } from './bare-containers.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const ARM64 = process.arch === 'arm64';
const GUEST = join(BUILD, 'share', 'guest', ARM64 ? 'arm64' : 'amd64');
/** How long the guest may take to boot, and a change to be seen, ms. */
const BOOT_MS = 60_000;
const SEEN_MS = 15_000;
const MIB = 1024 * 1024;
const APPLETS = 'sh cat echo ls sleep mount df stat grep touch head wc tail dd timeout rm awk mkdir';

const volumes = suite('volumes in containers');
let directory: string;
let sandbox: string;
let vm: Qemu;
let transport: VirtioSerialTransport;
let share: Rootfs;
let client: TtrpcClient;
let pod: BareContainers;
let serial = 0;

volumes.before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kata-volumes-'));
  sandbox = join(directory, 'vm');
  mkdirSync(sandbox);
  makeImage(join(directory, 'image'));
  transport = new VirtioSerialTransport(sandbox);
  vm = new Qemu({
    sandboxId: 'volumes',
    directory: sandbox,
    qemuPath: ARM64 ? '/usr/bin/qemu-system-aarch64' : '/usr/bin/qemu-system-x86_64',
    machineType: ARM64 ? 'virt' : 'q35',
    machineAccelerators: '',
    cpuFeatures: '',
    kernel: join(GUEST, ARM64 ? 'Image' : 'vmlinux'),
    initrd: join(GUEST, 'initramfs.cpio.gz'),
    image: undefined,
    kernelParams: '',
    vcpus: 1,
    maxVcpus: 1,
    memoryMib: 256,
    seccompSandbox: '',
    debug: false,
  });
  share = new Rootfs(sandbox, { daemon: '', cache: '', extraArgs: [], disableBlockDeviceUse: false }, vm);
  await Promise.all([transport.prepare().then((devices) => vm.start(devices)), share.prepare()]);
  const socket = await transport.connect(AbortSignal.timeout(BOOT_MS));
  client = new TtrpcClient(socket);
  pod = new BareContainers(client, {
    since: 0,
    socket: Promise.resolve(socket),
    nextSocket: () => Promise.reject(new Error('there is one')),
    ended: vm.exited.then(({ code, signal }) => signal ?? code ?? -1),
    console: async () => vm.consoleTail(),
    stop: () => vm.stop(),
  });
  const storages = [...(await share.attach()), sandboxShm([]).storage];
  await pod.call('CreateSandbox', methods.CreateSandbox, { sandbox_id: 'pod', hostname: 'pod', storages }, BOOT_MS);
});

volumes.after(async () => {
  client?.close('the tests are over');
  await vm?.stop();
  transport?.close();
  await share?.close();
  assert.equal(mountsBelow(directory), []);
  assert.equal(readdirSync(sandbox), []);
  rmSync(directory, { recursive: true });
});

/** Waits for a name to be moved into a directory, which is how kubelet publishes a new state. */
const WATCHER = `
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
int main(int argc, char **argv) {
  char buffer[4096];
  int fd = inotify_init();
  if (argc < 2 || inotify_add_watch(fd, argv[1], IN_MOVED_TO) < 0) return 1;
  alarm(60);
  if (read(fd, buffer, sizeof buffer) <= 0) return 2;
  puts(((struct inotify_event *)buffer)->name);
  return 0;
}
`;

/** An image with links where containers have mounts. */
function makeImage(image: string): void {
  for (const name of ['bin', 'proc', 'sys', 'dev', 'etc', 'real']) mkdirSync(join(image, name), { recursive: true });
  copyFileSync('/bin/busybox', join(image, 'bin/busybox'));
  for (const name of APPLETS.split(' ')) symlinkSync('busybox', join(image, 'bin', name));
  const watcher = join(image, 'bin/watcher');
  execFileSync('gcc', ['-static', '-x', 'c', '-', '-o', watcher], { input: WATCHER });
  symlinkSync('/real', join(image, 'absolute'));
  symlinkSync('/real/missing', join(image, 'dangling'));
  symlinkSync('../run/nothing/here', join(image, 'etc/resolv.conf'));
  symlinkSync('../../../../../../real', join(image, 'upwards'));
}

interface Made {
  readonly id: string;
  readonly remove: () => Promise<void>;
}

async function start(
  mounts: readonly Partial<Mount>[],
  script = 'sleep 1000',
  dev: readonly Init<Mount>[] = [],
): Promise<Made> {
  const id = `c${++serial}`;
  const remove = async (): Promise<void> => {
    await pod.remove(id).catch(() => {});
    await share.removeRootfs(id);
  };
  try {
    const rootfs = await share.addRootfs(id, [], join(directory, 'image'));
    const wanted = mounts.map((mount, i) => ({
      destination: `/v${i}`,
      type: 'bind',
      source: '',
      options: ['rbind', 'rprivate', 'rw'],
      ...mount,
    }));
    const made = await addVolumes(share, id, wanted);
    const shown = [...made.mounts.values()].filter((mount) => mount !== 'drop');
    await pod.start(
      ['sh', '-c', script],
      {
        spec: { Root: { Path: rootfs.path } },
        mounts: [...dev, ...shown],
        request: { storages: [...rootfs.storages, ...made.storages], devices: [...made.devices] },
      },
      id,
    );
    return { id, remove };
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}

/** What a script prints in a container with some mounts. */
async function output(mounts: readonly Partial<Mount>[], script: string): Promise<string> {
  const { id, remove } = await start(mounts);
  return pod.sh(id, script).finally(remove);
}

async function prints(id: string, script: string, expected: string): Promise<void> {
  const deadline = performance.now() + SEEN_MS;
  for (;;) {
    const { out } = await pod.exec(id, ['sh', '-c', script]);
    if (out.trim() === expected) return;
    if (performance.now() > deadline) assert.is(out.trim(), expected);
    await sleep(200);
  }
}

function makeDirectory(name: string): string {
  const path = join(directory, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'file'), `${name}\n`);
  return path;
}

volumes('a file over a file, a directory over nothing, read-only and not', async () => {
  const source = makeDirectory('plain');
  const out = await output(
    [
      { destination: '/etc/hosts', source: join(source, 'file'), options: ['rbind', 'rprivate', 'ro'] },
      { destination: '/made/for/it', source },
    ],
    'cat /etc/hosts /made/for/it/file; echo x 2>&1 > /etc/hosts; echo y > /made/for/it/new; cat /made/for/it/new',
  ).catch((error: Error) => error.message);
  assert.match(out, /plain\nplain\n.*y$/s);
  assert.match(out, /Read-only file system|can't create/);
});

for (const destination of ['/absolute', '/dangling', '/upwards', '/absolute/below/it']) {
  volumes(`mounted at ${destination}, a link of the image, it stays in the container`, async () => {
    const source = makeDirectory('at-link');
    const out = await output([{ destination, source }], `cat ${destination}/file; grep -c ' /real' /proc/mounts`);
    assert.is(out, 'at-link\n1');
    assert.equal(mountsBelow('/real'), []);
  });
}

volumes('a hundred of one container', async () => {
  const source = makeDirectory('many');
  const mounts = Array.from({ length: 100 }, (_, i) => ({
    destination: `/many/${i}`,
    source: i % 2 ? source : join(source, 'file'),
  }));
  assert.is(await output(mounts, `grep -c ' /many/' /proc/mounts; cat /many/0 /many/99/file`), '100\nmany\nmany');
});

volumes('an emptyDir of medium Memory has its size, and outlives its containers', async () => {
  const source = join(directory, 'kubernetes.io~empty-dir', 'cache');
  mkdirSync(source, { recursive: true });
  native().mount('tmpfs', source, 'tmpfs', 0, 'size=4m,mode=0777', '');
  try {
    const first = await output(
      [{ destination: '/cache', source }],
      "dd if=/dev/zero of=/cache/big bs=1M count=8 2>/dev/null; stat -c '%s %a' /cache/big /cache; rm /cache/big; echo kept > /cache/kept",
    );
    assert.equal(first.split('\n').map((line) => line.split(' ')[0])[0], `${4 * MIB}`);
    assert.match(first, / 777$/);
    assert.is(await output([{ destination: '/other', source }], 'cat /other/kept'), 'kept');
    assert.equal(readdirSync(source), []);
  } finally {
    unmount(source);
  }
});

volumes('a subPath of it is seen by those who have the whole', async () => {
  const kubelet = join(directory, 'kubelet');
  const source = join(kubelet, 'volumes/kubernetes.io~empty-dir/parts');
  const part = join(kubelet, 'volume-subpaths/parts/main/0');
  for (const path of [source, part]) mkdirSync(path, { recursive: true });
  native().mount('tmpfs', source, 'tmpfs', 0, 'size=4m,mode=0777', '');
  mkdirSync(join(source, 'a/b'), { recursive: true });
  native().mount(join(source, 'a/b'), part, '', MS.BIND, '', '');
  try {
    assert.is(await output([{ destination: '/part', source: part }], 'echo x > /part/file; ls /part'), 'file');
    assert.is(await output([{ destination: '/whole', source }], 'cat /whole/a/b/file'), 'x');
    const linking = 'rm -r /whole/a/b; ln -s / /whole/a/b';
    await output([{ destination: '/whole', source }], linking);
    const refused = await output([{ destination: '/part', source: part }], 'ls /part').catch(String);
    assert.match(refused, /"b" is no directory; links are not followed/);
  } finally {
    unmount(part);
    unmount(source);
  }
});

volumes('/dev/shm is one for the pod', async () => {
  const shm = [{ destination: '/dev/shm', type: 'bind', source: GUEST_SHM, options: ['rbind'] }];
  const first = await start([], 'sleep 1000', shm);
  const second = await start([], 'sleep 1000', shm);
  await pod.sh(first.id, 'echo shared > /dev/shm/x');
  assert.is(await pod.sh(second.id, 'cat /dev/shm/x'), 'shared');
  assert.is(await pod.sh(second.id, "df -k /dev/shm | awk 'END { print $2 }'"), '65536');
  await first.remove();
  await second.remove();
});

volumes('a ConfigMap is exchanged, and inotify tells of it', async () => {
  const source = join(directory, 'kubernetes.io~configmap', 'config');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/key'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/key', join(source, 'key'));
  const { id, remove } = await start([{ destination: '/config', source, options: ['rbind', 'ro'] }]);
  try {
    assert.is(await pod.sh(id, 'cat /config/key'), 'old');
    const watcher = pod.exec(id, ['watcher', '/config']);
    await sleep(1000);
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/key'), 'new');
    symlinkSync('..2', join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    rmSync(join(source, '..1'), { recursive: true });
    await prints(id, 'cat /config/key', 'new');
    assert.is((await watcher).out, '..data\n');
    assert.is(await pod.sh(id, 'ls -A /config | wc -l'), '3');
  } finally {
    await remove();
  }
});

volumes('a projected volume is exchanged', async () => {
  const source = join(directory, 'kubernetes.io~projected', 'token');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/token'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/token', join(source, 'token'));
  const { id, remove } = await start([{ destination: '/token', source, options: ['rbind', 'ro'] }]);
  try {
    assert.is(await pod.sh(id, 'cat /token/token'), 'old');
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/token'), 'new');
    symlinkSync('..2', join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    await prints(id, 'cat /token/token', 'new');
  } finally {
    await remove();
  }
});

volumes('what the host mounts later appears with rslave', async () => {
  const source = makeDirectory('slave');
  mkdirSync(join(source, 'later'));
  const { id, remove } = await start([{ source, options: ['rbind', 'rslave'] }]);
  try {
    native().mount('tmpfs', join(source, 'later'), 'tmpfs', 0, '', '');
    writeFileSync(join(source, 'later/file'), 'late');
    await prints(id, 'cat /v0/later/file', 'late');
  } finally {
    unmount(join(source, 'later'));
    await remove();
  }
});

volumes('a block device of the host is one of the container', async () => {
  const image = join(directory, 'disk.img');
  execFileSync('truncate', ['-s', '1M', image]);
  writeFileSync(image, 'on the disk', { flag: 'r+' });
  const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
  try {
    for (const destination of ['/dev/xvda', '/srv/disk']) {
      const mounts = [{ destination, source: loop, options: ['rbind', 'ro'] }];
      const script = `head -c 11 ${destination}; echo; dd if=/dev/zero of=${destination} count=1 2>/dev/null || echo refused`;
      assert.is(await output(mounts, script), 'on the disk\nrefused');
    }
    const writable = [{ destination: '/srv/disk', source: loop }];
    await output(writable, 'echo -n written | dd of=/srv/disk conv=notrunc,fsync 2>/dev/null');
    assert.match(readFileSync(image, 'latin1'), /^written/);
  } finally {
    execFileSync('losetup', ['--detach', loop]);
  }
});

volumes('a volume that vanishes harms no other container', async () => {
  const [gone, stays] = [makeDirectory('gone'), makeDirectory('stays')];
  const first = await start([{ source: gone }]);
  const second = await start([{ source: stays }]);
  rmSync(gone, { recursive: true });
  assert.is(await pod.sh(second.id, 'cat /v0/file'), 'stays');
  await first.remove();
  await refusesMissing(gone);
  assert.is(await pod.sh(second.id, 'cat /v0/file'), 'stays');
  await second.remove();
});

async function refusesMissing(source: string): Promise<void> {
  const failed = await start([{ source }]).then(
    () => 'started',
    (error: Error) => error.message,
  );
  assert.match(failed, /gone.*does not exist on the host/);
}

volumes.run();
