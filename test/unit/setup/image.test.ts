/** The image that needs no registry: a tar that tar reads, the same bytes every time. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { succeed } from '../../../setup/command.ts';
import { buildImage, IMAGE_NAME, layer, ociArchive } from '../../../setup/image.ts';
import { tar } from '../../../setup/tar.ts';

const test = suite('image');
const directory = mkdtempSync('/tmp/ke-image-');
test.after(() => rmSync(directory, { recursive: true, force: true }));

test('tar reads what was written, types and modes kept', async () => {
  const archive = tar([
    { path: 'd', type: 'directory', mode: 0o1777 },
    { path: 'd/f', type: 'file', mode: 0o640, data: Buffer.from('x'.repeat(513)) },
    { path: 'l', type: 'symlink', mode: 0o777, target: '/d/f' },
  ]);
  writeFileSync(`${directory}/a.tar`, archive);
  const listed = await succeed(['tar', '--list', '--verbose', '--numeric-owner', '--file', `${directory}/a.tar`]);
  const lines = listed
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  assert.equal(
    lines.map(([mode, owner, size]) => [mode, owner, size]),
    [
      ['drwxrwxrwt', '0/0', '0'],
      ['-rw-r-----', '0/0', '513'],
      ['lrwxrwxrwx', '0/0', '0'],
    ],
  );
  assert.match(listed, 'l -> /d/f');
  assert.is(await succeed(['tar', '--extract', '--to-stdout', '--file', `${directory}/a.tar`, 'd/f']), 'x'.repeat(513));
});

test('a path fits up to 100 bytes and no further', () => {
  tar([{ path: 'a'.repeat(100), type: 'directory' }]);
  assert.throws(() => tar([{ path: 'a'.repeat(101), type: 'directory' }]), /longer than 100 bytes/);
  assert.throws(() => tar([{ path: 'a', type: 'symlink', target: 'b'.repeat(101) }]), /longer than 100 bytes/);
});

test('the archive depends on busybox and nothing else', () => {
  const busybox = Buffer.from('a program');
  const image = { name: IMAGE_NAME, command: ['/bin/sh'] };
  const one = ociArchive(layer(busybox, ['bin/sh', 'bin/cat']), 'amd64', image);
  assert.equal(ociArchive(layer(busybox, ['bin/cat', 'bin/sh']), 'amd64', image), one);
  assert.not.equal(ociArchive(layer(busybox, ['bin/sh', 'bin/cat']), 'arm64', image), one);
});

test('the index names the image, and every blob is what its name says', async () => {
  const archive = await buildImage(directory);
  const read = (path: string) => succeed(['tar', '--extract', '--to-stdout', '--file', archive, path]);
  const index = JSON.parse(await read('index.json')) as { manifests: { digest: string; annotations: object }[] };
  const [manifest] = index.manifests;
  assert.ok(manifest);
  assert.ok(Object.values(manifest.annotations).includes(IMAGE_NAME));
  const blobs = (await succeed(['tar', '--list', '--file', archive]))
    .split('\n')
    .filter((path) => /sha256\/./.test(path));
  assert.is(blobs.length, 3);
  for (const path of blobs) {
    const sum = await succeed(['sh', '-c', `tar --extract --to-stdout --file ${archive} ${path} | sha256sum`]);
    assert.is(sum.split(' ')[0], path.split('/').pop());
  }
});

test('an image that is there is not made again', async () => {
  const archive = await buildImage(directory);
  writeFileSync(archive, 'kept');
  assert.is(readFileSync(await buildImage(directory), 'utf8'), 'kept');
});

test.run();
