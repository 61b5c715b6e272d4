/** Files that others could have written, and bytes that are no configuration. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_FILE_BYTES, readSafely } from '../../../host/config/file-safety.ts';
import { dropInsOf, MAX_DROP_INS, readMerged, SEARCH_PATH, searchPathOf } from '../../../host/config/files.ts';
import type { KataError } from '../../../host/error.ts';

interface Context {
  directory: string;
  file: string;
}

/** Some user that is neither root nor this process's. */
const OTHER_USER = 61_234;
const asRoot = process.getuid?.() === 0;

const test = suite<Context>('files of the configuration');
test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-safety-'));
  context.file = join(context.directory, 'configuration.toml');
  writeFileSync(context.file, '[runtime]\nenable_debug = true\n', { mode: 0o644 });
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function refusal(work: () => unknown): KataError {
  try {
    work();
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was accepted');
}

test('a file that any user may write is refused with the command that cures it', ({ file }) => {
  chmodSync(file, 0o666);
  const { code, message } = refusal(() => readSafely(file));
  assert.is(code, 'permission_denied');
  assert.ok(message.endsWith(`run: chmod o-w ${file}`), message);
  chmodSync(file, 0o664);
  assert.match(readSafely(file), /enable_debug/);
});

test('so is one in a directory, however far above, in which any user may exchange files', ({ directory }) => {
  const inner = join(directory, 'a', 'b');
  mkdirSync(inner, { recursive: true });
  const file = join(inner, 'configuration.toml');
  writeFileSync(file, '');
  chmodSync(join(directory, 'a'), 0o777);
  assert.match(refusal(() => readSafely(file)).message, new RegExp(`chmod o-w ${join(directory, 'a')}$`));
  // Where everybody may write but only owners remove, as in /tmp.
  chmodSync(join(directory, 'a'), 0o1777);
  assert.is(readSafely(file), '');
});

test('a link counts with the directory it stands in, and with what it leads to', ({ directory, file }) => {
  const open = join(directory, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  symlinkSync(file, join(open, 'link.toml'));
  assert.match(refusal(() => readSafely(join(open, 'link.toml'))).message, /any user may exchange files/);
  writeFileSync(join(open, 'real.toml'), '');
  symlinkSync(join(open, 'real.toml'), join(directory, 'link.toml'));
  assert.match(refusal(() => readSafely(join(directory, 'link.toml'))).message, /any user may exchange files/);
});

if (asRoot) {
  test('a file of another user, and a directory of drop-ins of one, are refused', ({ directory, file }) => {
    chownSync(file, OTHER_USER, OTHER_USER);
    const { code, message } = refusal(() => readSafely(file));
    assert.is(code, 'permission_denied');
    assert.ok(message.includes(`belongs to user ${OTHER_USER}`) && message.endsWith(`run: chown root:root ${file}`));
    chownSync(file, 0, 0);
    const dropIns = join(directory, 'config.d');
    mkdirSync(dropIns);
    chownSync(dropIns, OTHER_USER, OTHER_USER);
    assert.match(refusal(() => dropInsOf(file)).message, /config\.d is refused: it belongs to user/);
  });
}

test('drop-ins are as safe as the file', async ({ directory, file }) => {
  const dropIns = join(directory, 'config.d');
  mkdirSync(dropIns);
  const mine = join(dropIns, '50-mine.toml');
  writeFileSync(mine, '');
  chmodSync(mine, 0o646);
  assert.match(
    await messageOf(readMerged([file, ...dropInsOf(file)])),
    /50-mine\.toml is refused: any user may write it/,
  );
  chmodSync(mine, 0o644);
  chmodSync(dropIns, 0o777);
  assert.match(refusal(() => dropInsOf(file)).message, /chmod o-w .*config\.d$/);
});

test('drop-ins: the order of bytes, links, what is no file', async ({ directory, file }) => {
  const dropIns = join(directory, 'config.d');
  assert.equal(dropInsOf(file), []);
  mkdirSync(dropIns);
  for (const name of ['b', 'a.toml', 'B', '10', '9', 'é', 'z']) writeFileSync(join(dropIns, name), '');
  assert.equal(
    dropInsOf(file).map((path) => path.slice(dropIns.length + 1)),
    ['10', '9', 'B', 'a.toml', 'b', 'z', 'é'],
  );
  const elsewhere = join(directory, 'elsewhere');
  writeFileSync(elsewhere, '[runtime]\nenable_debug = false\n');
  symlinkSync(elsewhere, join(dropIns, 'zz-link'));
  const merged = await readMerged([file, ...dropInsOf(file)]);
  assert.equal(merged.get('runtime')?.get('enable_debug'), {
    value: false,
    float: false,
    line: 2,
    file: join(dropIns, 'zz-link'),
  });
  mkdirSync(join(dropIns, 'zzz'));
  assert.match(
    await messageOf(readMerged([file, ...dropInsOf(file)])),
    /zzz cannot be read: it is a directory; .*move it away/,
  );
});

test('a link that leads nowhere, and a config.d that is a file', async ({ directory, file }) => {
  writeFileSync(join(directory, 'config.d'), '');
  assert.match(refusal(() => dropInsOf(file)).message, /configuration directory .*ENOTDIR/);
  unlinkSync(join(directory, 'config.d'));
  mkdirSync(join(directory, 'config.d'));
  symlinkSync('/no/such/file', join(directory, 'config.d', 'x'));
  assert.match(await messageOf(readMerged([file, ...dropInsOf(file)])), /config\.d\/x cannot be read: ENOENT/);
});

test('what is no text is told with its line', ({ file }) => {
  const cases: readonly [Buffer, RegExp][] = [
    [Buffer.from('a = 1\n\0'), /configuration\.toml:2: a zero byte; a configuration is UTF-8 text$/],
    [Buffer.from([0x61, 0x0a, 0x0a, 0xff, 0xfe]), /configuration\.toml:3: bytes that are no UTF-8/],
    [Buffer.from('\x7fELF\x02\x01\x01\0'), /configuration\.toml:1: a zero byte/],
  ];
  for (const [bytes, expected] of cases) {
    writeFileSync(file, bytes);
    assert.match(refusal(() => readSafely(file)).message, expected);
  }
});

test('a byte order mark and line ends of either kind are taken', async ({ file }) => {
  for (const text of [
    '\ufeff[runtime]\nname = "a"\n',
    '[runtime]\r\nname = "a"\r\n',
    '\ufeff[runtime]\r\nname = "a"',
  ]) {
    writeFileSync(file, text);
    const origin = (await readMerged([file])).get('runtime')?.get('name');
    assert.equal([origin?.value, origin?.line], ['a', 2]);
  }
});

test('what is too large, or no regular file, is not read', async ({ directory, file }) => {
  writeFileSync(file, Buffer.alloc(MAX_FILE_BYTES, '#'));
  assert.is(readSafely(file).length, MAX_FILE_BYTES);
  writeFileSync(file, Buffer.alloc(MAX_FILE_BYTES + 1, '#'));
  assert.match(refusal(() => readSafely(file)).message, /1048577 bytes; at most 1048576 are read/);
  assert.match(refusal(() => readSafely('/dev/null')).message, /not a regular file/);
  const path = join(directory, 'socket');
  const server = createServer();
  await new Promise<void>((done) => server.listen(path, done));
  assert.match(refusal(() => readSafely(path)).message, /cannot be read/);
  await new Promise<unknown>((done) => server.close(done));
});

test('most drop-ins', ({ directory, file }) => {
  mkdirSync(join(directory, 'config.d'));
  for (let index = 0; index < MAX_DROP_INS; index++) writeFileSync(join(directory, 'config.d', String(index)), '');
  assert.is(dropInsOf(file).length, MAX_DROP_INS);
  writeFileSync(join(directory, 'config.d', 'more'), '');
  assert.match(refusal(() => dropInsOf(file)).message, /holds 257 files; at most 256/);
});

test("Kata's places come first, of the Go runtime, then of runtime-rs, then the installation's own", () => {
  const found = searchPathOf('/opt/kata-edge/1/lib');
  assert.is(found[0], '/etc/kata-containers/configuration.toml');
  assert.is(found[3], '/etc/kata-containers/runtime-rs/configuration.toml');
  assert.equal(found.slice(0, -1), [...SEARCH_PATH]);
  assert.is(found[found.length - 1], '/opt/kata-edge/1/share/defaults/kata-containers/configuration.toml');
});

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return 'accepted';
}

test.run();
