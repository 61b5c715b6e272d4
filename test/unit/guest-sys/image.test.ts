/** What the image is written with: LZ4, the kernel's wrapping, cpio, and the recipe. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpio, type Entry } from '../../../guest/image/cpio.ts';
import { checkArm64Image, extractVmlinux } from '../../../guest/image/kernel.ts';
import { decodeLz4Legacy, LZ4_LEGACY_MAGIC } from '../../../guest/image/lz4.ts';
import { withoutSignature } from '../../../guest/image/modules.ts';
import { LAST_EARLY_MODULE, MODULES, packagesFor } from '../../../guest/image/recipe.ts';
import { finish, succeed } from '../../../setup/command.ts';

const lz4 = suite('lz4');
const kernel = suite('kernel');
const archive = suite('cpio');
const recipe = suite('recipe');

/** Three literals, a match that overlaps itself (offset 3, length 20), and two literals. */
const BLOCK = Buffer.from([0x3f, 0x61, 0x62, 0x63, 3, 0, 1, 0x20, 0x79, 0x7a]);
const TEXT = `${'abc'.repeat(8).slice(0, 23)}yz`;

lz4('decodes literals and matches, over several blocks', () => {
  assert.is(text(decodeLz4Legacy(frame(BLOCK), TEXT.length)), TEXT);
  assert.is(text(decodeLz4Legacy(frame(BLOCK, BLOCK), 2 * TEXT.length)), TEXT + TEXT);
});

lz4('decodes lengths of many bytes', () => {
  const literals = Buffer.alloc(15 + 255 + 255 + 4, 'q');
  const block = Buffer.concat([Buffer.from([0xf0, 255, 255, 4]), literals]);
  assert.is(text(decodeLz4Legacy(frame(block), literals.length)), literals.toString());
});

lz4('refuses what is damaged', () => {
  const bad: [Buffer, RegExp][] = [
    [Buffer.from([0xf0, 255]), /length is cut off/],
    [Buffer.from([0x50, 1]), /literals run past/],
    [Buffer.from([0x10, 1, 1]), /offset is cut off/],
    [Buffer.from([0x10, 1, 9, 0]), /outside the block/],
    [Buffer.from([0x10, 1, 0, 0]), /outside the block/],
    [Buffer.from([0x1f, 1, 1, 0, 255, 255, 0]), /outside the block/],
  ];
  for (const [block, reason] of bad) assert.throws(() => decodeLz4Legacy(frame(block), 30), reason);
  assert.throws(() => decodeLz4Legacy(Buffer.alloc(8), 1), /magic/);
  assert.throws(() => decodeLz4Legacy(frame(BLOCK), 1000), /block is missing/);
  assert.throws(() => decodeLz4Legacy(frame(BLOCK).subarray(0, 12), TEXT.length), /block is cut off/);
});

lz4('never writes or reads outside, whatever it is given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 400 }), (block, size) => {
      try {
        assert.is(decodeLz4Legacy(frame(Buffer.from(block)), size).length, size);
      } catch (error) {
        assert.match((error as Error).message, /LZ4 data is damaged/);
      }
    }),
    { numRuns: 2000 },
  );
});

kernel('takes the ELF out of a bzImage', () => {
  const elf = Buffer.from('\x7fELF and the rest');
  const image = bzImage(frame(Buffer.concat([Buffer.from([0xf0, elf.length - 15]), elf])), elf.length);
  assert.equal(Buffer.from(extractVmlinux(image)), elf);
});

kernel('refuses what is no bzImage, or one of another kind', () => {
  assert.throws(() => extractVmlinux(Buffer.alloc(1024)), /is not a bzImage/);
  assert.throws(() => extractVmlinux(Buffer.alloc(10)), /is not a bzImage/);
  assert.throws(() => extractVmlinux(bzImage(Buffer.from('\xfd7zXZ and more', 'latin1'), 10)), /LZ4/);
  assert.throws(() => extractVmlinux(bzImage(frame(BLOCK), TEXT.length)), /ELF/);
  assert.throws(() => extractVmlinux(bzImage(frame(BLOCK), 0x7fff_ffff)), /claims to hold/);
  assert.throws(() => extractVmlinux(bzImage(frame(BLOCK), TEXT.length).subarray(0, 0x260)), /cut off/);
  assert.throws(() => checkArm64Image(Buffer.alloc(100)), /arm64 Image/);
});

