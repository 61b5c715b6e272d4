/** What is made from the schema: the reference, and the file that is installed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import { SCHEMA } from '../../../host/config/schema/schema.ts';
import { readPlain } from '../../../host/config/toml/plain.ts';
import { defaultFile, isSecondName, isToml } from '../../../setup/configuration/default-file.ts';
import { reference } from '../../../setup/configuration/reference.ts';

const ROOT = join(import.meta.dirname, '../../..');
const directory = mkdtempSync(join(tmpdir(), 'kata-reference-'));
const file = join(directory, 'configuration.toml');
for (const name of ['vmlinux', 'Image', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');

const test = suite('what is made from the schema');
test.after(() => rmSync(directory, { recursive: true }));

function load(path: string | undefined, arch: string): Promise<Configuration> {
  return loadConfiguration(path, { arch, guest: directory, cpus: 4, memoryMib: 8192 });
}

/** Without what tells where values come from. */
function settings({ file: _, values: __, ...rest }: Configuration): object {
  return rest;
}

test('docs/configuration.md is what the schema says; `npm run configuration` makes it anew', () => {
  assert.is(readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8'), reference());
});

test('the reference has every key, and why those without effect have none', () => {
  const text = reference();
  for (const [table, keys] of Object.entries(SCHEMA)) {
    for (const [name, key] of Object.entries(keys)) {
      if (table === 'hypervisor.remote' && key.effect === 'ignored') continue;
      assert.ok(text.includes(`\`${name}\``), `${table}.${name}`);
      assert.is(
        key.why !== undefined,
        key.effect === 'ignored',
        `${table}.${name}: a reason and no effect go together`,
      );
      assert.match(key.doc, /^[A-Z].*\.$/s, `${table}.${name}`);
    }
  }
});

for (const arch of ['x64', 'arm64']) {
  test(`the file that is installed says what holds without a file, ${arch}`, async () => {
    writeFileSync(file, defaultFile());
    const configuration = await load(file, arch);
    assert.equal([configuration.ignored, configuration.unknown, configuration.notes], [[], [], []]);
    assert.equal(settings(configuration), settings(await load(undefined, arch)));
  });

  test(`with every key of it taken in, but those that ask for more, it says the same, ${arch}`, async () => {
    // Those without a default of their own, and those that are there for Kata's spelling.
    const lines = defaultFile().split('\n');
    const text = lines.map((line) => (/^# [a-z0-9_]+ = /.test(line) ? line.slice(2) : line)).join('\n');
    writeFileSync(file, text.slice(0, text.indexOf('# [hypervisor.remote]')));
    const configuration = await load(file, arch);
    assert.equal(
      configuration.ignored.filter(({ harmless }) => !harmless),
      [],
    );
    assert.equal(configuration.unknown, []);
    const [with_, without] = [configuration, await load(undefined, arch)];
    assert.equal(
      [with_.memoryMib, with_.qemuPath, with_.kernel],
      [without.memoryMib, without.qemuPath, without.kernel],
    );
    assert.equal([with_.machineType, with_.sharedFs], [without.machineType, without.sharedFs]);
    assert.equal(
      [with_.createContainerTimeoutMs, with_.bootTimeoutMs],
      [without.createContainerTimeoutMs, without.bootTimeoutMs],
    );
  });
}

test('it is read the quick way, and every key with an effect stands in it with an explanation above', () => {
  const text = defaultFile();
  assert.ok(readPlain(text));
  const lines = text.split('\n');
  for (const [table, keys] of Object.entries(SCHEMA)) {
    for (const [name, key] of Object.entries(keys)) {
      const at = lines.findIndex((line) => line.startsWith(`# ${name} = `) || line.startsWith(`${name} = `));
      if (key.effect === 'used' && !isSecondName(key))
        assert.match(lines[at - 1] ?? '', /^# .*\.$/, `${table}.${name}`);
    }
  }
  assert.ok(lines.every((line) => line.length <= 102));
});

test('what is a value and what are words', () => {
  for (const value of ['1', '0.5', '"a"', '""', '["a", "b"]', '[]', 'true', '0x30000']) assert.ok(isToml(value), value);
  for (const words of ['the kernel', '"q35", on arm64 "virt"', '']) assert.not.ok(isToml(words), words);
});

test.run();
