/** Storages by driver, counted by mount point; disks by PCI path; mount options. Mounts are recorded, not made. */
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blockDevice } from '../../../guest/agent/block-device.ts';
import {
  MS_BIND,
  MS_NODEV,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  parseOptions,
} from '../../../guest/agent/mount.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import { patchDevices } from '../../../guest/agent/spec-devices.ts';
import { MAX_STORAGES, Storages } from '../../../guest/agent/storage.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { Storage } from '../../../host/proto/messages/agent.ts';
import { Spec } from '../../../host/proto/messages/oci.ts';
import { FSGroupChangePolicy } from '../../../host/proto/messages/types.ts';
import { type NodeSys, nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

interface Context {
  directory: string;
  sys: NodeSys;
  loop: ReturnType<typeof nodeLoop>;
  guest: Guest;
  storages: Storages;
}

const suiteOf = suite<Context>('storages');

suiteOf.before.each((context) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'storage-'));
  const sys = nodeSys();
  sys.pretendMounts = true;
  const loop = nodeLoop(sys);
  const roots = { sysRoot: `${directory}/sys`, devRoot: `${directory}/dev`, runDir: `${directory}/run` };
  fs.mkdirSync(roots.devRoot);
  const guest: Guest = { sys, loop, options: { ...DEFAULT_OPTIONS, ...roots, hotplugTimeoutMs: 100 } };
  Object.assign(context, { directory, sys, loop, guest, storages: new Storages(guest) });
});
suiteOf.after.each((context) => {
  context.loop.stop();
  fs.rmSync(context.directory, { recursive: true });
});

function storage(part: Init<Storage>): Storage {
  return decode(Storage, encode(Storage, part));
}

suiteOf('options become flags, changes of propagation, and data', () => {
  assert.equal(parseOptions(['ro', 'nosuid,nodev', 'size=1m', 'rprivate', 'mode=1777']), {
    flags: MS_RDONLY | MS_NOSUID | MS_NODEV,
    propagation: [0x4_0000 | MS_REC],
    data: 'size=1m,mode=1777',
  });
  assert.is(parseOptions(['ro', 'rw', 'nodev', 'dev']).flags, 0);
});

suiteOf(
  'a tmpfs takes its options; a second user shares it, the last unmounts it',
  async ({ storages, sys, directory }) => {
    const shm = storage({
      driver: 'ephemeral',
      source: 'shm',
      fstype: 'tmpfs',
      mount_point: `${directory}/shm`,
      options: ['noexec', 'nosuid', 'nodev', 'mode=1777', 'size=1024'],
    });
    const first = await storages.add(shm);
    const second = await storages.add(shm);
    assert.equal(sys.calls, [`mount shm ${directory}/shm tmpfs 14 mode=1777,size=1024`]);
    first();
    assert.is(sys.calls.length, 1);
    second();
    assert.equal(sys.calls.slice(1), [`umount ${directory}/shm 10`]);
    assert.not.ok(fs.existsSync(`${directory}/shm`));
  },
);

suiteOf('a tmpfs larger than the guest gets the size the kernel gives', async ({ guest, sys, directory }) => {
  fs.mkdirSync(`${directory}/proc`);
  fs.writeFileSync(`${directory}/proc/meminfo`, 'MemTotal:        1000 kB\nMemFree: 1 kB\n');
  const storages = new Storages({ ...guest, options: { ...guest.options, procRoot: `${directory}/proc` } });
  const add = (name: string, size: number) =>
    storages.add(
      storage({ driver: 'ephemeral', mount_point: `${directory}/${name}`, options: ['mode=0777', `size=${size}`] }),
    );
  await add('fits', 1000 * 1024);
  await add('smaller', 1000 * 1024 + 1);
  assert.equal(sys.calls, [
    `mount tmpfs ${directory}/fits tmpfs 0 mode=0777,size=1024000`,
    `mount tmpfs ${directory}/smaller tmpfs 0 mode=0777`,
  ]);
});

