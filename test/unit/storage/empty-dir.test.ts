import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MS, native } from '../../../host/native.ts';
import { encode } from '../../../host/proto/codec.ts';
import { type Mount, Spec } from '../../../host/proto/messages/oci.ts';
import { localEmptyDir, memoryEmptyDir, sandboxShm } from '../../../host/storage/empty-dir.ts';
import { privateMounts, unmount } from '../../../host/storage/mounts.ts';
import type { GuestVolume } from '../../../host/storage/share.ts';
import { VolumeSource } from '../../../host/storage/volume-source.ts';
import { inOwnNamespace, mountsBelow } from '../../harness/own-namespace.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const MIB = 1024 * 1024;

interface Context {
  directory: string;
  /** kubelet's directory of the pod's emptyDirs. */
  volumes: string;
}

const emptyDirs = suite<Context>('emptyDir');

emptyDirs.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-empty-'));
  context.volumes = join(context.directory, 'kubernetes.io~empty-dir');
  mkdirSync(context.volumes);
});

emptyDirs.after.each(({ directory }) => {
  for (const point of mountsBelow(directory).reverse()) unmount(point);
  rmSync(directory, { recursive: true });
});

function mountOn(point: string, fstype: string, options: string): string {
  mkdirSync(point, { recursive: true });
  native().mount(fstype, point, fstype, 0, options, '');
  return point;
}

function bind(source: string): Mount {
  return { destination: '/cache', type: 'bind', source, options: ['rbind', 'rprivate', 'ro'] };
}

async function inMemory(source: string, spec?: Uint8Array): Promise<GuestVolume | undefined> {
  const opened = await VolumeSource.open('c', bind(source));
  return memoryEmptyDir(bind(source), opened, spec).finally(() => opened.close());
}

emptyDirs('of medium Memory is a tmpfs of the guest, of the same size, mode and group', async ({ volumes }) => {
  const source = mountOn(join(volumes, 'cache'), 'tmpfs', 'size=3m');
  chmodSync(source, 0o2770);
  chownSync(source, 0, 1234);
  chmodSync(source, 0o2770);
  const mountPoint = '/run/kata-containers/sandbox/ephemeral/cache';
  assert.equal(await inMemory(source), {
    mount: { ...bind(source), source: mountPoint },
    storages: [
      {
        driver: 'ephemeral',
        source: 'tmpfs',
        fstype: 'tmpfs',
        options: [`size=${3 * MIB}`, 'mode=2770', 'fsgid=1234'],
        mount_point: mountPoint,
        shared: true,
      },
    ],
  });
});

emptyDirs('without a limit on the host has none in the guest', async ({ volumes }) => {
  const source = mountOn(join(volumes, 'cache'), 'tmpfs', 'size=0,mode=0777');
  assert.equal((await inMemory(source))?.storages[0]?.options, ['mode=0777']);
});

emptyDirs('only what is mounted there counts, and only there', async ({ directory, volumes }) => {
  mountOn(volumes, 'tmpfs', '');
  mkdirSync(join(volumes, 'disk'));
  assert.is(await inMemory(join(volumes, 'disk')), undefined);
  assert.is(await inMemory(mountOn(join(directory, 'elsewhere'), 'tmpfs', '')), undefined);
});

emptyDirs('of huge pages takes its size from the container', async ({ volumes }) => {
  let source: string;
  try {
    source = mountOn(join(volumes, 'huge'), 'hugetlbfs', 'pagesize=2M');
  } catch {
    // A kernel without huge pages cannot be asked.
    return;
  }
  const HugepageLimits = [
    { Pagesize: '1GB', Limit: 7 },
    { Pagesize: '2MB', Limit: 64 * MIB },
  ];
  const spec = encode(Spec, { Linux: { Resources: { HugepageLimits } } });
  const [storage] = (await inMemory(source, spec))?.storages ?? [];
  assert.is(storage?.fstype, 'hugetlbfs');
  assert.equal(storage?.options, [`pagesize=${2 * MIB},size=${64 * MIB}`]);
  try {
    await inMemory(source, encode(Spec, {}));
    assert.unreachable('should have failed');
  } catch (thrown) {
    assert.match(String(thrown), /huge pages of 2097152 bytes without a size/);
  }
});

