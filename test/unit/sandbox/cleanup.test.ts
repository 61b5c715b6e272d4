import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isAlive } from '../../../host/process.ts';
import { HypervisorService, HypervisorServiceName } from '../../../host/proto/messages/remote.ts';
import { cleanUp, removeTree } from '../../../host/sandbox/cleanup.ts';
import {
  MAX_CHILDREN,
  MAX_STATE_BYTES,
  MAX_TRACES,
  nameProcess,
  type ProcessName,
  readState,
  type SandboxState,
  STATE_VERSION,
  statePath,
  writeState,
} from '../../../host/sandbox/state-file.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { service } from '../../../host/ttrpc/types.ts';
import { KeptLog } from './fake-guest.ts';

interface Context {
  root: string;
  directory: string;
  log: KeptLog;
}

const test = suite<Context>('clean-up');

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kata-clean-'));
  context.directory = join(context.root, 'run', 'key');
  mkdirSync(context.directory, { recursive: true });
  context.log = new KeptLog();
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

function sleeper(): ProcessName {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const named = nameProcess('qemu', child.pid ?? 0);
  if (!named) throw new Error('sleep did not start');
  return named;
}

function state(context: Context, more: Partial<SandboxState>): SandboxState {
  return {
    version: STATE_VERSION,
    id: 'x',
    namespace: 'ns',
    address: '/a',
    bundle: '/b',
    socket: join(context.root, 'x.sock'),
    shim: { name: 'shim', pid: 999_999_999, startTime: 1 },
    children: [],
    timeline: {},
    ...more,
  };
}

test('ends the children and the shim, removes the directory, the socket and the empty parent', async (context) => {
  const [shim, qemu] = [sleeper(), sleeper()];
  const socket = join(context.root, 'x.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  writeState(context.directory, state(context, { shim, children: [qemu], socket }));
  assert.is((await cleanUp(context.directory, context.log)).pid, qemu.pid);
  assert.equal([isAlive(shim), isAlive(qemu)], [false, false]);
  assert.equal([existsSync(socket), existsSync(join(context.root, 'run'))], [false, false]);
  assert.is((await cleanUp(context.directory, context.log)).pid, 0, 'a second time there is nothing to do');
  server.close();
});

test('what the shim makes while it is given time to end is removed as well', async (context) => {
  const [shim, qemu] = [sleeper(), sleeper()];
  writeState(context.directory, state(context, { shim }));
  const cleaning = cleanUp(context.directory, context.log);
  writeState(context.directory, state(context, { shim, children: [qemu] }));
  assert.is((await cleaning).pid, qemu.pid);
  assert.equal([isAlive(shim), isAlive(qemu)], [false, false]);
});

test('a machine elsewhere is ended through the service that made it, which need not be there', async (context) => {
  const remote = { socket: join(context.root, 'peer.sock'), id: 'sandbox-1' };
  const stopped: string[] = [];
  const server = new TtrpcServer([
    service(HypervisorServiceName, HypervisorService, {
      StopVM: ({ id }) => {
        stopped.push(id);
        return {};
      },
    }),
  ]);
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(remote.socket, resolve));
  server.adopt(listener);
  writeState(context.directory, state(context, { remote }));
  assert.equal(readState(context.directory)?.remote, remote);
  await cleanUp(context.directory, context.log);
  await server.close();
  assert.equal(stopped, ['sandbox-1']);
  assert.not.ok(existsSync(context.directory));
  mkdirSync(context.directory, { recursive: true });
  writeState(context.directory, state(context, { remote }));
  await cleanUp(context.directory, context.log);
  assert.not.ok(existsSync(context.directory));
  assert.match(context.log.lines.join('\n'), /did not end a machine.*sandbox-1/);
});

test('another process that has the pid by now is left alone', async (context) => {
  const other = sleeper();
  const stale = { ...other, startTime: other.startTime - 1 };
  writeState(context.directory, state(context, { shim: stale, children: [stale] }));
  await cleanUp(context.directory, context.log);
  assert.is(isAlive(other), true);
  process.kill(other.pid, 'SIGKILL');
});

test('other sandboxes and files behind links are left alone', async (context) => {
  const precious = join(context.root, 'precious');
  mkdirSync(precious);
  writeFileSync(join(precious, 'file'), '');
  symlinkSync(precious, join(context.directory, 'link'));
  mkdirSync(join(context.root, 'run', 'other'));
  await cleanUp(context.directory, context.log);
  assert.ok(existsSync(join(precious, 'file')));
  assert.ok(existsSync(join(context.root, 'run', 'other')));
  assert.not.ok(existsSync(context.directory));
});

test('a mount in the way is detached, never emptied', (context) => {
  const inside = join(context.directory, 'shared');
  const source = join(context.root, 'source');
  for (const path of [inside, source]) mkdirSync(path);
  writeFileSync(join(source, 'file'), '');
  const mounted = spawnSync('mount', ['--bind', source, inside]);
  if (mounted.status !== 0) throw new Error(`this test needs root: ${mounted.stderr}`);
  removeTree(context.directory, context.log);
  assert.ok(existsSync(join(source, 'file')));
  assert.not.ok(existsSync(context.directory));
});

test('a state file that makes no sense is none', (context) => {
  const { directory } = context;
  assert.is(readState(directory), undefined);
  const good = state(context, {});
  for (const bad of [
    'no json',
    '[]',
    'null',
    JSON.stringify({ ...good, version: 2 }),
    JSON.stringify({ ...good, shim: { pid: 'one' } }),
    JSON.stringify({ ...good, children: Array.from({ length: MAX_CHILDREN + 1 }, () => good.shim) }),
    JSON.stringify({ ...good, id: 'x'.repeat(MAX_STATE_BYTES) }),
  ]) {
    writeFileSync(statePath(directory), bad);
    assert.is(readState(directory), undefined, bad.slice(0, 40));
  }
  writeState(directory, good);
  assert.equal(readState(directory), good);
});

test('traces of networks and cgroups are read back, and anything else in their place is no state', (context) => {
  const network = { namespace: '/run/netns/p', ownNamespace: false, devices: ['kata0'] };
  writeState(context.directory, state(context, { network, cgroups: ['/sys/fs/cgroup/x'] }));
  assert.equal(readState(context.directory)?.network, network);
  assert.equal(readState(context.directory)?.cgroups, ['/sys/fs/cgroup/x']);
  for (const wrong of [
    { network: 'x' },
    { network: { ...network, devices: [1] } },
    { cgroups: 'x' },
    { cgroups: Array.from({ length: MAX_TRACES + 1 }, () => '/x') },
  ]) {
    writeState(context.directory, state(context, wrong as never));
    assert.is(readState(context.directory), undefined);
  }
});

test('clean-up goes on where network and cgroups have gone already', async (context) => {
  const network = { namespace: join(context.root, 'gone'), ownNamespace: false, devices: ['kata0'] };
  writeState(context.directory, state(context, { network, cgroups: ['/sys/fs/cgroup/kata-of-nobody', '/etc'] }));
  await cleanUp(context.directory, context.log);
  assert.not.ok(existsSync(context.directory));
  assert.ok(existsSync('/etc'));
});

test.run();
