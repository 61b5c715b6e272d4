/** kata.edge.Extension: an archive on a disk is unpacked once, and its modules are loaded in their order. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EXTENSION_MODULES, extensionHandlers } from '../../../guest/agent/extension.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import { SysError } from '../../../guest/agent/sys.ts';
import { nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

interface Context {
  root: string;
  guest: Guest;
  spawned: string[][];
  loaded: string[];
  status: number;
  stop: () => void;
}

const test = suite<Context>('extension of the guest');

test.before.each((context) => {
  context.root = fs.mkdtempSync(path.join(os.tmpdir(), 'kata-extension-'));
  fs.writeFileSync(path.join(context.root, 'vdz'), 'the archive');
  context.spawned = [];
  context.loaded = [];
  context.status = 0;
  const real = nodeSys();
  const loop = nodeLoop(real);
  context.stop = () => loop.stop();
  // The agent's own root is not this machine's.
  const inRoot = (name: string): string => (name === EXTENSION_MODULES ? path.join(context.root, 'list') : name);
  const sys = Object.assign(Object.create(real) as typeof real, {
    spawn: ({ argv, stdio }: { argv: readonly string[]; stdio: readonly number[] }): number => {
      context.spawned.push([...argv, fs.readFileSync(`/proc/self/fd/${stdio[0]}`, 'utf8')]);
      if (context.status === 0)
        fs.writeFileSync(path.join(context.root, 'list'), '/lib/modules/a.ko\n/lib/modules/b.ko\n');
      return real.spawn({
        argv: ['/bin/sh', '-c', `exit ${context.status}`],
        env: ['PATH=/bin:/usr/bin'],
        stdio: [-1, -1, -1],
      });
    },
    readFile: (name: string, limit: number) => real.readFile(inRoot(name), limit),
    stat: (name: string) => real.stat(inRoot(name)),
    lstat: (name: string) => real.lstat(inRoot(name)),
    loadModule: (name: string) => {
      context.loaded.push(name);
      if (name.endsWith('a.ko')) throw new SysError('EEXIST', 'finit_module');
    },
  });
  context.guest = { sys, loop, options: { ...DEFAULT_OPTIONS, devRoot: context.root, hotplugTimeoutMs: 60 } };
});
test.after.each(({ root, stop }) => {
  stop();
  fs.rmSync(root, { recursive: true });
});

test('unpacked once, whoever asks how often; a module that is loaded already is no failure', async (context) => {
  const { Add } = extensionHandlers(context.guest);
  assert.ok(Add);
  await Promise.all([Add({ device: '/dev/vdz' }), Add({ device: '/dev/vdz' })]);
  await Add({ device: '/dev/vdz' });
  assert.equal(context.spawned, [['/bin/busybox', 'cpio', '-i', '-d', '-u', 'the archive']]);
  assert.equal(context.loaded, ['/lib/modules/a.ko', '/lib/modules/b.ko']);
});

test('what fails may be tried again', async (context) => {
  const { Add } = extensionHandlers(context.guest);
  assert.ok(Add);
  await refused(() => Add({ device: '/dev/none' }), 'deadline_exceeded', /none has not appeared/);
  await refused(() => Add({ device: '../vdz' }), 'invalid_argument', /neither/);
  context.status = 3;
  await refused(() => Add({ device: '/dev/vdz' }), 'internal', /cannot be unpacked: 3/);
  assert.equal(context.loaded, []);
  context.status = 0;
  await Add({ device: '/dev/vdz' });
  assert.is(context.loaded.length, 2);
});

test('an agent that is an ordinary process leaves its machine alone', () => {
  assert.equal(extensionHandlers(undefined), {});
});

test.run();
