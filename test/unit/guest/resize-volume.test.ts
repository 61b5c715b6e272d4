/** ResizeVolume: of a disk that has grown, and of what cannot grow. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TestGuest, testGuest } from './guest.ts';
import { refused } from './refused.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;

const test = suite<{ guest: TestGuest; root: string; mounted: string; sized: (bytes: number) => void }>('ResizeVolume');

test.before.each((context) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'kata-resize-'));
  const sysfs = path.join(root, 'class/block/vdz');
  fs.mkdirSync(sysfs, { recursive: true });
  fs.mkdirSync(path.join(root, 'self'));
  context.root = root;
  context.mounted = path.join(root, 'volume');
  fs.mkdirSync(context.mounted);
  context.sized = (bytes) => fs.writeFileSync(path.join(sysfs, 'size'), `${bytes / 512}\n`);
  context.sized(64 * MIB);
  mounts(context, 'ext4');
  context.guest = testGuest({ procRoot: root, sysRoot: root, hotplugTimeoutMs: 100 });
  const { sys } = context.guest;
  const real = sys.statfs(root);
  sys.statfs = () => ({ ...real, blockSize: BLOCK, blocks: 1000 });
});
test.after.each(async ({ guest, root }) => {
  await guest.close();
  fs.rmSync(root, { recursive: true });
});

async function resize({ services }: TestGuest, volume_guest_path: string, size: number): Promise<void> {
  await services.ResizeVolume({ volume_guest_path, size });
}

function mounts({ root, mounted }: { root: string; mounted: string }, type: string): void {
  const lines = [`/dev/vda ${mounted} xfs rw 0 0`, `/dev/vdz ${mounted} ${type} rw 0 0`, `/dev/vdb /else xfs rw 0 0`];
  fs.writeFileSync(path.join(root, 'self/mounts'), `${lines.join('\n')}\n`);
}

test('the file system gets as many blocks as were asked for', async ({ guest, mounted }) => {
  await resize(guest, mounted, 64 * MIB);
  assert.equal(guest.sys.calls, [`resizeExt4 ${mounted} ${(64 * MIB) / BLOCK}`]);
});

test('the kernel may hear of the new size a little later', async ({ guest, mounted, sized }) => {
  setTimeout(() => sized(128 * MIB), 30);
  await resize(guest, mounted, 128 * MIB);
  assert.is(guest.sys.calls.length, 1);
});

test('a disk that stays too small, another file system, nothing mounted, less than a block', async (context) => {
  const { guest, mounted } = context;
  await refused(() => resize(guest, mounted, 65 * MIB), 'failed_precondition', /has 67108864 bytes/);
  await refused(() => resize(guest, mounted, 1), 'invalid_argument', /does not shrink/);
  await refused(() => resize(guest, '/nowhere', 1), 'not_found', /no disk is mounted/);
  await refused(() => resize(guest, 'relative', 1), 'invalid_argument', /volume_guest_path/);
  mounts(context, 'btrfs');
  await refused(() => resize(guest, mounted, MIB), 'unimplemented', /ext4, not btrfs/);
  assert.equal(guest.sys.calls, []);
});

test.run();
