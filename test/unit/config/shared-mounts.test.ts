/** `[runtime] shared_mounts`: for Kata's guests, whose agent makes them; with ours there would be none. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { annotate } from '../../../host/config/annotations.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import { MAX_SHARED_LENGTH, MAX_SHARED_MOUNTS } from '../../../host/config/shared-mounts.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-shared-mounts-'));
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const image = join(directory, 'kata.img');
const disk = Buffer.alloc(1024);
disk.writeUInt16BE(0x55aa, 510);
writeFileSync(image, disk);
const file = join(directory, 'configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const ANNOTATION = 'io.katacontainers.config.runtime.shared_mounts';
const MOUNT = { name: 'm', src_ctr: 'app', src_path: '/var/data', dst_ctr: 'side', dst_path: '/data' };

const test = suite('shared_mounts');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string, guest: 'own' | 'kata' = 'kata'): Promise<Configuration> {
  const head = guest === 'kata' ? `[hypervisor.qemu]\nimage = "${image}"\n` : '';
  writeFileSync(file, `${head}${text}`);
  return loadConfiguration(file, MACHINE);
}

function toml(mount: Record<string, unknown>): string {
  const fields = Object.entries(mount).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  return `[[runtime.shared_mounts]]\n${fields.join('')}`;
}

async function refusal(loading: Promise<unknown>): Promise<KataError> {
  return loading.then(
    () => assert.unreachable('accepted'),
    (thrown: KataError) => thrown,
  ) as Promise<KataError>;
}

test('of the configuration, and of a pod in its place', async () => {
  assert.equal((await load('')).sharedMounts, []);
  const from = await load(toml(MOUNT));
  assert.equal(from.sharedMounts, [MOUNT]);
  const other = { ...MOUNT, name: 'other' };
  const { configuration } = await annotate(from, { [ANNOTATION]: JSON.stringify([other]) });
  assert.equal(configuration.sharedMounts, [other]);
});

test('our own guest would not have them, so there is no sandbox', async () => {
  const thrown = await refusal(load(toml(MOUNT), 'own'));
  assert.is(thrown.code, 'unimplemented');
  assert.match(thrown.message, /runtime\.shared_mounts is set: our own guest/);
  const pod = await refusal(annotate(await load('', 'own'), { [ANNOTATION]: JSON.stringify([MOUNT]) }));
  assert.ok(pod.message.startsWith(`annotation ${ANNOTATION}: `), pod.message);
});

test('what is no mount is refused', async () => {
  const from = await load('');
  for (const change of [
    { name: '' },
    { src_ctr: '' },
    { dst_ctr: 7 },
    { src_path: 'var/data' },
    { src_path: '/var/../../etc' },
    { dst_path: '/data;x' },
    { dst_path: '/' },
    { dst_path: `/${'x'.repeat(MAX_SHARED_LENGTH)}` },
  ]) {
    const thrown = await refusal(annotate(from, { [ANNOTATION]: JSON.stringify([{ ...MOUNT, ...change }]) }));
    assert.is(thrown.code, 'invalid_argument', JSON.stringify(change));
  }
  for (const text of ['', '{}', '[1]', '[null]', 'x', '[[]]']) {
    assert.is((await refusal(annotate(from, { [ANNOTATION]: text }))).code, 'invalid_argument', text);
  }
  const many = (count: number) => JSON.stringify(Array.from({ length: count }, () => MOUNT));
  const most = await annotate(from, { [ANNOTATION]: many(MAX_SHARED_MOUNTS) });
  assert.is(most.configuration.sharedMounts.length, MAX_SHARED_MOUNTS);
  assert.is((await refusal(annotate(from, { [ANNOTATION]: many(MAX_SHARED_MOUNTS + 1) }))).code, 'invalid_argument');
});

test.run();