suiteOf('a shared storage stays until the end', async ({ storages, sys, directory }) => {
  const release = await storages.add(
    storage({ driver: 'ephemeral', fstype: 'tmpfs', mount_point: `${directory}/kept`, shared: true }),
  );
  release();
  assert.is(sys.calls.length, 1);
  storages.clear();
  assert.is(sys.calls.length, 2);
});

suiteOf('a local directory gets mode and group', async ({ storages, directory }) => {
  const mount_point = `${directory}/a/b/local`;
  await storages.add(storage({ driver: 'local', mount_point, options: ['mode=0777', 'fsgid=1234'] }));
  const stat = fs.statSync(mount_point);
  assert.is(stat.mode & 0o7777, 0o2777);
  assert.is(stat.gid, 1234);
});

suiteOf('a group takes over a volume, but not through links', async ({ storages, directory }) => {
  fs.mkdirSync(`${directory}/v/sub`, { recursive: true });
  fs.writeFileSync(`${directory}/v/sub/file`, '', { mode: 0o600 });
  fs.writeFileSync(`${directory}/outside`, '', { mode: 0o600 });
  fs.symlinkSync('../outside', `${directory}/v/link`);
  await storages.add(storage({ driver: 'local', mount_point: `${directory}/v`, fs_group: { group_id: 77 } }));
  assert.is(fs.statSync(`${directory}/v/sub`).gid, 77);
  assert.is(fs.statSync(`${directory}/v/sub`).mode & 0o2070, 0o2070);
  assert.is(fs.statSync(`${directory}/v/sub/file`).mode & 0o777, 0o660);
  assert.is(fs.lstatSync(`${directory}/v/link`).gid, 77);
  assert.is(fs.statSync(`${directory}/outside`).gid, 0);
  fs.writeFileSync(`${directory}/v/later`, '');
  const group_change_policy = FSGroupChangePolicy.OnRootMismatch;
  await new Storages({ ...(await guestOf(directory)) }).add(
    storage({ driver: 'local', mount_point: `${directory}/v`, fs_group: { group_id: 77, group_change_policy } }),
  );
  assert.is(fs.statSync(`${directory}/v/later`).mode & 0o070, 0o040, 'the root fits, so nothing is walked');
});

async function guestOf(directory: string): Promise<Guest> {
  const sys = nodeSys();
  sys.pretendMounts = true;
  const loop = { watch: () => () => {}, sleep: async () => {}, exited: () => new Promise<number>(() => {}) };
  return { sys, loop, options: { ...DEFAULT_OPTIONS, runDir: directory } };
}

suiteOf('a read-only bind mount is two steps; a file is bound on a file', async ({ storages, sys, directory }) => {
  fs.writeFileSync(`${directory}/source`, 'x');
  await storages.add(
    storage({
      driver: 'bind',
      source: `${directory}/source`,
      mount_point: `${directory}/to/file`,
      options: ['bind', 'ro'],
    }),
  );
  const what = `mount ${directory}/source ${directory}/to/file bind`;
  assert.equal(sys.calls, [`${what} ${MS_BIND}`, `${what} ${MS_BIND | MS_REMOUNT | MS_RDONLY}`]);
  assert.ok(fs.statSync(`${directory}/to/file`).isFile());
});