kernel("a module's signature is cut off, and nothing else", () => {
  const module = Buffer.from('\x7fELF and the rest');
  const signed = (length: number): Buffer => {
    const info = Buffer.alloc(12);
    info.writeUInt32BE(length, 8);
    return Buffer.concat([module, Buffer.alloc(300, 7), info, Buffer.from('~Module signature appended~\n')]);
  };
  assert.equal(withoutSignature(signed(300)), module);
  // As long as the module, or longer: it would not be one.
  for (const length of [300 + module.length, 0xffff_ffff])
    assert.equal(withoutSignature(signed(length)), signed(length));
  for (const other of [module, Buffer.alloc(0), Buffer.from('~Module signature appended~\n')]) {
    assert.equal(withoutSignature(other), other);
  }
});

archive('is read by cpio, with types, modes and parents', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-cpio-'));
  try {
    const entries: Entry[] = [
      { type: 'file', path: 'a/b/c.txt', mode: 0o640, data: Buffer.from('hello') },
      { type: 'dir', path: 'tmp', mode: 0o1777 },
      { type: 'link', path: 'a/link', target: 'b/c.txt' },
      { type: 'file', path: 'empty', data: new Uint8Array(0) },
      { type: 'char', path: 'console', mode: 0o600, major: 5, minor: 1 },
    ];
    await succeed(['cpio', '-id', '--quiet', '--no-absolute-filenames'], { cwd: directory, stdin: cpio(entries) });
    assert.equal(readdirSync(directory).sort(), ['a', 'console', 'empty', 'tmp']);
    assert.is(readFileSync(join(directory, 'a/link'), 'utf8'), 'hello');
    assert.is(statSync(join(directory, 'a/b/c.txt')).mode & 0o7777, 0o640);
    assert.is(statSync(join(directory, 'tmp')).mode & 0o7777, 0o1777);
    const listing = await finish(['cpio', '-itv', '--quiet'], { stdin: cpio(entries) });
    assert.match(listing.stdout, /crw-------\s+1 root\s+root\s+5,\s+1 .* console/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

archive('depends on the entries only, not on their order', () => {
  const entries: Entry[] = ['b/x', 'a', 'b-y', 'b/a'].map((path) => ({ type: 'file', path, data: Buffer.from(path) }));
  assert.equal(cpio(entries), cpio([...entries].reverse()));
});

recipe('names one package of each kind for both architectures', () => {
  const names = (arch: 'amd64' | 'arm64') => Object.entries(packagesFor(arch));
  assert.equal(
    names('amd64').map(([role]) => role),
    names('arm64').map(([role]) => role),
  );
  for (const [role, spec] of names('arm64')) if (role !== 'quickjs') assert.is(spec.arch, 'arm64');
  assert.is(packagesFor('arm64').kernel.name, 'linux-image-6.1.*-cloud-arm64');
});

recipe('loads the channel early, and what has a condition late', () => {
  const early = MODULES.findIndex(([name]) => name === LAST_EARLY_MODULE);
  assert.ok(early > 0);
  assert.ok(MODULES.slice(0, early + 1).every(([, id]) => id === undefined));
});

recipe('has the symbols crun needs, with their versions', () => {
  const sources = fileURLToPath(new URL('../../../guest/sys/systemd/', import.meta.url));
  const defined = [...readFileSync(`${sources}stub.c`, 'utf8').matchAll(/^ABSENT\((\w+)\)$/gm)].map(([, name]) => name);
  const exported = [...readFileSync(`${sources}stub.map`, 'utf8').matchAll(/^ {4}(sd_\w+);$/gm)].map(
    ([, name]) => name,
  );
  assert.is(defined.length, 19);
  assert.equal(defined.sort(), exported.sort());
});

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function frame(...blocks: Buffer[]): Buffer {
  const parts = blocks.map((block) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(block.length);
    return Buffer.concat([length, block]);
  });
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(LZ4_LEGACY_MAGIC);
  return Buffer.concat([magic, ...parts]);
}

/** A bzImage with one set-up sector, its payload at the start of the protected part. */
function bzImage(payload: Buffer, size: number): Buffer {
  const head = Buffer.alloc(1024);
  head[0x1f1] = 1;
  head.write('HdrS', 0x202);
  head.writeUInt32LE(0, 0x248);
  head.writeUInt32LE(payload.length + 4, 0x24c);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(size);
  return Buffer.concat([head, payload, tail]);
}

lz4.run();
kernel.run();
archive.run();
recipe.run();
