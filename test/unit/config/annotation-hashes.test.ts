/** Digests of the guest's files: compared before a virtual machine starts. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { annotate, CONFIG_PREFIX } from '../../../host/config/annotations.ts';
import { checkHashes } from '../../../host/config/annotations-hash.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-annotation-hashes-'));
const kernel = join(directory, 'vmlinux');
const initrd = join(directory, 'initramfs.cpio.gz');
writeFileSync(kernel, 'the kernel');
writeFileSync(initrd, 'the initrd');
const file = join(directory, 'configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };

const test = suite('digests in annotations');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

const from = await load('[hypervisor.qemu]\nenable_annotations = [".*"]\n');

function sha512(text: string): string {
  return createHash('sha512').update(text).digest('hex');
}

async function compare(annotations: Record<string, string>): Promise<void> {
  const named = Object.entries(annotations).map(([key, text]) => [`${CONFIG_PREFIX}hypervisor.${key}`, text]);
  await checkHashes((await annotate(from, Object.fromEntries(named))).hashes);
}

async function refusal(annotations: Record<string, string>): Promise<KataError> {
  try {
    await compare(annotations);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('accepted');
}

test('the same file, in capitals too', async () => {
  await compare({
    kernel_hash: sha512('the kernel'),
    initrd_hash: sha512('the initrd').toUpperCase(),
    asset_hash_type: 'sha512',
  });
});

test('another file, with both digests', async () => {
  const wanted = sha512('another kernel');
  const thrown = await refusal({ kernel_hash: wanted, initrd_hash: sha512('the initrd') });
  assert.is(thrown.code, 'failed_precondition');
  assert.ok(thrown.message.includes(`${wanted.slice(0, 16)}…`), thrown.message);
  assert.ok(thrown.message.includes(`${sha512('the kernel').slice(0, 16)}…`), thrown.message);
  assert.ok(thrown.message.includes(`${CONFIG_PREFIX}hypervisor.kernel_hash`) && thrown.message.includes(kernel));
  assert.not.ok(thrown.message.includes(wanted));
});

test('a digest is 128 hexadecimal digits, and of a file that there is', async () => {
  for (const text of ['', 'a'.repeat(127), 'a'.repeat(129), 'g'.repeat(128), `${'a'.repeat(127)}\n`]) {
    assert.is((await refusal({ kernel_hash: text })).code, 'invalid_argument', text);
  }
  const image = await refusal({ image_hash: 'a'.repeat(128) });
  assert.match(image.message, /image_hash: the virtual machine has no image/);
  assert.is(image.code, 'failed_precondition');
});

test('a large file takes no memory', async () => {
  const large = join(directory, 'large');
  writeFileSync(large, '');
  truncateSync(large, 256 * 1024 * 1024);
  const before = process.memoryUsage().rss;
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 5);
  try {
    await checkHashes([{ name: 'x', path: large, sha512: 'a'.repeat(128) }]);
    assert.unreachable();
  } catch (thrown) {
    assert.is((thrown as KataError).code, 'failed_precondition');
  } finally {
    clearInterval(watch);
    rmSync(large);
  }
  assert.ok(most - before < 128 * 1024 * 1024, `${(most - before) / 2 ** 20} MiB`);
});

test('a file that cannot be read is an error', async () => {
  const gone = await checkHashes([{ name: 'x', path: join(directory, 'gone'), sha512: 'a'.repeat(128) }]).catch(
    (t) => t,
  );
  assert.is((gone as KataError).code, 'failed_precondition');
});

test('one name of a digest may be given twice, and is read once', async () => {
  const same = sha512('the kernel');
  await checkHashes([
    { name: 'a', path: kernel, sha512: same },
    { name: 'b', path: kernel, sha512: same },
  ]);
});

test.run();
