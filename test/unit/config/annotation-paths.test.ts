/** Paths that a pod may name: only within a list, whatever links and dots lead to. CVE-2020-27151 and its kin. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { annotate, CONFIG_PREFIX } from '../../../host/config/annotations.ts';
import {
  allowedGuestPath,
  allowedPath,
  MAX_PATH_LENGTH,
  matchesPattern,
  type PathKind,
} from '../../../host/config/annotations-paths.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import type { KataError } from '../../../host/error.ts';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kata-annotation-paths-')));
const at = (...names: string[]): string => join(directory, ...names);
for (const name of ['guest', 'assets', 'assets/deep', 'secret']) mkdirSync(at(name));
for (const name of [
  'guest/vmlinux',
  'guest/initramfs.cpio.gz',
  'assets/kernel-a',
  'assets/deep/kernel-b',
  'secret/key',
]) {
  writeFileSync(at(name), 'x');
}
writeFileSync(at('assets/empty'), '');
writeFileSync(at('assets/qemu'), '#!/bin/sh\n', { mode: 0o755 });
writeFileSync(at('assets/qemu-open'), '#!/bin/sh\n');
chmodSync(at('assets/qemu-open'), 0o777);
symlinkSync(at('secret/key'), at('assets/kernel-link'));
symlinkSync(at('secret'), at('assets/out'));
symlinkSync('kernel-a', at('assets/kernel-current'));
symlinkSync(at('assets'), at('current'));
const file = at('configuration.toml');
const MACHINE = { arch: 'x64', guest: at('guest'), cpus: 4, memoryMib: 8192 };

const kernel = Buffer.alloc(64);
kernel.write('\x7fELF\x02\x01', 'latin1');
kernel.writeUInt16LE(2, 16);
kernel.writeUInt16LE(62, 18);
writeFileSync(at('assets/kernel-a'), kernel);
const disk = Buffer.alloc(1024);
disk.writeUInt16BE(0x55aa, 510);
writeFileSync(at('assets/disk.img'), disk);

const test = suite('paths in annotations');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

function path(text: string, patterns: readonly string[], kind: PathKind = 'file'): string {
  return allowedPath('x', text, { key: 'edge.valid_asset_paths', patterns }, kind);
}

function code(call: () => unknown): string {
  try {
    call();
  } catch (thrown) {
    return (thrown as KataError).code;
  }
  return 'accepted';
}

async function refusal(from: Configuration, annotations: Record<string, string>): Promise<KataError> {
  try {
    await annotate(
      from,
      Object.fromEntries(Object.entries(annotations).map(([key, text]) => [`${CONFIG_PREFIX}hypervisor.${key}`, text])),
    );
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('accepted');
}

test('patterns are those of a shell, and stop at slashes', () => {
  for (const [pattern, text, matches] of [
    ['/a/b', '/a/b', true],
    ['/a/*', '/a/b', true],
    ['/a/*', '/a/b/c', false],
    ['/a/*', '/a/', true],
    ['/*/c', '/a/b/c', false],
    ['/a/*.img', '/a/x.img', true],
    ['/a/*.img', '/a/x.img.bak', false],
    ['/a/k?rnel', '/a/kernel', true],
    ['/a/k?rnel', '/a/k/rnel', false],
    ['/a/v[0-9]', '/a/v7', true],
    ['/a/v[^0-9]', '/a/v7', false],
    ['/a/\\*', '/a/*', true],
    ['/a/\\*', '/a/b', false],
    ['/a/.', '/a/b', false],
    ['/a.b', '/aXb', false],
    ['', '/a', false],
    ['*', '/a', false],
    ['/**', '/a/b', false],
    ['/a/*ä*', '/a/xäy', true],
    ['/a/?', '/a/𝄞', true],
  ] as const) {
    assert.is(matchesPattern(pattern, text), matches, `${pattern} ${text}`);
  }
});

test('a pattern takes no longer than pattern times name', () => {
  assert.not.ok(matchesPattern(`/${'*a'.repeat(100)}b`, `/${'a'.repeat(MAX_PATH_LENGTH)}`));
});

test('a path within the list is used as it was found', () => {
  assert.is(path(at('assets/kernel-a'), [at('assets/*')]), at('assets/kernel-a'));
  assert.is(path(at('assets/kernel-current'), [at('assets/*')]), at('assets/kernel-a'));
  assert.is(path(at('assets/deep/../kernel-a'), [at('assets/*')]), at('assets/kernel-a'));
  // The administrator's own link.
  assert.is(path(at('current/kernel-a'), [at('current/*')]), at('assets/kernel-a'));
  assert.is(path(at('assets/kernel-a'), [at('assets/kernel-current')]), at('assets/kernel-a'));
});

test('CVE-2020-27151: no file of the host but those listed', () => {
  for (const [text, patterns] of [
    [at('secret/key'), [at('assets/*')]],
    [at('assets/../secret/key'), [at('assets/*')]],
    [at('assets/../secret/key'), [at('assets/*/*/*')]],
    [at('assets/kernel-link'), [at('assets/*')]],
    [at('assets/out/key'), [at('assets/*/*')]],
    [at('assets/out/key'), [at('assets/out/k?')]],
    [at('assets/deep/kernel-b'), [at('assets/*')]],
    [`${at('assets')}//../secret/key`, [at('assets/*')]],
    ['/proc/self/root/etc/passwd', [at('assets/*'), '/proc/self/*']],
    ['/etc/shadow', []],
    [at('secret/no-such'), [at('assets/*')]],
  ] as const) {
    assert.is(
      code(() => path(text, patterns)),
      'permission_denied',
      text,
    );
  }
});

