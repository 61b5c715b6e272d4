/** Copies of ConfigMaps and Secrets: as kubelet publishes them, exchanged by one link. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import { Storages } from '../../../guest/agent/storage.ts';
import { MAX_WATCHED_BYTES, MAX_WATCHED_ENTRIES, watched } from '../../../guest/agent/watched.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { Storage } from '../../../host/proto/messages/agent.ts';
import { type NodeSys, nodeLoop, nodeSys } from './node-sys.ts';

/** Between two looks, and how long a change may take to be seen, ms. */
const EVERY_MS = 10;
const SEEN_MS = 5000;

interface Context {
  directory: string;
  source: string;
  target: string;
  sys: NodeSys;
  guest: Guest;
  stop: () => void;
}

const watching = suite<Context>('watched volumes');

watching.before.each((context) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'watched-'));
  const sys = nodeSys();
  sys.pretendMounts = true;
  const loop = nodeLoop(sys);
  const guest: Guest = { sys, loop, options: DEFAULT_OPTIONS };
  const [source, target] = [`${directory}/source`, `${directory}/a/target`];
  fs.mkdirSync(source);
  Object.assign(context, { directory, source, target, sys, guest, stop: loop.stop });
});
watching.after.each(({ stop, directory }) => {
  stop();
  fs.rmSync(directory, { recursive: true });
});

/** As kubelet does it. */
function publish(source: string, state: string, files: Readonly<Record<string, string>>): void {
  fs.mkdirSync(`${source}/${state}`);
  for (const [name, text] of Object.entries(files))
    fs.writeFileSync(`${source}/${state}/${name}`, text, { mode: 0o640 });
  const old = fs.existsSync(`${source}/..data`) ? fs.readlinkSync(`${source}/..data`) : undefined;
  fs.symlinkSync(state, `${source}/..data_tmp`);
  fs.renameSync(`${source}/..data_tmp`, `${source}/..data`);
  for (const name of Object.keys(files)) {
    if (!fs.lstatSync(`${source}/${name}`, { throwIfNoEntry: false }))
      fs.symlinkSync(`..data/${name}`, `${source}/${name}`);
  }
  for (const name of fs.readdirSync(source)) {
    if (!name.startsWith('..') && !(name in files)) fs.rmSync(`${source}/${name}`);
  }
  if (old) fs.rmSync(`${source}/${old}`, { recursive: true });
}

function contents(directory: string): Record<string, string> {
  const names = fs.readdirSync(directory).filter((name) => !name.startsWith('..'));
  return Object.fromEntries(names.map((name) => [name, fs.readFileSync(`${directory}/${name}`, 'utf8')]));
}

async function seen(check: () => boolean): Promise<void> {
  const deadline = performance.now() + SEEN_MS;
  while (!check() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  assert.ok(check());
}

watching('a copy, with owners and modes, follows every exchange', async ({ guest, source, target }) => {
  publish(source, '..1', { key: 'old', gone: '' });
  fs.chownSync(`${source}/..1/key`, 7, 8);
  fs.chmodSync(source, 0o2775);
  const end = watched(guest, source, target, EVERY_MS);
  assert.ok(end);
  assert.equal(contents(target), { key: 'old', gone: '' });
  const stat = fs.statSync(`${target}/key`);
  assert.equal([stat.uid, stat.gid, stat.mode & 0o7777], [7, 8, 0o640]);
  assert.is(fs.statSync(target).mode & 0o7777, 0o2775);
  publish(source, '..2', { key: 'new', more: 'm' });
  await seen(() => fs.readFileSync(`${target}/key`, 'utf8') === 'new');
  assert.equal(contents(target), { key: 'new', more: 'm' });
  assert.equal(fs.readdirSync(target).sort(), ['..2', '..data', 'key', 'more']);
  end();
  assert.not.ok(fs.existsSync(target));
  publish(source, '..3', { key: 'later' });
  await new Promise((resolve) => setTimeout(resolve, 5 * EVERY_MS));
  assert.not.ok(fs.existsSync(target));
});

watching('a source that vanishes leaves the copy as it is', async ({ guest, source, target }) => {
  publish(source, '..1', { key: 'kept' });
  const end = watched(guest, source, target, EVERY_MS);
  fs.rmSync(source, { recursive: true });
  await new Promise((resolve) => setTimeout(resolve, 5 * EVERY_MS));
  assert.equal(contents(target), { key: 'kept' });
  end?.();
});

watching('what kubelet did not make, or is too large, is not copied', ({ guest, source, target }) => {
  const watch = () => watched(guest, source, target, EVERY_MS);
  fs.writeFileSync(`${source}/file`, '');
  assert.is(watch(), undefined);
  for (const state of ['/etc', '..', 'x', '../x']) {
    fs.symlinkSync(state, `${source}/..data`);
    assert.is(watch(), undefined);
    fs.rmSync(`${source}/..data`);
  }
  fs.rmSync(`${source}/file`);
  const names = Array.from({ length: MAX_WATCHED_ENTRIES + 1 }, (_, i) => [`k${i}`, '']);
  publish(source, '..1', Object.fromEntries(names));
  assert.is(watch(), undefined);
  publish(source, '..2', { key: 'x'.repeat(MAX_WATCHED_BYTES + 1) });
  assert.is(watch(), undefined);
  assert.not.ok(fs.existsSync(target));
  publish(source, '..3', { key: 'x'.repeat(MAX_WATCHED_BYTES) });
  const end = watch();
  assert.ok(end);
  end();
});

watching('a state that has grown too large is not taken', async ({ guest, source, target }) => {
  publish(source, '..1', { key: 'old' });
  const end = watched(guest, source, target, EVERY_MS);
  publish(source, '..2', { key: 'x'.repeat(MAX_WATCHED_BYTES + 1) });
  await new Promise((resolve) => setTimeout(resolve, 5 * EVERY_MS));
  assert.equal(contents(target), { key: 'old' });
  publish(source, '..3', { key: 'small' });
  await seen(() => contents(target).key === 'small');
  end?.();
});

watching('a storage of that kind is copied, or bound', async ({ guest, sys, source, target }) => {
  const storages = new Storages(guest);
  const storage = decode(Storage, encode(Storage, { driver: 'watchable-bind', source, mount_point: target }));
  const release = await storages.add(storage);
  release();
  assert.match(sys.calls.join('\n'), /^mount .*source .*target bind/);
  publish(source, '..1', { key: 'value' });
  const again = await storages.add(storage);
  assert.equal(contents(target), { key: 'value' });
  again();
  assert.not.ok(fs.existsSync(target));
});

watching.run();