suiteOf('a directory of a volume is made and bound, but not through links', async ({ storages, sys, directory }) => {
  const volume = `${directory}/volume`;
  const make = (source: string) =>
    storages.add(
      storage({
        driver: 'bind',
        driver_options: [`io.katacontainers.edge.make_beneath=${volume}`],
        source,
        options: ['bind', 'mode=0770', 'fsgid=77'],
        mount_point: `${directory}/at/${source.split('/').at(-1)}`,
      }),
    );
  fs.mkdirSync(`${volume}/old`, { recursive: true });
  await make(`${volume}/a/new`);
  const stat = fs.statSync(`${volume}/a/new`);
  assert.equal([stat.gid, stat.mode & 0o7777], [77, 0o2770]);
  await make(`${volume}/old`);
  assert.is(fs.statSync(`${volume}/old`).gid, 0);
  assert.is(sys.calls.length, 2);
  assert.match(sys.calls[1] ?? '', /^mount \/proc\/self\/fd\/[0-9]+ .*\/at\/old bind 4096$/);
  fs.symlinkSync('/etc', `${volume}/link`);
  await refused(() => make(`${volume}/link`), 'permission_denied', /links are not followed/);
  await refused(() => make(`${volume}/link/x`), 'permission_denied', /links are not followed/);
  await refused(() => make('/elsewhere/x'), 'invalid_argument', /is not below/);
  await refused(() => make(`${volume}/../x`), 'invalid_argument', /without ".."/);
  assert.not.ok(fs.existsSync('/etc/x'));
});

suiteOf('an overlay makes the directories it names, and its own upper one', async ({ storages, sys, directory }) => {
  await storages.add(
    storage({
      driver: 'overlayfs',
      driver_options: [`io.katacontainers.volume.overlayfs.create_directory=${directory}/lower`],
      fstype: 'overlay',
      mount_point: `${directory}/run/c1/rootfs`,
      options: ['io.katacontainers.fs-opt.overlay-rw', `lowerdir=${directory}/lower`],
    }),
  );
  assert.ok(fs.existsSync(`${directory}/lower`));
  const base = `${directory}/run/overlay/c1`;
  const data = `lowerdir=${directory}/lower,upperdir=${base}/upper,workdir=${base}/work`;
  assert.equal(sys.calls, [`mount overlay ${directory}/run/c1/rootfs overlay 0 ${data}`]);
});

suiteOf('a size is changed by a remount', ({ storages, sys, directory }) => {
  storages.update(
    storage({ driver: 'ephemeral', source: 'tmpfs', mount_point: `${directory}/e`, options: ['remount', 'size=5M'] }),
  );
  assert.equal(sys.calls, [`mount tmpfs ${directory}/e tmpfs ${MS_REMOUNT} size=5M`]);
});

suiteOf('a disk is found behind its bridge, also when it comes late', async ({ guest, directory }) => {
  const bridge = `${directory}/sys/bus/pci/devices/0000:00:02.0`;
  setTimeout(() => {
    fs.mkdirSync(`${bridge}/0000:01:00.0/virtio3/block/vdb`, { recursive: true });
    fs.writeFileSync(`${directory}/dev/vdb`, '');
  }, 20);
  assert.is(await blockDevice(guest, '02/00'), `${directory}/dev/vdb`);
  assert.is(await blockDevice(guest, '/dev/vdb'), `${directory}/dev/vdb`);
  await refused(() => blockDevice(guest, '02/01'), 'deadline_exceeded', /02\/01 has not appeared within 100 ms/);
  await refused(() => blockDevice(guest, '../x'), 'invalid_argument', /neither .*dev/);
  await refused(() => blockDevice(guest, '/dev/../etc/passwd'), 'invalid_argument', /leads out/);
});

suiteOf('a disk whose node cannot be opened yet is waited for', async ({ guest, directory }) => {
  const node = `${directory}/dev/vdd`;
  // Opening a socket's file gives ENXIO, as the node of a disk does that is being added.
  const notYet = net.createServer().listen(node);
  await new Promise((resolve) => notYet.once('listening', resolve));
  await refused(() => blockDevice(guest, '/dev/vdd'), 'deadline_exceeded', /vdd has not appeared within 100 ms/);
  setTimeout(() => notYet.close(() => fs.writeFileSync(node, '')), 30);
  assert.is(await blockDevice(guest, '/dev/vdd'), node);
  assert.ok(fs.statSync(node).isFile());
});