emptyDirs('a subPath is a directory in the one of the guest', async ({ directory }) => {
  const pod = join(directory, 'pod');
  const volume = mountOn(join(pod, 'volumes/kubernetes.io~empty-dir/cache'), 'tmpfs', 'size=3m,mode=0777');
  mkdirSync(join(volume, 'a/b'), { recursive: true });
  chmodSync(join(volume, 'a/b'), 0o750);
  const source = join(pod, 'volume-subpaths/cache/main/0');
  mkdirSync(source, { recursive: true });
  assert.is(await inMemory(source), undefined);
  native().mount(join(volume, 'a/b'), source, '', MS.BIND, '', '');
  const { mount, storages = [] } = (await inMemory(source)) ?? {};
  const cache = '/run/kata-containers/sandbox/ephemeral/cache';
  assert.match(mount?.source ?? '', /^\/run\/kata-containers\/sandbox\/subpaths\/[\w-]{43}$/);
  assert.equal(storages, [
    {
      driver: 'ephemeral',
      source: 'tmpfs',
      fstype: 'tmpfs',
      options: [`size=${3 * MIB}`, 'mode=0777'],
      mount_point: cache,
      shared: true,
    },
    {
      driver: 'bind',
      driver_options: [`io.katacontainers.edge.make_beneath=${cache}`],
      source: `${cache}/a/b`,
      fstype: 'bind',
      options: ['bind', 'mode=0750'],
      mount_point: mount?.source,
    },
  ]);
});

emptyDirs('of the default medium can be a directory of the guest', async ({ directory, volumes }) => {
  const source = join(volumes, 'data');
  mkdirSync(source);
  chmodSync(source, 0o777);
  const opened = await VolumeSource.open('c', bind(source));
  const mountPoint = '/run/kata-containers/sandbox/local/data';
  assert.equal(localEmptyDir(bind(source), opened), {
    mount: { ...bind(source), source: mountPoint },
    storages: [
      {
        driver: 'local',
        source: 'local',
        fstype: 'local',
        options: ['mode=0777'],
        mount_point: mountPoint,
        shared: true,
      },
    ],
  });
  assert.is(localEmptyDir(bind(directory), opened), undefined);
  await opened.close();
});

const shm = suite<Context>('/dev/shm of a sandbox');

shm("has the size of the pod's on the host", () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-shm-'));
  mountOn(directory, 'tmpfs', 'size=5m');
  try {
    const mount = { destination: '/dev/shm', type: 'bind', source: directory, options: ['rbind', 'ro'] };
    const { bytes, storage } = sandboxShm([{ ...mount, destination: '/x' }, mount]);
    assert.is(bytes, 5 * MIB);
    assert.is(storage.mount_point, '/run/kata-containers/sandbox/shm');
    assert.equal(storage.options, ['noexec', 'nosuid', 'nodev', 'mode=1777', `size=${5 * MIB}`]);
  } finally {
    unmount(directory);
    rmSync(directory, { recursive: true });
  }
});

for (const [given, bytes] of [
  [['nosuid', 'size=65536k'], 64 * MIB],
  [['size=4096'], 4096],
  [['size=2G'], 2048 * MIB],
  [['size=50%'], 64 * MIB],
  [[], 64 * MIB],
] as const) {
  shm(`of a tmpfs with ${given.join(',') || 'no size'}`, () => {
    assert.is(
      sandboxShm([{ destination: '/dev/shm/', type: 'tmpfs', source: 'shm', options: [...given] }]).bytes,
      bytes,
    );
  });
}

shm('is 64 MiB where nothing tells', () => {
  assert.is(sandboxShm([]).bytes, 64 * MIB);
  const mount = { destination: '/dev/shm', type: 'bind', source: '/nonexistent', options: [] };
  assert.is(sandboxShm([mount]).bytes, 64 * MIB);
});

emptyDirs.run();
shm.run();
