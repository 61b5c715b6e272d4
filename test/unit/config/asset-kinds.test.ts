/** Kernels, archives and images by the bytes they begin with. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AssetKind, kindProblem } from '../../../host/config/asset-kinds.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-kinds-'));
const test = suite('kinds of guest files');
test.after(() => rmSync(directory, { recursive: true }));

/** A file with bytes at offsets. */
function bytes(parts: Readonly<Record<number, string | readonly number[]>>, size = 4096): Buffer {
  const buffer = Buffer.alloc(size);
  for (const [at, what] of Object.entries(parts)) {
    buffer.set(typeof what === 'string' ? Buffer.from(what, 'latin1') : what, Number(at));
  }
  return buffer;
}

function problem(kind: AssetKind, content: Buffer, arch = 'x64'): string | undefined {
  const path = join(directory, 'file');
  writeFileSync(path, content);
  return kindProblem(kind, path, arch);
}

const elf = (machine: number): Buffer =>
  bytes({ 0: '\x7fELF\x02\x01\x01', 16: [2, 0], 18: [machine & 0xff, machine >> 8] });
const bzImage = bytes({ 514: 'HdrS' });
const armImage = bytes({ 0: 'MZ', 56: 'ARM\x64' });

test('a kernel for this CPU is taken, one for another is told', () => {
  assert.is(problem('kernel', elf(62)), undefined);
  assert.is(problem('kernel', bzImage), undefined);
  assert.is(problem('kernel', armImage, 'arm64'), undefined);
  assert.is(problem('kernel', elf(183), 'arm64'), undefined);
  assert.is(problem('kernel', gzipSync('an Image'), 'arm64'), undefined);
  assert.is(problem('kernel', bytes({ 0: 'MZ', 4: 'zimg' }), 'arm64'), undefined);
  assert.is(problem('kernel', armImage), 'is a kernel for arm64, and this machine is x64; name one for x64');
  assert.is(problem('kernel', elf(183)), 'is a kernel for arm64, and this machine is x64; name one for x64');
  assert.is(problem('kernel', bzImage, 'arm64'), 'is a kernel for x64, and this machine is arm64; name one for arm64');
  assert.match(problem('kernel', elf(243)) ?? '', /is a kernel for riscv64/);
  assert.match(problem('kernel', elf(9999)) ?? '', /for a CPU of ELF's number 9999/);
  assert.match(problem('kernel', bytes({ 0: '\x7fELF\x02\x02', 16: [0, 2, 0, 22] })) ?? '', /for s390x/, 'big-endian');
  for (const other of [Buffer.from('x'), Buffer.from('#!/bin/sh'), bytes({ 0: '\x7fEL' })]) {
    assert.match(problem('kernel', other) ?? '', /is no Linux kernel that can be started; name a vmlinux or bzImage/);
  }
  assert.match(problem('kernel', Buffer.from('\x7fELF', 'latin1')) ?? '', /is no Linux kernel/, 'cut short');
  const program = bytes({ 0: '\x7fELF\x02\x01\x01', 16: [3, 0, 62, 0] });
  assert.match(problem('kernel', program) ?? '', /is no Linux kernel/, 'a program');
});

test('an initrd is an archive, compressed or not', () => {
  for (const magic of ['070701', '070702', '070707', '\xc7\x71', '\x71\xc7', '\xfd7zXZ', '\x28\xb5\x2f\xfd', 'BZh9']) {
    assert.is(problem('initrd', bytes({ 0: magic })), undefined, magic);
  }
  assert.is(problem('initrd', gzipSync('070701')), undefined);
  assert.is(problem('initrd', bytes({ 0: [0x02, 0x21, 0x4c, 0x18] })), undefined);
  assert.is(problem('initrd', bytes({ 512: '070701' })), undefined, 'after zeros');
  for (const other of [Buffer.from('x'), Buffer.alloc(4096), elf(62), bytes({ 510: [0x55, 0xaa], 0: 'disk' })]) {
    assert.match(problem('initrd', other) ?? '', /is no initial RAM file system: .*set image if it is a disk image/);
  }
});

test('an image is a raw disk with partitions', () => {
  assert.is(problem('image', bytes({ 510: [0x55, 0xaa] })), undefined);
  assert.is(problem('image', bytes({ 512: 'EFI PART' })), undefined);
  assert.match(problem('image', bytes({ 0: 'QFI\xfb' })) ?? '', /qcow2, .*qemu-img convert -O raw/);
  const withoutPartitions = [
    bytes({ 1080: [0x53, 0xef] }),
    bytes({ 0: 'XFSB' }),
    bytes({ 1024: [0xe2, 0xe1, 0xf5, 0xe0] }),
  ];
  for (const fileSystem of withoutPartitions) {
    assert.match(problem('image', fileSystem) ?? '', /is a file system without a partition table/);
  }
  assert.match(problem('image', gzipSync('an initrd')) ?? '', /no partition table; set initrd in place of image/);
  assert.match(problem('image', Buffer.from('x')) ?? '', /is no disk image: .*; name a raw disk image/);
});

test('a file that cannot be read is told', () => {
  assert.match(kindProblem('kernel', join(directory, 'absent'), 'x64') ?? '', /cannot be read: ENOENT/);
  assert.match(kindProblem('image', directory, 'x64') ?? '', /cannot be read: EISDIR/);
});

test.run();