suiteOf('a device brings the guest\u2019s numbers into the spec', async ({ guest, sys, directory }) => {
  sys.mknod(`${directory}/dev/vdc`, 0o060600, 254, 32);
  // No disk of this machine has those numbers: that it opens is pretended.
  sys.open = () => fs.openSync('/dev/null', 'r');
  const part: Init<Spec> = {
    Linux: {
      Devices: [{ Path: '/dev/disk', Type: 'b', Major: 8, Minor: 16 }],
      Resources: { Devices: [{ Allow: true, Type: 'b', Major: 8, Minor: 16, Access: 'r' }] },
    },
  };
  const spec = decode(Spec, encode(Spec, part));
  const device = { id: '', type: 'blk', vm_path: '/dev/vdc', options: [] };
  await patchDevices(guest, spec, [
    { ...device, container_path: '/dev/disk' },
    { ...device, container_path: '/dev/other' },
  ]);
  assert.equal(
    spec.Linux?.Devices.map(({ Path, Major, Minor }) => [Path, Major, Minor]),
    [
      ['/dev/disk', 254, 32],
      ['/dev/other', 254, 32],
    ],
  );
  assert.equal(
    spec.Linux?.Resources?.Devices.map(({ Major, Minor, Access }) => [Major, Minor, Access]),
    [
      [254, 32, 'r'],
      [254, 32, 'rwm'],
    ],
  );
  await patchDevices(guest, spec, [{ ...device, container_path: '/srv/disk' }]);
  assert.is(spec.Linux?.Devices.length, 2);
  assert.equal(spec.Mounts, [
    { destination: '/srv/disk', type: 'bind', source: `${directory}/dev/vdc`, options: ['bind'] },
  ]);
  assert.is(Number(spec.Linux?.Resources?.Devices.at(-1)?.Major), 254);
  const other = [{ ...device, type: 'vfio-pci', container_path: '/dev/x' }];
  await refused(() => patchDevices(guest, spec, other), 'unimplemented', /vfio-pci/);
  await refused(() => patchDevices(guest, spec, [{ ...device, container_path: '' }]), 'invalid_argument', /are needed/);
});

suiteOf('huge pages are counted before they are promised', async ({ storages, sys, directory }) => {
  const pool = `${directory}/sys/kernel/mm/hugepages/hugepages-2048kB`;
  fs.mkdirSync(pool, { recursive: true });
  fs.writeFileSync(`${pool}/nr_hugepages`, '1\n');
  const pages = { driver: 'ephemeral', fstype: 'hugetlbfs', source: 'nodev', mount_point: `${directory}/huge` };
  await storages.add(storage({ ...pages, options: ['pagesize=2097152,size=4194304'] }));
  assert.is(fs.readFileSync(`${pool}/nr_hugepages`, 'utf8'), '3');
  assert.is(sys.calls.length, 1);
  const more = { ...pages, mount_point: `${directory}/more` };
  await refused(() => storages.add(storage(more)), 'invalid_argument', /pagesize=BYTES/);
  await refused(
    () => storages.add(storage({ ...more, options: ['pagesize=4096,size=1'] })),
    'invalid_argument',
    /no huge pages/,
  );
});

suiteOf('what is refused', async ({ storages, directory }) => {
  const at = (driver: string, mount_point: string) => storages.add(storage({ driver, mount_point }));
  await refused(() => at('scsi', '/x'), 'unimplemented', /"scsi" is not one of/);
  await refused(() => at('local', 'relative'), 'invalid_argument', /absolute path/);
  await refused(() => at('local', '/a/../b'), 'invalid_argument', /absolute path/);
  const options = { driver: 'blk', source: '/dev/none', driver_options: ['encryption_key=ephemeral'] };
  const encrypted = storage({ ...options, mount_point: '/x' });
  await refused(() => storages.add(encrypted), 'unimplemented', /encrypts no disks/);
  for (let i = 0; i < MAX_STORAGES; i++) await at('local', directory + '/'.repeat(1) + i);
  await refused(() => at('local', `${directory}/one-more`), 'resource_exhausted', /1024 storages/);
});

suiteOf.run();
