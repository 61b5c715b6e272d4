import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { Init } from '../../../host/proto/codec.ts';
import type { CopyFileRequest } from '../../../host/proto/messages/agent.ts';
import type { Mount } from '../../../host/proto/messages/oci.ts';
import { ROOTFS_LIMITS } from '../../../host/storage/copy-rootfs.ts';
import { MAX_COPIES } from '../../../host/storage/copy-share.ts';
import {
  CHUNK_BYTES,
  copyTree,
  MAX_COPY_BYTES,
  MAX_COPY_DEPTH,
  MAX_COPY_ENTRIES,
} from '../../../host/storage/copy-tree.ts';
import { privateMounts } from '../../../host/storage/mounts.ts';
import { Rootfs } from '../../../host/storage/rootfs.ts';
import { addVolumes } from '../../../host/storage/volumes.ts';
import { MAX_QUEUED_BYTES } from '../../../host/ttrpc/client.ts';
import { inOwnNamespace, mountsBelow } from '../../harness/own-namespace.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const S_IFMT = 0o170000;
/** How long a change may take to be copied, ms. */
const SEEN_MS = 5000;

/** What the guest's agent would have made of the requests: files by content, links by `-> target`, directories by `/`. */
class Guest {
  readonly files = new Map<string, string>();
  readonly requests: Init<CopyFileRequest>[] = [];
  fail: KataError | undefined;

  async copyFile(request: Init<CopyFileRequest>): Promise<void> {
    if (this.fail) throw this.fail;
    this.requests.push(request);
    const { path = '', file_mode: mode = 0, data = new Uint8Array(0), offset = 0 } = request;
    const type = mode & S_IFMT;
    const text = Buffer.from(data).toString('latin1');
    if (type === 0o040000) this.files.set(path, '/');
    else if (type === 0o120000) this.files.set(path, `-> ${text}`);
    else this.files.set(path, (Number(offset) === 0 ? '' : (this.files.get(path) ?? '')) + text);
  }
}

interface Context {
  directory: string;
  sandbox: string;
  guest: Guest;
}

const tree = suite<Context>('copying a tree');
const share = suite<Context & { rootfs: Rootfs; warnings: string[]; plugged: string[] }>('shared_fs = "none"');

function begin(context: Context): void {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-copy-'));
  context.guest = new Guest();
}

function end({ directory }: Context): void {
  assert.equal(mountsBelow(directory), []);
  rmSync(directory, { recursive: true });
}

tree.before.each(begin);
tree.after.each(end);

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

function makeDirectory(directory: string, name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'file'), name);
  return path;
}

tree('files, directories and links keep what they are', async ({ directory, guest }) => {
  const source = makeDirectory(directory, 'source');
  mkdirSync(join(source, 'sub'));
  writeFileSync(join(source, 'sub/empty'), '');
  chmodSync(join(source, 'file'), 0o4751);
  chownSync(join(source, 'sub'), 7, 8);
  symlinkSync('/etc/passwd', join(source, 'absolute'));
  assert.equal(await copyTree(guest, source, '/guest/v', 'volume'), { skipped: [] });
  assert.equal(
    [...guest.files],
    [
      ['/guest/v', '/'],
      ['/guest/v/absolute', '-> /etc/passwd'],
      ['/guest/v/file', 'source'],
      ['/guest/v/sub', '/'],
      ['/guest/v/sub/empty', ''],
    ],
  );
  const request = (path: string) => guest.requests.find((each) => each.path === path);
  assert.is(request('/guest/v/file')?.file_mode, 0o104751);
  assert.equal([request('/guest/v/sub')?.uid, request('/guest/v/sub')?.gid], [7, 8]);
  assert.is(request('/guest/v/sub/empty')?.file_size, 0);
});

tree('a file larger than a message goes in pieces', async ({ directory, guest }) => {
  const content = Buffer.alloc(2 * CHUNK_BYTES + 5, 'abc');
  writeFileSync(join(directory, 'large'), content);
  await copyTree(guest, join(directory, 'large'), '/guest/large', 'volume');
  assert.equal(
    guest.requests.map(({ offset, data, file_size }) => [offset, data?.length, file_size]),
    [
      [0, CHUNK_BYTES, content.length],
      [CHUNK_BYTES, CHUNK_BYTES, content.length],
      [2 * CHUNK_BYTES, 5, content.length],
    ],
  );
  assert.is(guest.files.get('/guest/large'), content.toString('latin1'));
});

tree('fifos and devices are left out and named', async ({ directory, guest }) => {
  const source = makeDirectory(directory, 'source');
  assert.is(spawnSync('mkfifo', [join(source, 'fifo')]).status, 0);
  assert.is(spawnSync('mknod', [join(source, 'null'), 'c', '1', '3']).status, 0);
  assert.equal(await copyTree(guest, source, '/guest/v', 'volume'), { skipped: ['/fifo', '/null'] });
  assert.equal([...guest.files.keys()], ['/guest/v', '/guest/v/file']);
});

