import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MS, native } from '../../../host/native.ts';
import {
  compactOverlay,
  MAX_DATA_BYTES,
  MAX_MOUNTS,
  makeDirectory,
  mountAll,
  parseOptions,
  privateMounts,
  removeDirectory,
  unmount,
  unmountAll,
} from '../../../host/storage/mounts.ts';
import { inOwnNamespace, mountsBelow } from '../../harness/own-namespace.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const options = suite('mount options');

for (const [given, flags, data] of [
  [['ro', 'nosuid', 'noexec', 'relatime'], MS.RDONLY | MS.NOSUID | MS.NOEXEC | MS.RELATIME, []],
  [['ro', 'rw', 'nodev', 'dev'], 0, []],
  [['rbind', 'rw'], MS.BIND | MS.REC, []],
  [['lowerdir=/a:/b', 'upperdir=/u', 'index=off'], 0, ['lowerdir=/a:/b', 'upperdir=/u', 'index=off']],
  [['defaults', '', 'x-systemd.automount', 'X-note=1'], 0, []],
  [['constructor', 'size=1m'], 0, ['constructor', 'size=1m']],
] as const) {
  options(`${given.join(',')}`, () => {
    const parsed = parseOptions(given);
    assert.is(parsed.flags, flags);
    assert.equal(parsed.data, data);
  });
}

options('propagation and loop are told apart from flags', () => {
  assert.is(parseOptions(['rbind', 'rslave']).propagation, MS.SLAVE | MS.REC);
  assert.is(parseOptions(['private']).flags, 0);
  assert.is(parseOptions(['loop']).loop, true);
});

options('overlay options that fit are left alone', () => {
  const data = ['lowerdir=/a/1:/a/2', 'upperdir=/u'];
  assert.equal(compactOverlay(data), { data: 'lowerdir=/a/1:/a/2,upperdir=/u', directory: '' });
});

options('overlay options above a page become relative to what the layers share', () => {
  const layers = Array.from(
    { length: 60 },
    (_, n) => `/var/lib/containerd/snapshots/overlayfs/snapshots/${n}/fs${'x'.repeat(20)}`,
  );
  const { data, directory } = compactOverlay([`lowerdir=${layers.join(':')}`, 'upperdir=/u']);
  assert.is(directory, '/var/lib/containerd/snapshots/overlayfs/snapshots');
  assert.ok(Buffer.byteLength(data) <= MAX_DATA_BYTES);
  assert.ok(data.startsWith(`lowerdir=0/fs${'x'.repeat(20)}:1/fs`));
  assert.ok(data.endsWith(',upperdir=/u'));
});

options('overlay options too long even so are refused with their size', () => {
  const layers = Array.from({ length: 60 }, (_, n) => `/${n}/${'x'.repeat(100)}`);
  assert.throws(
    () => compactOverlay([`lowerdir=${layers.join(':')}`]),
    /60 layers take \d+ bytes, the kernel takes 4095/,
  );
});

interface Context {
  directory: string;
  target: string;
}

const mounts = suite<Context>('mounts');

mounts.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-mounts-'));
  context.target = join(context.directory, 'target');
  mkdirSync(context.target);
});

mounts.after.each(({ directory }) => {
  assert.equal(mountsBelow(directory), []);
  rmSync(directory, { recursive: true });
});

function makeSource(directory: string, name: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, 'sub'), { recursive: true });
  writeFileSync(join(path, 'file'), name);
  return path;
}

function optionsOf(target: string): string {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((text) => text.split(' ')[4] === target);
  return line?.split(' ')[5] ?? '';
}

mounts('a bind is made with its attributes, and undone', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const count = mountAll([{ type: 'bind', source, target: '', options: ['rbind', 'ro'] }], target, MS.NODEV);
  assert.is(count, 1);
  assert.is(readFileSync(join(target, 'file'), 'utf8'), 'source');
  assert.match(optionsOf(target), /^ro,nodev/);
  unmountAll(target, count);
  assert.not(existsSync(join(target, 'file')));
});

mounts('a bind of something read-only stays so', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const between = join(directory, 'between');
  mkdirSync(between);
  mountAll([{ type: 'bind', source, target: '', options: ['bind', 'ro', 'noexec'] }], between);
  mountAll([{ type: 'bind', source: between, target: '', options: ['bind'] }], target, MS.NODEV | MS.NOSUID);
  assert.match(optionsOf(target), /^ro,nosuid,nodev,noexec/);
  unmountAll(target, 1);
  unmountAll(between, 1);
});

