/** Fetching from a mirror in a directory: choice by pattern and version, the cache, errors. No network. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AptSource } from '../../../setup/apt-sources.ts';
import { succeed } from '../../../setup/command.ts';
import { fetchPackages, machineArch, type PackageSpec, unpack } from '../../../setup/debian.ts';

const packages = suite<{ base: string; mirror: AptSource[] }>('packages');

packages.before(async (context) => {
  context.base = mkdtempSync(join(tmpdir(), 'kata-debs-'));
  context.mirror = await makeMirror(join(context.base, 'mirror'), [
    ['tool-6.1.9', '1.0'],
    ['tool-6.1.10', '1.1'],
    ['tool-6.1.10-dbg', '9.0'],
    ['plain', '1:2.0~rc1'],
    ['plain', '1:2.0'],
  ]);
});
packages.after(({ base }) => rmSync(base, { recursive: true, force: true }));

packages('a name, a pattern, a version, a version’s beginning', async ({ base, mirror }) => {
  const destination = join(base, 'one');
  const specs = ['plain', 'tool-6.1.*0', 'plain=1:2.0~rc1', 'plain=1:2.0~*'].map(spec);
  const steps: string[] = [];
  const found = await fetchPackages(specs, destination, (line) => steps.push(line), mirror);
  assert.equal(
    found.map(({ name, version }) => `${name} ${version}`),
    ['plain 1:2.0', 'tool-6.1.10 1.1', 'plain 1:2.0~rc1', 'plain 1:2.0~rc1'],
  );
  assert.is(steps.filter((line) => line.startsWith('reading the package list')).length, 1);
  assert.match(found[0]?.sha256 ?? '', /^[0-9a-f]{64}$/);
  await unpack(found[1]?.file ?? '', join(base, 'unpacked'));
  assert.is(readFileSync(join(base, 'unpacked/usr/share/it'), 'utf8'), 'tool-6.1.10 1.1');
});

packages('what is there needs no mirror, and is fetched again only when damaged', async ({ base, mirror }) => {
  const destination = join(base, 'two');
  const [first] = await fetchPackages([spec('plain')], destination, () => {}, mirror);
  const quiet = (line: string) => assert.unreachable(line);
  const gone: AptSource[] = [];
  assert.equal(await fetchPackages([spec('plain')], destination, quiet, gone), [first]);
  writeFileSync(first?.file ?? '', 'damaged');
  const steps: string[] = [];
  const [again] = await fetchPackages([spec('plain')], destination, (line) => steps.push(line), mirror);
  assert.is(again?.sha256, first?.sha256);
  assert.is(steps.length, 2);
  for (const name of readdirSync(join(destination, 'index')))
    writeFileSync(join(destination, 'index', name), '{ broken');
  assert.is((await fetchPackages([spec('plain')], destination, () => {}, mirror))[0]?.sha256, first?.sha256);
});

packages('what the suite does not have is an error that says so', async ({ base, mirror }) => {
  const destination = join(base, 'three');
  const fails = async (name: string, text: RegExp) => {
    const error = await fetchPackages([spec(name)], destination, () => {}, mirror).then(
      () => assert.unreachable(name),
      (thrown: unknown) => thrown as Error,
    );
    assert.match(String(error?.message), text);
  };
  await fails('nothing', /Debian sid has no package nothing$/);
  await fails('no-*', /has no package no-\*/);
  await fails('plain=3.0', /has no package plain in version 3\.0/);
  assert.not.ok(existsSync(join(destination, 'index')));
  assert.not.ok(readdirSync(destination).some((name) => name.startsWith('fetching')));
});

packages('a mirror that cannot be reached is an error that says so', async ({ base }) => {
  const mirror: AptSource[] = [{ uri: `file:${base}/nowhere`, suite: 'sid', debian: true }];
  try {
    await fetchPackages([spec('plain')], join(base, 'four'), () => {}, mirror);
    assert.unreachable('it should have failed');
  } catch (error) {
    assert.is((error as { code: string }).code, 'unavailable', String(error));
    assert.match((error as Error).message, /cannot read the package list of Debian sid/);
  }
});

function spec(text: string): PackageSpec {
  const [name = '', version] = text.split('=');
  return { suite: 'sid', name, ...(version ? { version } : {}) };
}

/** A mirror as a directory: packages of one file each, and an unsigned list of them. */
async function makeMirror(directory: string, list: readonly (readonly [string, string])[]): Promise<AptSource[]> {
  const arch = machineArch();
  const lists = join(directory, 'dists/sid/main', `binary-${arch}`);
  mkdirSync(lists, { recursive: true });
  let index = '';
  for (const [number, [name, version]] of list.entries()) {
    const root = join(directory, `root-${number}`);
    mkdirSync(join(root, 'DEBIAN'), { recursive: true });
    mkdirSync(join(root, 'usr/share'), { recursive: true });
    writeFileSync(join(root, 'usr/share/it'), `${name} ${version}`);
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: ${arch}\nMaintainer: T <t@example.com>\nDescription: t\n`;
    writeFileSync(join(root, 'DEBIAN/control'), control);
    const file = join(directory, `p${number}.deb`);
    await succeed(['dpkg-deb', '--build', '--root-owner-group', root, file]);
    const data = readFileSync(file);
    const sha256 = createHash('sha256').update(data).digest('hex');
    index += `${control}Filename: ./p${number}.deb\nSize: ${data.length}\nSHA256: ${sha256}\n\n`;
  }
  writeFileSync(join(lists, 'Packages'), index);
  return [{ uri: `file:${directory}`, suite: 'sid', debian: true, trusted: true }];
}

packages.run();