test('of what is outside the list nothing is told', () => {
  const said = (text: string): string => {
    try {
      path(text, [at('assets/*')]);
    } catch (thrown) {
      return (thrown as KataError).message.replace(text, '');
    }
    return 'accepted';
  };
  assert.is(said(at('secret/key')), said(at('secret/no-such')));
  assert.match(said(at('secret/key')), /edge\.valid_asset_paths does not allow it/);
});

test('what is no absolute path, or no text for one, is refused', () => {
  for (const text of [
    '',
    'assets/kernel-a',
    './x',
    `${at('assets/kernel-a')}\0.txt`,
    '/a\nb',
    `/${'x'.repeat(MAX_PATH_LENGTH)}`,
  ]) {
    assert.is(
      code(() => path(text, ['/*', at('assets/*')])),
      'invalid_argument',
      text,
    );
  }
});

test('the file has to be there, and of its kind', () => {
  const list = [at('assets/*'), '/dev/*'];
  assert.is(
    code(() => path(at('assets/none'), list)),
    'failed_precondition',
  );
  assert.is(
    code(() => path(at('assets/deep'), list)),
    'failed_precondition',
  );
  assert.is(
    code(() => path('/dev/null', list)),
    'failed_precondition',
  );
  assert.is(path('/dev/null', list, 'device'), '/dev/null');
  assert.is(path(at('assets/deep'), list, 'directory'), at('assets/deep'));
  assert.is(path(at('assets/qemu'), list, 'program'), at('assets/qemu'));
  assert.is(
    code(() => path(at('assets/kernel-a'), list, 'program')),
    'failed_precondition',
  );
  assert.is(
    code(() => path(at('assets/qemu-open'), list, 'program')),
    'failed_precondition',
  );
  chmodSync(at('assets/qemu-open'), 0o755);
  assert.is(path(at('assets/qemu-open'), list, 'program'), at('assets/qemu-open'));
  chownSync(at('assets/qemu-open'), 1234, 0);
  assert.is(
    code(() => path(at('assets/qemu-open'), list, 'program')),
    'failed_precondition',
  );
});

test("a guest's path is compared letter by letter", () => {
  const list = { key: 'edge.valid_guest_hook_paths', patterns: ['/usr/share/oci/*'] };
  assert.is(allowedGuestPath('x', '/usr/share/oci/hooks', list), '/usr/share/oci/hooks');
  for (const text of [
    '/usr/share/oci/../../../run',
    '/usr/share/oci/./hooks',
    '/usr/share//oci/hooks',
    '/usr/share/oci/h/',
  ]) {
    assert.is(
      code(() => allowedGuestPath('x', text, list)),
      'invalid_argument',
      text,
    );
  }
  assert.is(
    code(() => allowedGuestPath('x', '/run/kata-containers/shared', list)),
    'permission_denied',
  );
});

test('each annotation that names a file has its list, and needs both', async () => {
  const lists = {
    path: 'hypervisor.qemu.valid_hypervisor_paths',
    kernel: 'edge.valid_asset_paths',
    image: 'edge.valid_asset_paths',
    initrd: 'edge.valid_asset_paths',
    virtio_fs_daemon: 'hypervisor.qemu.valid_virtio_fs_daemon_paths',
    guest_hook_path: 'edge.valid_guest_hook_paths',
  };
  const enabled = await load('[hypervisor.qemu]\nenable_annotations = [".*"]\n');
  const none = await load('[edge]\nvalid_asset_paths = ["/*"]\n');
  for (const [name, list] of Object.entries(lists)) {
    const thrown = await refusal(enabled, { [name]: at('assets/kernel-a') });
    assert.is(thrown.code, 'permission_denied', name);
    assert.ok(thrown.message.includes(`${list} in configuration.toml is empty`), thrown.message);
    assert.ok(thrown.message.includes(`${CONFIG_PREFIX}hypervisor.${name}`), thrown.message);
    assert.match((await refusal(none, { [name]: at('assets/kernel-a') })).message, /is not enabled/);
  }
});

test('what is named is used, without its links', async () => {
  const from = await load(`[hypervisor.qemu]
enable_annotations = [".*"]
valid_hypervisor_paths = ["${at('assets/qemu*')}"]
[edge]
valid_asset_paths = ["${at('assets/*')}"]
valid_guest_hook_paths = ["/usr/share/oci/*"]
`);
  const name = (key: string): string => `${CONFIG_PREFIX}hypervisor.${key}`;
  const { configuration: result } = await annotate(from, {
    [name('path')]: at('assets/qemu'),
    [name('kernel')]: at('assets/kernel-current'),
    [name('image')]: at('assets/disk.img'),
    [name('guest_hook_path')]: '/usr/share/oci/hooks',
  });
  assert.equal(
    [result.qemuPath, result.kernel, result.image, result.initrd, result.guestHookPath, result.ownGuest],
    [at('assets/qemu'), at('assets/kernel-a'), at('assets/disk.img'), undefined, '/usr/share/oci/hooks', false],
  );
  const both = await refusal(from, { image: at('assets/kernel-a'), initrd: at('assets/kernel-a') });
  assert.match(both.message, /hypervisor\.image and .*hypervisor\.initrd contradict each other/);
  assert.is((await refusal(from, { kernel: at('assets/empty') })).code, 'failed_precondition');
});

test.run();