tree('what is too much is refused', async ({ directory, guest }) => {
  const size = join(directory, 'size');
  writeFileSync(size, '');
  truncateSync(size, MAX_COPY_BYTES + 1);
  assert.match((await failure(copyTree(guest, size, '/g', 'volume x'))).message, /volume x: more than \d+ bytes/);
  assert.equal(guest.requests, []);

  const count = join(directory, 'count');
  mkdirSync(count);
  for (let i = 0; i < MAX_COPY_ENTRIES; i++) symlinkSync('x', join(count, `${i}`));
  assert.is((await failure(copyTree(guest, count, '/g', 'volume'))).code, 'resource_exhausted');
  rmSync(join(count, '0'));
  await copyTree(guest, count, '/g', 'volume');

  const deep = join(directory, 'deep', ...Array.from({ length: MAX_COPY_DEPTH - 1 }, () => 'd'));
  mkdirSync(deep, { recursive: true });
  await copyTree(guest, join(directory, 'deep'), '/g', 'volume');
  mkdirSync(join(deep, 'd'));
  assert.match((await failure(copyTree(guest, join(directory, 'deep'), '/g', 'volume'))).message, /deeper than/);
});

tree('what vanishes on the way is left out', async ({ directory, guest }) => {
  const source = makeDirectory(directory, 'source');
  writeFileSync(join(source, 'later'), '');
  const copier = {
    copyFile: async (request: Init<CopyFileRequest>) => {
      rmSync(join(source, 'later'), { force: true });
      await guest.copyFile(request);
    },
  };
  await copyTree(copier, source, '/guest/v', 'volume');
  assert.equal([...guest.files.keys()], ['/guest/v', '/guest/v/file']);
});

share.before.each((context) => {
  begin(context);
  const { directory, guest } = context;
  context.sandbox = join(directory, 'sandbox');
  context.warnings = [];
  context.plugged = [];
  mkdirSync(context.sandbox);
  const hypervisor = {
    plugVirtioFs: async () => assert.unreachable('nothing is shared') as unknown as string,
    plugBlock: async (name: string, path: string) => {
      const image = join(directory, `kept-${name}`);
      // As a VMM holds it open.
      assert.is(spawnSync('cp', ['--sparse=always', path, image]).status, 0);
      context.plugged.push(image);
      return '02/01';
    },
    unplug: async () => {},
    resizeBlock: async () => {},
  };
  const config = { daemon: '', cache: '', extraArgs: [], disableBlockDeviceUse: true, sharedFs: 'none' };
  context.rootfs = new Rootfs(context.sandbox, config, hypervisor, {
    agent: () => guest,
    warn: (message) => context.warnings.push(message),
    imageDirectory: join(directory, 'images'),
  });
});

share.after.each(async (context) => {
  const { rootfs, sandbox, directory } = context;
  await rootfs.close();
  assert.equal(readdirSync(sandbox), []);
  const images = statSync(join(directory, 'images'), { throwIfNoEntry: false });
  if (images) assert.equal(readdirSync(join(directory, 'images')), []);
  end(context);
});

function bind(source: string): Mount {
  return { destination: '/in/container', type: 'bind', source, options: ['rbind', 'ro'] };
}

async function seen(check: () => boolean): Promise<void> {
  const deadline = performance.now() + SEEN_MS;
  while (!check() && performance.now() < deadline) await sleep(20);
  assert.ok(check());
}

share('a volume is copied once for the pod', async ({ directory, guest, rootfs }) => {
  await rootfs.prepare();
  assert.equal(await rootfs.attach(), []);
  const mount = bind(makeDirectory(directory, 'source'));
  const [first, second] = await Promise.all([addVolumes(rootfs, 'one', [mount]), addVolumes(rootfs, 'two', [mount])]);
  const target = '/run/kata-containers/shared/containers/sandbox-0-source';
  assert.equal(first.mounts.get(mount), { ...mount, source: target });
  assert.equal(second.mounts.get(mount), { ...mount, source: target });
  assert.equal([...guest.files.keys()], [target, `${target}/file`]);
  await rootfs.removeRootfs('one');
});