mounts('an overlay of more layers than a page of options holds', ({ directory, target }) => {
  const layers = Array.from({ length: 80 }, (_, n) => join(directory, 'layers', `${n}${'x'.repeat(30)}`));
  for (const [n, layer] of layers.entries()) {
    mkdirSync(layer, { recursive: true });
    writeFileSync(join(layer, `file${n}`), '');
  }
  const data = `lowerdir=${layers.join(':')}`;
  assert.ok(Buffer.byteLength(data) > MAX_DATA_BYTES);
  const before = process.cwd();
  const count = mountAll([{ type: 'overlay', source: 'overlay', target: '', options: [data] }], target);
  assert.is(process.cwd(), before);
  assert.ok(existsSync(join(target, 'file0')) && existsSync(join(target, 'file79')));
  unmountAll(target, count);
});

mounts('mounts on one another and below are undone together', ({ directory, target }) => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => makeSource(directory, name));
  const bind = (source: string | undefined, below = '') => ({
    type: 'bind',
    source: source ?? '',
    target: below,
    options: ['rbind'],
  });
  const count = mountAll([bind(a), bind(b), bind(c, '/sub')], target);
  assert.is(count, 2);
  assert.is(readFileSync(join(target, 'sub/file'), 'utf8'), 'c');
  unmountAll(target, count);
});

mounts('a failure undoes what came before', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const good = { type: 'bind', source, target: '', options: ['rbind'] };
  for (const [bad, code, text] of [
    [{ ...good, source: '/nonexistent/rootfs' }, 'not_found', /\/nonexistent\/rootfs/],
    [{ ...good, target: 'nowhere' }, 'invalid_argument', /"nowhere"/],
    [{ ...good, target: '../escape' }, 'invalid_argument', /"..\/escape"/],
    [{ ...good, type: 'nosuchfs', options: [] }, 'invalid_argument', /"nosuchfs"/],
    [{ ...good, options: ['loop'] }, 'invalid_argument', /loop/],
    [{ ...good, type: 'overlay', options: ['lowerdir=/nonexistent/layer'] }, 'not_found', /\/nonexistent\/layer/],
  ] as const) {
    assert.throws(
      () => mountAll([good, bad], target),
      (error: { code: string; message: string }) => error.code === code && text.test(error.message),
    );
    assert.equal(mountsBelow(target), []);
  }
});

mounts('a link in the root file system leads no mount out of it', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const outside = makeSource(directory, 'outside');
  symlinkSync(outside, join(source, 'link'));
  const bind = { type: 'bind', source, target: '', options: ['rbind'] };
  assert.throws(() => mountAll([bind, { ...bind, target: 'link' }], target), /mount target "link"/);
  assert.equal(mountsBelow(outside), []);
});

mounts('a root file system with mapped ids is refused by the name it has for users', ({ directory, target }) => {
  const options = [`lowerdir=${makeSource(directory, 'a')}:${makeSource(directory, 'b')}`, 'uidmap=0:100000:65536'];
  assert.throws(
    () => mountAll([{ type: 'overlay', source: 'overlay', target: '', options }], target),
    /hostUsers: false/,
  );
});

mounts('too many mounts are refused', ({ directory, target }) => {
  const bind = { type: 'bind', source: makeSource(directory, 's'), target: '', options: ['rbind'] };
  const many = Array.from({ length: MAX_MOUNTS + 1 }, () => bind);
  assert.throws(() => mountAll(many, target), /exceed the limit of 512/);
});

mounts('unmounting does not follow a link, and is idempotent', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const count = mountAll([{ type: 'bind', source, target: '', options: ['rbind'] }], target);
  const link = join(directory, 'link');
  symlinkSync(target, link);
  unmount(link);
  assert.ok(existsSync(join(target, 'file')));
  unmountAll(target, count);
  unmount(target);
  unmount(join(directory, 'nothing'));
});

mounts('directories are made once and removed only when empty', ({ directory }) => {
  const path = join(directory, 'made');
  makeDirectory(path);
  makeDirectory(path);
  writeFileSync(join(path, 'file'), '');
  assert.throws(() => removeDirectory(path), /ENOTEMPTY/);
  assert.throws(() => makeDirectory(join(path, 'file')), /not a directory/);
  rmSync(join(path, 'file'));
  removeDirectory(path);
  removeDirectory(path);
});

mounts('what is mounted later reaches a slave, and leaves it again', ({ directory, target }) => {
  const source = makeSource(directory, 'source');
  const slave = join(directory, 'slave');
  mkdirSync(slave);
  native().mount(target, target, '', MS.BIND, '', '');
  native().mount('none', target, '', MS.SHARED, '', '');
  native().mount(target, slave, '', MS.BIND, '', '');
  native().mount('none', slave, '', MS.SLAVE, '', '');
  mkdirSync(join(target, 'c'));
  const count = mountAll([{ type: 'bind', source, target: '', options: ['rbind'] }], join(target, 'c'));
  assert.is(readFileSync(join(slave, 'c/file'), 'utf8'), 'source');
  unmountAll(join(target, 'c'), count);
  assert.not(existsSync(join(slave, 'c/file')));
  unmount(slave);
  unmount(target);
});

options.run();
mounts.run();
