/** CopyFile: chunks, types, and that nothing leads out of the shared directory. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CopiedFiles, copyFile } from '../../../guest/agent/copy-file.ts';
import { DEFAULT_OPTIONS, type Guest, sharedDir } from '../../../guest/agent/options.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { CopyFileRequest } from '../../../host/proto/messages/agent.ts';
import { nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

const FILE = 0o100000;
const DIRECTORY = 0o040000;
const LINK = 0o120000;

interface Context {
  directory: string;
  shared: string;
  guest: Guest;
  stop: () => void;
}

const copies = suite<Context>('CopyFile');

copies.before.each((context) => {
  context.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'copy-'));
  const sys = nodeSys();
  const loop = nodeLoop(sys);
  context.stop = loop.stop;
  context.guest = { sys, loop, options: { ...DEFAULT_OPTIONS, runDir: context.directory } };
  context.shared = sharedDir(context.guest.options);
});
copies.after.each((context) => {
  context.stop();
  fs.rmSync(context.directory, { recursive: true });
});

function copy(context: Context, name: string, part: Init<CopyFileRequest>): void {
  const whole = { path: `${context.shared}/${name}`, dir_mode: 0o750, uid: -1, gid: -1, ...part };
  copyFile(context.guest, decode(CopyFileRequest, encode(CopyFileRequest, whole)));
}

const bytes = (text: string) => new TextEncoder().encode(text);

copies('a file in chunks appears with the last one, with owner and mode', (context) => {
  const file = { file_size: 6, file_mode: FILE | 0o4755, uid: 12, gid: 34 };
  copy(context, 'a/b/file.txt', { ...file, data: bytes('abc') });
  assert.not.ok(fs.existsSync(`${context.shared}/a/b/file.txt`));
  copy(context, 'a/b/file.txt', { ...file, offset: 3, data: bytes('def') });
  assert.is(fs.readFileSync(`${context.shared}/a/b/file.txt`, 'utf8'), 'abcdef');
  const stat = fs.statSync(`${context.shared}/a/b/file.txt`);
  assert.equal([stat.mode & 0o7777, stat.uid, stat.gid], [0o4755, 12, 34]);
  assert.is(fs.statSync(`${context.shared}/a`).mode & 0o7777, 0o750);
  assert.equal(fs.readdirSync(`${context.shared}/a/b`), ['file.txt']);
});

copies("a container's copies go with it, and nothing else does", (context) => {
  const copied = new CopiedFiles(context.guest);
  const make = (name: string) =>
    copied.copy(
      decode(
        CopyFileRequest,
        encode(CopyFileRequest, { path: `${context.shared}/${name}`, file_mode: FILE | 0o600, uid: -1, gid: -1 }),
      ),
    );
  for (const name of ['one/rootfs/etc/file', 'one/rootfs/link', 'two/rootfs/file', 'sandbox-0-volume']) make(name);
  // What was there without CopyFile is the host's.
  fs.mkdirSync(`${context.shared}/three`);
  for (const id of ['one', 'one', 'three', 'sandbox-0-volume', '', '..']) copied.remove(id);
  assert.equal(fs.readdirSync(context.shared).sort(), ['sandbox-0-volume', 'three', 'two']);
  assert.ok(fs.existsSync(`${context.shared}/two/rootfs/file`));
});

copies('files that differ only behind the dot do not meet', (context) => {
  const file = { file_size: 4, file_mode: FILE | 0o644 };
  copy(context, 'x.txt', { ...file, data: bytes('tx') });
  copy(context, 'x.conf', { ...file, data: bytes('co') });
  copy(context, 'x.txt', { ...file, offset: 2, data: bytes('tt') });
  copy(context, 'x.conf', { ...file, offset: 2, data: bytes('nf') });
  assert.is(fs.readFileSync(`${context.shared}/x.txt`, 'utf8'), 'txtt');
  assert.is(fs.readFileSync(`${context.shared}/x.conf`, 'utf8'), 'conf');
});

copies('an empty file, a longest name, and a new start over an old one', (context) => {
  const name = 'n'.repeat(255);
  copy(context, name, { file_mode: FILE | 0o600 });
  assert.is(fs.statSync(`${context.shared}/${name}`).size, 0);
  copy(context, name, { file_size: 9, file_mode: FILE | 0o600, data: bytes('aban') });
  copy(context, name, { file_size: 3, file_mode: FILE | 0o600, data: bytes('new') });
  assert.is(fs.readFileSync(`${context.shared}/${name}`, 'utf8'), 'new');
  assert.is(fs.readdirSync(context.shared).length, 1);
});

copies('directories are kept, links replaced, a file takes a directory\u2019s place', (context) => {
  copy(context, 'd', { file_mode: DIRECTORY | 0o711 });
  copy(context, 'd/inside', { file_size: 1, file_mode: FILE | 0o644, data: bytes('x') });
  copy(context, 'd', { file_mode: DIRECTORY | 0o700 });
  assert.is(fs.statSync(`${context.shared}/d`).mode & 0o7777, 0o700);
  assert.ok(fs.existsSync(`${context.shared}/d/inside`));
  copy(context, 'l', { file_mode: LINK | 0o777, data: bytes('one') });
  copy(context, 'l', { file_mode: LINK | 0o777, data: bytes('..data/two') });
  assert.is(fs.readlinkSync(`${context.shared}/l`), '..data/two');
  copy(context, 'd', { file_size: 1, file_mode: FILE | 0o644, data: bytes('f') });
  assert.is(fs.readFileSync(`${context.shared}/d`, 'utf8'), 'f');
});

copies('no path leads out', async (context) => {
  const outside = path.join(context.directory, 'outside');
  fs.mkdirSync(outside);
  copy(context, 'x', { file_mode: DIRECTORY | 0o755 });
  fs.symlinkSync(outside, `${context.shared}/x/link`);
  const file = { file_size: 1, file_mode: FILE | 0o644, data: bytes('x') };
  await refused(() => copy(context, 'x/link/file', file), 'permission_denied', /links are not followed/);
  await refused(() => copy(context, 'x/link', { file_mode: DIRECTORY | 0o777 }), 'permission_denied', /links/);
  for (const name of ['../outside/f', 'x/../../../f', 'a/..', '', '.']) {
    await refused(() => copy(context, name, file), 'invalid_argument', /names nothing below/);
  }
  await refused(() => copy(context, '', { ...file, path: '/etc/passwd' }), 'invalid_argument', /is not below/);
  await refused(
    () => copy(context, '', { ...file, path: `${context.shared}-evil/f` }),
    'invalid_argument',
    /is not below/,
  );
  copy(context, 'x/link', file);
  assert.ok(fs.lstatSync(`${context.shared}/x/link`).isFile(), 'the link itself is replaced');
  assert.equal(fs.readdirSync(outside), []);
});

copies('sizes, offsets and types that make no sense', async (context) => {
  const file = { file_size: 4, file_mode: FILE | 0o644 };
  await refused(
    () => copy(context, 'f', { ...file, data: bytes('12345') }),
    'invalid_argument',
    /5 bytes at 0 of a file of 4/,
  );
  await refused(
    () => copy(context, 'f', { ...file, offset: -1, data: bytes('1') }),
    'invalid_argument',
    /1 bytes at -1/,
  );
  await refused(
    () => copy(context, 'f', { ...file, offset: 2, data: bytes('1') }),
    'invalid_argument',
    /without the one at 0/,
  );
  await refused(() => copy(context, 'f', { file_mode: 0o010644 }), 'invalid_argument', /no file, directory or link/);
  await refused(() => copy(context, 'f', { file_mode: LINK }), 'invalid_argument', /target/);
});

copies('no descriptor stays open', (context) => {
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) copy(context, `a/b/c/${i}`, { file_size: 1, file_mode: FILE | 0o644, data: bytes('x') });
  assert.is(fs.readdirSync('/proc/self/fd').length, before);
});

copies.run();