share('a ConfigMap is copied again when it is exchanged', async ({ directory, guest, rootfs, warnings }) => {
  const source = join(directory, 'configmap');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/key'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/key', join(source, 'key'));
  await addVolumes(rootfs, 'c', [bind(source)]);
  const target = '/run/kata-containers/shared/containers/sandbox-0-configmap';
  assert.equal(
    [...guest.files.keys()].slice(1),
    ['/..1', '/..1/key', '/..data', '/key'].map((name) => target + name),
  );
  for (const state of ['..2', '..3']) {
    mkdirSync(join(source, state));
    writeFileSync(join(source, state, 'key'), `of ${state}`);
    symlinkSync(state, join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    await seen(() => guest.files.get(`${target}/..data`) === `-> ${state}`);
    assert.is(guest.files.get(`${target}/${state}/key`), `of ${state}`);
  }
  guest.fail = new KataError('unavailable', 'the agent is gone');
  symlinkSync('..1', join(source, '..data_tmp'));
  renameSync(join(source, '..data_tmp'), join(source, '..data'));
  await seen(() => warnings.some((line) => line.includes('the agent is gone')));
});

share('what cannot be copied is left out, and said so', async ({ directory, rootfs }) => {
  const mount = bind(join(directory, 'fifo'));
  assert.is(spawnSync('mkfifo', [mount.source]).status, 0);
  const { mounts, warnings } = await addVolumes(rootfs, 'c', [mount]);
  assert.is(mounts.get(mount), 'drop');
  assert.match(warnings[0] ?? '', /a fifo cannot be copied/);
});

share('a copy that fails is tried anew', async ({ directory, guest, rootfs }) => {
  const mount = bind(makeDirectory(directory, 'source'));
  guest.fail = new KataError('unavailable', 'not yet');
  assert.is((await failure(rootfs.addVolume('c', mount))).message, 'not yet');
  guest.fail = undefined;
  await rootfs.addVolume('c', mount);
  assert.is((await failure(rootfs.addVolume('c', bind(join(directory, 'missing'))))).code, 'not_found');
});

share('an emptyDir is a directory of the guest', async ({ directory, guest, rootfs }) => {
  const source = join(directory, 'kubernetes.io~empty-dir', 'data');
  mkdirSync(source, { recursive: true });
  const { storages } = await addVolumes(rootfs, 'c', [bind(source)]);
  assert.is(storages[0]?.driver, 'local');
  assert.equal(guest.requests, []);
});

share('as many volumes as the limit', async ({ directory, rootfs }) => {
  for (let i = 0; i <= MAX_COPIES; i++) writeFileSync(join(directory, `${i}`), '');
  for (let i = 0; i < MAX_COPIES; i++) await rootfs.addVolume('c', bind(join(directory, `${i}`)));
  assert.is((await failure(rootfs.addVolume('c', bind(join(directory, `${MAX_COPIES}`))))).code, 'resource_exhausted');
});

share('a root file system becomes a disk', async ({ directory, rootfs, plugged }) => {
  const lower = makeDirectory(directory, 'lower');
  mkdirSync(join(lower, 'etc'));
  symlinkSync('/etc/file', join(lower, 'etc/link'));
  chownSync(join(lower, 'file'), 12, 34);
  for (const name of ['upper', 'work']) mkdirSync(join(directory, name));
  const options = [`lowerdir=${lower}`, `upperdir=${directory}/upper`, `workdir=${directory}/work`];
  const overlay = { type: 'overlay', source: 'overlay', target: '', options };
  const { storages } = await rootfs.addRootfs('c', [overlay], '');
  assert.equal(storages[0]?.driver, 'blk');
  assert.is(storages[0]?.fstype, 'ext4');
  const [image = ''] = plugged;
  const ask = (command: string): string => spawnSync('debugfs', ['-R', command, image], { encoding: 'utf8' }).stdout;
  assert.is(ask('cat /file'), 'lower');
  assert.match(ask('stat /file'), /User:\s+12\s+Group:\s+34/);
  assert.match(ask('stat /etc/link'), /Fast link dest: "\/etc\/file"/);
  // Without containerd's mounts it is the directory the spec names.
  await rootfs.addRootfs('d', [], lower);
  assert.is(plugged.length, 2);
  const missing = { ...overlay, options: ['lowerdir=/nonexistent'] };
  assert.is((await failure(rootfs.addRootfs('e', [missing], ''))).code, 'not_found');
  assert.ok(lstatSync(lower).isDirectory());
  assert.is(readFileSync(join(lower, 'file'), 'utf8'), 'lower');
  assert.is(readlinkSync(join(lower, 'etc/link')), '/etc/file');
});

