import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { Mount } from '../../../host/proto/messages/containerd_types.ts';
import { BlockRootfs } from '../../../host/storage/block-rootfs.ts';

interface Context {
  directory: string;
  image: string;
  calls: string[];
  unplugError: KataError | undefined;
  rootfs: BlockRootfs;
}

const block = suite<Context>('root file system on a block device');

block.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-block-'));
  context.image = join(context.directory, 'image');
  writeFileSync(context.image, '');
  context.calls = [];
  context.unplugError = undefined;
  context.rootfs = new BlockRootfs({
    plugBlock: async (id, path, readOnly) => {
      if (path.endsWith('bad')) throw new KataError('internal', 'no such device');
      context.calls.push(`plug ${id} ${path} ${readOnly ? 'ro' : 'rw'}`);
      return '11/00';
    },
    unplug: async (id) => {
      context.calls.push(`unplug ${id}`);
      if (context.unplugError) throw context.unplugError;
    },
  });
});

block.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function mountOf(source: string, type = 'ext4', options: string[] = ['rw']): Mount {
  return { type, source, target: '', options };
}

block('is one mount of a file system on a device or image file', ({ image, directory }) => {
  assert.ok(BlockRootfs.takes([mountOf(image)]));
  assert.ok(BlockRootfs.takes([mountOf(image, 'erofs', ['ro', 'loop'])]));
  for (const mounts of [
    [],
    [mountOf(image), mountOf(image)],
    [{ ...mountOf(image), target: 'sub' }],
    [mountOf(image, 'bind', ['rbind'])],
    [mountOf(image, 'overlay')],
    [mountOf('overlay', 'ext4')],
    [mountOf(directory)],
    [mountOf('/nonexistent/image')],
    [mountOf('/dev/null')],
  ]) {
    assert.not(BlockRootfs.takes(mounts), JSON.stringify(mounts));
  }
});

block('is plugged, and mounted by the guest without the options of the host', async ({ rootfs, image, calls }) => {
  assert.equal(await rootfs.add('c', mountOf(image, 'ext4', ['loop', 'rw', 'discard'])), {
    path: '/run/kata-containers/c/rootfs',
    storages: [
      {
        driver: 'blk',
        source: '11/00',
        fstype: 'ext4',
        options: ['rw', 'discard'],
        mount_point: '/run/kata-containers/c/rootfs',
      },
    ],
  });
  assert.equal(calls, [`plug rootfs-c ${image} rw`]);
  await rootfs.remove('c');
  await rootfs.remove('c');
  assert.equal(calls.slice(1), ['unplug rootfs-c']);
});

block('is read-only on the host where it is mounted so, or can only be so', async ({ rootfs, image, calls }) => {
  await rootfs.add('a', mountOf(image, 'ext4', ['ro']));
  await rootfs.add('b', mountOf(image, 'erofs', []));
  assert.ok(calls.every((call) => call.endsWith(' ro')));
});

block('XFS takes a second snapshot of one image', async ({ rootfs, image }) => {
  const { storages } = await rootfs.add('c', mountOf(image, 'xfs', []));
  assert.equal(storages[0]?.options, ['nouuid']);
});

block('a device that cannot be plugged leaves the id free', async ({ rootfs, image }) => {
  for (const expected of ['no such device', 'no such device']) {
    await rootfs.add('c', mountOf(`${image}bad`)).then(
      () => assert.unreachable('should have failed'),
      (error: KataError) => assert.is(error.message, expected),
    );
  }
  await rootfs.add('c', mountOf(image));
  assert.ok(rootfs.has('c'));
});

block('with the VM gone there is nothing to unplug', async (context) => {
  await context.rootfs.add('c', mountOf(context.image));
  context.unplugError = new KataError('unavailable', 'the VM does not run');
  await context.rootfs.remove('c');
  assert.not(context.rootfs.has('c'));
});

block.run();
