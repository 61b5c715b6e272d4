/** `emptydir_mode = "block-plain"`: emptyDirs as disks of the guest. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import type { Mount } from '../../../host/proto/messages/oci.ts';
import { EmptyDirDisks, IMAGE_NAME, MAX_EMPTY_DISKS } from '../../../host/storage/empty-dir-disk.ts';
import type { GuestVolume } from '../../../host/storage/share.ts';
import { VolumeSource } from '../../../host/storage/volume-source.ts';

interface Context {
  directory: string;
  volumes: string;
  plugged: [id: string, path: string, readOnly: boolean][];
  disks: EmptyDirDisks;
}

const test = suite<Context>('emptyDirs as disks');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-empty-disk-'));
  context.volumes = join(context.directory, 'volumes/kubernetes.io~empty-dir');
  mkdirSync(context.volumes, { recursive: true });
  mkdirSync(join(context.directory, 'sandbox'));
  const plugged: Context['plugged'] = [];
  context.plugged = plugged;
  context.disks = new EmptyDirDisks(join(context.directory, 'sandbox'), {
    plugBlock: async (id, path, readOnly) => {
      plugged.push([id, path, readOnly]);
      return `10/0${plugged.length}`;
    },
  });
});

test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function bind(source: string): Mount {
  return { destination: '/cache', type: 'bind', source, options: ['rbind', 'rw'] };
}

async function add(disks: EmptyDirDisks, source: string): Promise<GuestVolume | undefined> {
  const opened = await VolumeSource.open('c', bind(source));
  return disks.add('c', bind(source), opened).finally(() => opened.close());
}

async function refusal(step: Promise<unknown>): Promise<KataError> {
  return step.then(
    () => assert.unreachable('accepted'),
    (thrown: KataError) => thrown,
  ) as Promise<KataError>;
}

function inImage(image: string, request: string): string {
  return execFileSync('/usr/sbin/debugfs', ['-R', request, image], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

test('one image for all containers of the pod, of the host’s size, mode and group', async (context) => {
  const { volumes, disks, plugged, directory } = context;
  const source = join(volumes, 'cache');
  mkdirSync(source);
  chownSync(source, 0, 1234);
  chmodSync(source, 0o2777);
  const mountPoint = '/run/kata-containers/sandbox/empty-dirs/cache';
  const expected = {
    mount: { ...bind(source), source: `${mountPoint}/data` },
    storages: [
      {
        driver: 'blk',
        source: '10/01',
        fstype: 'ext4',
        options: ['nosuid', 'nodev'],
        mount_point: mountPoint,
        shared: true,
      },
    ],
  };
  assert.equal(await add(disks, source), expected);
  assert.equal(await add(disks, `${source}`), expected);
  const image = join(source, IMAGE_NAME);
  assert.equal(plugged, [['empty-dir-0', image, false]]);
  const { bsize, blocks } = statfsSync(volumes);
  const { size, blocks: taken, mode } = statSync(image);
  assert.is(size, Math.floor((bsize * blocks) / 1024) * 1024);
  assert.ok(taken * 512 < size / 10, `${taken * 512} of ${size} bytes are taken`);
  assert.is(mode & 0o777, 0o600);
  assert.match(inImage(image, 'stat /data'), /Mode:\s+02777[\s\S]*Group:\s+1234/);
  assert.equal(readdirSync(source), [IMAGE_NAME]);
  assert.equal(readdirSync(join(directory, 'sandbox')), []);
});

test('what an earlier sandbox has left stays', async ({ volumes, disks, directory }) => {
  const source = join(volumes, 'cache');
  mkdirSync(source);
  await add(disks, source);
  const before = statSync(join(source, IMAGE_NAME));
  const next = new EmptyDirDisks(join(directory, 'sandbox'), { plugBlock: async () => '10/01' });
  await add(next, source);
  assert.is(statSync(join(source, IMAGE_NAME)).ino, before.ino);
});

test('an image that is no file is not opened', async ({ volumes, disks, plugged }) => {
  const source = join(volumes, 'cache');
  mkdirSync(source);
  symlinkSync('/dev/null', join(source, IMAGE_NAME));
  assert.is((await refusal(add(disks, source))).code, 'failed_precondition');
  assert.equal(plugged, []);
});

test('other volumes stay what they are; a subPath of such an emptyDir is refused', async ({
  volumes,
  disks,
  directory,
}) => {
  const other = join(directory, 'volumes/kubernetes.io~configmap/c');
  mkdirSync(other, { recursive: true });
  assert.is(await add(disks, other), undefined);
  mkdirSync(join(volumes, 'cache'));
  const subPath = join(directory, 'volume-subpaths/cache/c/0');
  mkdirSync(subPath, { recursive: true });
  const thrown = await refusal(add(disks, subPath));
  assert.is(thrown.code, 'failed_precondition');
  assert.match(thrown.message, /subPath of an emptyDir.*emptydir_mode = "shared-fs"/);
  const others = join(directory, 'volume-subpaths/claim/c/0');
  mkdirSync(others, { recursive: true });
  assert.is(await add(disks, others), undefined);
});

test('there are so many, and no more', async ({ volumes, disks, directory }) => {
  const first = join(volumes, 'v0');
  mkdirSync(first);
  await add(disks, first);
  for (let at = 1; at <= MAX_EMPTY_DISKS; at++) {
    const source = join(volumes, `v${at}`);
    mkdirSync(source);
    // Made once: the others have it already.
    execFileSync('truncate', ['-s', '16M', join(source, IMAGE_NAME)]);
    if (at < MAX_EMPTY_DISKS) await add(disks, source);
    else assert.is((await refusal(add(disks, source))).code, 'resource_exhausted');
  }
  assert.ok(directory);
});

test.run();