const copied = suite<Context & { rootfs: Rootfs; warnings: string[] }>('a machine that can be given no disk');
copied.before.each((context) => {
  begin(context);
  context.sandbox = join(context.directory, 'sandbox');
  context.warnings = [];
  mkdirSync(context.sandbox);
  const plug = async () => assert.unreachable('nothing can be plugged') as unknown as string;
  const hypervisor = { plugVirtioFs: plug, plugBlock: plug, unplug: async () => {}, resizeBlock: async () => {} };
  const config = {
    daemon: '',
    cache: '',
    extraArgs: [],
    disableBlockDeviceUse: false,
    sharedFs: 'none',
    noDisks: true,
  };
  const { guest, warnings } = context;
  context.rootfs = new Rootfs(context.sandbox, config, hypervisor, {
    agent: () => guest,
    warn: (message) => warnings.push(message),
  });
});
copied.after.each(async (context) => {
  await context.rootfs.close();
  assert.equal(readdirSync(context.sandbox), []);
  end(context);
});

copied('its root file system is what the mounts show, copied', async ({ directory, guest, rootfs, warnings }) => {
  const lower = makeDirectory(directory, 'lower');
  symlinkSync('file', join(lower, 'link'));
  assert.is(spawnSync('mkfifo', [join(lower, 'fifo')]).status, 0);
  for (const name of ['upper', 'work']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'upper/file'), 'of the upper layer');
  const options = [`lowerdir=${lower}`, `upperdir=${directory}/upper`, `workdir=${directory}/work`];
  const overlay = { type: 'overlay', source: 'overlay', target: '', options };
  const target = '/run/kata-containers/shared/containers/c/rootfs';
  assert.equal(await rootfs.addRootfs('c', [overlay], ''), { path: target, storages: [] });
  assert.equal([...guest.files].sort(), [
    [target, '/'],
    [`${target}/file`, 'of the upper layer'],
    [`${target}/link`, '-> file'],
  ]);
  assert.match(
    warnings.join(),
    /root file system of container c is copied without 1 sockets, fifos and devices: \/fifo/,
  );
  // Without containerd's mounts it is the directory the spec names.
  await rootfs.addRootfs('d', [], lower);
  assert.is(guest.files.get('/run/kata-containers/shared/containers/d/rootfs/file'), 'lower');
});

copied(
  'many files at a time, so many and no more; the first failure is the error',
  async ({ directory, guest, rootfs }) => {
    const lower = join(directory, 'lower');
    mkdirSync(lower);
    for (let i = 0; i < 100; i++) writeFileSync(join(lower, `f${i}`), `${i}`);
    let [underWay, most] = [0, 0];
    const copy = guest.copyFile.bind(guest);
    guest.copyFile = async (request) => {
      most = Math.max(most, ++underWay);
      await sleep(1);
      underWay--;
      await copy(request);
    };
    await Promise.all([rootfs.addRootfs('c', [], lower), rootfs.addRootfs('e', [], lower)]);
    assert.is(guest.files.size, 202);
    assert.is(most, ROOTFS_LIMITS.parallel);
    assert.ok(ROOTFS_LIMITS.parallel * ROOTFS_LIMITS.chunkBytes <= MAX_QUEUED_BYTES / 2);
    guest.fail = new KataError('resource_exhausted', 'the guest is full');
    assert.is((await failure(rootfs.addRootfs('d', [], lower))).message, 'the guest is full');
    assert.is(underWay, 0, 'nothing goes on behind the error');
  },
);

copied('more bytes than the limit are refused before they are sent', async ({ directory, guest, rootfs }) => {
  const lower = makeDirectory(directory, 'lower');
  truncateSync(join(lower, 'file'), ROOTFS_LIMITS.bytes + 1);
  const { code, message } = await failure(rootfs.addRootfs('c', [], lower));
  assert.is(code, 'resource_exhausted');
  assert.match(message, /root file system of container c: more than 1073741824 bytes/);
  assert.equal([...guest.files.keys()], ['/run/kata-containers/shared/containers/c/rootfs']);
});

copied('block devices are refused by name, as volumes and as devices', async ({ rootfs }) => {
  const device = lstatSync('/dev/loop0', { throwIfNoEntry: false });
  if (device?.isBlockDevice()) {
    const { code, message } = await failure(rootfs.addVolume('c', bind('/dev/loop0')));
    assert.is(code, 'failed_precondition');
    assert.match(message, /\/dev\/loop0 cannot be had/);
  }
  const request = { containerPath: '/dev/disk', major: 7, minor: 0, readOnly: false };
  assert.match((await failure(rootfs.addBlockDevice('c', request))).message, /\/dev\/disk cannot be had/);
});

tree('an unknown shared_fs is refused', ({ directory }) => {
  const config = { daemon: '', cache: '', extraArgs: [], disableBlockDeviceUse: false, sharedFs: 'virtio-9p' };
  const hypervisor = {
    plugVirtioFs: async () => '',
    plugBlock: async () => '',
    unplug: async () => {},
    resizeBlock: async () => {},
  };
  assert.throws(() => new Rootfs(directory, config, hypervisor), /"virtio-9p" is unknown; use virtio-fs or none/);
});

tree.run();
share.run();
copied.run();
