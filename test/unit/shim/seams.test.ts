/** What a sandbox asks of networks, cgroups, shares and hooks, and in which order. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { CreateSandboxRequest } from '../../../host/proto/messages/agent.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import { readState } from '../../../host/sandbox/state-file.ts';
import { failure, Harness } from './harness.ts';

const test = suite<{ shim: Harness }>('seams of a sandbox');

test.before.each(async (context) => {
  context.shim = await Harness.start();
});
test.after.each(async ({ shim }) => {
  await shim.close();
});

function stateOf(shim: Harness): ReturnType<typeof readState> {
  return readState(identify('/run/containerd.sock', 'test', shim.id, shim.runtimeDirectory).directory);
}

function network(path: string): Record<string, unknown> {
  return { linux: { namespaces: [{ type: 'network', path }] } };
}

function hooks(lists: Record<string, readonly string[]>): Record<string, unknown> {
  const hook = (script: string) => ({ path: '/bin/sh', args: ['sh', '-c', script] });
  return {
    hooks: Object.fromEntries(Object.entries(lists).map(([kind, scripts]) => [kind, scripts.map(hook)])),
    linux: { namespaces: [{ type: 'network' }] },
  };
}

/** A configuration whose guest is one of Kata's. */
function kataGuest(shim: Harness): void {
  const image = join(shim.directory, 'kata.img');
  const disk = Buffer.alloc(512);
  disk.writeUInt16BE(0x55aa, 510);
  writeFileSync(image, disk);
  writeFileSync(join(shim.directory, 'configuration.toml'), `[hypervisor.qemu]\nimage = "${image}"\n`);
}

/** Calls to the guest of these names, in order. */
function calls({ guest }: Harness, ...names: string[]): string[] {
  return guest.calls.filter((call) => names.includes(call));
}

test("the pod's network: prepared beside the boot, told beside the sandbox, undone at the end", async ({ shim }) => {
  shim.guest.nics.push('eth0', 'eth1');
  await shim.create('c1', ['sleep'], { spec: network('/run/netns/pod') });
  const told = ['UpdateInterface', 'UpdateRoutes', 'AddARPNeighbors'];
  assert.equal(calls(shim, ...told), ['UpdateInterface', ...told]);
  assert.equal(calls(shim, 'CreateSandbox'), ['CreateSandbox']);
  assert.is(shim.guest.network?.prepared, 1);
  assert.equal(stateOf(shim)?.network, {
    namespace: '/run/netns/pod',
    ownNamespace: false,
    devices: ['eth0', 'eth1'],
  });
  assert.ok(shim.guest.calls.includes('forward /run/netns/pod'));
  await shim.call('Start', { id: 'c1' });
  assert.is(shim.guest.network?.prepared, 1, 'a namespace of CNI is scanned once');
  await shim.call('Delete', { id: 'c1' });
  assert.is(shim.guest.network?.closed, 1);
  assert.ok(shim.guest.calls.indexOf('forward closed') > 0);
});

test('a namespace of our own is looked at again at Start: by then it is configured', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  assert.equal(calls(shim, 'UpdateInterface'), []);
  shim.guest.nics.push('eth0');
  await shim.call('Start', { id: 'c1' });
  assert.equal(calls(shim, 'UpdateInterface', 'StartContainer'), ['UpdateInterface', 'StartContainer']);
  assert.not.ok(shim.guest.calls.some((call) => call.startsWith('forward ')));
});

test("the host's network is refused, and nothing is started", async ({ shim }) => {
  for (const linux of [{ namespaces: [] }, { namespaces: [{ type: 'pid' }] }]) {
    const { code, message } = await failure(
      shim.create(`c${Math.random()}`.replace('.', ''), ['true'], { spec: { linux } }),
    );
    assert.is(code, 'failed_precondition');
    assert.match(message, /host's network/);
  }
  assert.equal(shim.guest.calls, []);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test("a Kata guest's agent is given the pod's policy before anything else; one that has no policy engine gets no pod", async ({
  shim,
}) => {
  const annotations = {
    'io.katacontainers.config.agent.policy': Buffer.from('package agent_policy').toString('base64'),
  };
  kataGuest(shim);
  shim.guest.answers.set('SetPolicy', {});
  await shim.create('c1', ['sleep'], { spec: { annotations } });
  const told = shim.guest.calls.filter((call) => /^[A-Z]/.test(call) && call !== 'Check');
  assert.is(told[0], 'SetPolicy');
  assert.ok(told.includes('CreateSandbox'));
  assert.equal(shim.guest.requests.find(({ method }) => method === 'SetPolicy')?.request, {
    policy: 'package agent_policy',
  });

  const other = await Harness.start();
  try {
    kataGuest(other);
    const thrown = await failure(other.create('c1', ['sleep'], { spec: { annotations } }));
    assert.match(thrown.message, /SetPolicy is not implemented/);
    assert.not.ok(other.guest.calls.includes('CreateSandbox'));
    assert.not.ok(existsSync(other.runtimeDirectory));
  } finally {
    await other.close();
  }
});

test("shared mounts of a container are told a Kata guest's agent with that container, and no other", async ({
  shim,
}) => {
  const mount = { name: 'm', src_ctr: 'app', src_path: '/var/data', dst_ctr: 'side', dst_path: '/data' };
  const other = { ...mount, name: 'o', dst_ctr: 'other' };
  kataGuest(shim);
  const annotations = {
    'io.katacontainers.config.runtime.shared_mounts': JSON.stringify([mount, other]),
    'io.kubernetes.cri.container-name': 'side',
  };
  await shim.create('c1', ['sleep'], { spec: { annotations } });
  const created = shim.guest.requests.find(({ method }) => method === 'CreateContainer')?.request;
  assert.equal((created as { shared_mounts: unknown }).shared_mounts, [mount]);
});

test("a size asked for by annotation is told as without effect where the pod's limit decides", async ({ shim }) => {
  const name = 'io.katacontainers.config.hypervisor.default_memory';
  const lines = `[hypervisor.qemu]\nenable_annotations = ["default_memory"]\n`;
  writeFileSync(join(shim.directory, 'configuration.toml'), lines);
  const annotations = { [name]: '300' };
  const resources = { memory: { limit: 100 * 1024 * 1024 } };
  await shim.create('c1', ['sleep'], {
    spec: { annotations, linux: { resources, namespaces: [{ type: 'network' }] } },
  });
  assert.ok(shim.log.lines.some((line) => line.includes(`${name} (the pod has a limit, and gets 228 MiB for it)`)));

  const free = await Harness.start();
  try {
    writeFileSync(join(free.directory, 'configuration.toml'), lines);
    await free.create('c1', ['sleep'], { spec: { annotations } });
    assert.not.ok(free.log.lines.some((line) => line.includes('without effect')));
  } finally {
    await free.close();
  }
});

test('what a container asks of its swap is told as missing', async ({ shim }) => {
  const annotations = { 'io.katacontainers.container.resource.swappiness': '60' };
  await shim.create('c1', ['sleep'], { spec: { annotations } });
  assert.ok(shim.log.lines.some((line) => line.includes('resource.swappiness') && line.includes('no swap device')));
});

test('our own guest, which follows no policy, is not started with one', async ({ shim }) => {
  const annotations = { 'io.katacontainers.config.agent.policy': 'cGFja2FnZSBh' };
  const thrown = await failure(shim.create('c1', ['sleep'], { spec: { annotations } }));
  assert.match(thrown.message, /agent\.kata\.policy is set: our own guest's agent follows no policy/);
  assert.equal(shim.guest.calls, []);
});

test("a NIC that Kata's agent does not find at once is told again; another failure undoes the sandbox", async ({
  shim,
}) => {
  kataGuest(shim);
  shim.guest.nics.push('eth0');
  shim.guest.failures.set('UpdateInterface', new KataError('internal', 'Link not found (02:00)'));
  const creating = shim.create('c1', ['sleep'], { spec: network('/run/netns/pod') });
  while (calls(shim, 'UpdateInterface').length < 3) await sleep(1);
  shim.guest.failures.clear();
  await creating;

  const other = await Harness.start();
  try {
    other.guest.nics.push('eth0');
    other.guest.failures.set('UpdateRoutes', new KataError('internal', 'no such route'));
    assert.match((await failure(other.create('c1', ['sleep'], { spec: network('/x') }))).message, 'no such route');
    assert.is(other.guest.network?.closed, 1);
    assert.not.ok(existsSync(other.runtimeDirectory));
  } finally {
    await other.close();
  }
});

test('the cgroup is entered before anything is started, and left when all has ended', async ({ shim }) => {
  let before: readonly string[] = [];
  shim.guest.hypervisor.beforeAnswer = async () => {
    before = [...shim.guest.cgroup.calls];
  };
  await shim.create('c1', ['sleep']);
  assert.equal(before, ['prepare']);
  assert.equal(shim.guest.cgroup.calls, ['prepare', `place ${process.pid}`]);
  assert.equal(stateOf(shim)?.cgroups, ['/sys/fs/cgroup/fake']);
  await shim.call('Delete', { id: 'c1' });
  assert.is(shim.guest.cgroup.calls.at(-1), 'remove');
});

test('a cgroup that cannot hold the VM is told, and nothing is started', async ({ shim }) => {
  shim.guest.cgroup.failure = new KataError('failed_precondition', 'a limit of 10 MiB cannot hold 256 MiB');
  assert.match((await failure(shim.create('c1', ['true']))).message, 'cannot hold 256 MiB');
  assert.is(shim.guest.hypervisor.pid, 0);
  assert.equal(shim.guest.cgroup.calls, ['prepare', 'remove']);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test('the state file names the VMM before it answers', async ({ shim }) => {
  let named: number | undefined;
  shim.guest.hypervisor.beforeAnswer = async () => {
    named = stateOf(shim)?.children.find(({ name }) => name === 'qemu')?.pid;
  };
  await shim.create('c1', ['sleep']);
  assert.is(named, process.pid);
});

test('hooks run on the host in their places, with the VMM as the process', async ({ shim }) => {
  const note = (name: string) => `cat >${name}.json; echo ${name} >>order`;
  const kinds = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];
  const bundle = join(shim.directory, 'bundles', 'c1');
  await shim.create('c1', ['sleep'], { spec: hooks(Object.fromEntries(kinds.map((kind) => [kind, [note(kind)]]))) });
  const order = (): string[] => readFileSync(join(bundle, 'order'), 'utf8').trim().split('\n');
  assert.equal(order(), ['prestart', 'createRuntime']);
  const state = JSON.parse(readFileSync(join(bundle, 'prestart.json'), 'utf8'));
  assert.equal([state.id, state.pid, state.bundle, state.status], ['c1', process.pid, bundle, 'creating']);
  await shim.call('Start', { id: 'c1' });
  assert.equal(order().slice(2), ['poststart']);
  await shim.call('Delete', { id: 'c1' });
  assert.equal(order().slice(3), ['poststop']);
});

test('a failing hook of the start undoes all; a failing poststart or poststop changes nothing', async ({ shim }) => {
  const failed = await failure(
    shim.create('c1', ['true'], { spec: hooks({ createRuntime: ['echo no >&2; exit 1'] }) }),
  );
  assert.match(failed.message, /CreateRuntime hook \/bin\/sh failed with status 1: no/);
  assert.not.ok(existsSync(shim.runtimeDirectory));
  assert.equal(calls(shim, 'CreateSandbox'), []);

  const other = await Harness.start();
  try {
    await other.create('c1', ['sleep'], { spec: hooks({ poststart: ['exit 1'], poststop: ['exit 1'] }) });
    await other.call('Start', { id: 'c1' });
    await other.call('Delete', { id: 'c1' });
    assert.is(other.log.lines.filter((line) => line.includes('a hook failed')).length, 2);
  } finally {
    await other.close();
  }
});

test('a network that a hook configures is told to the guest', async ({ shim }) => {
  // The fake's namespace fills when a hook says so.
  const bundle = join(shim.directory, 'bundles', 'c1');
  const network = shim.guest.nics;
  const wait = (async () => {
    while (!existsSync(join(bundle, 'ready'))) await sleep(1);
    network.push('eth0');
  })();
  const script = ': >ready; while ! [ -e go ]; do sleep 0.01; done';
  const creating = shim.create('c1', ['sleep'], { spec: hooks({ prestart: [script] }) });
  await wait;
  (await import('node:fs')).writeFileSync(join(bundle, 'go'), '');
  await creating;
  assert.equal(calls(shim, 'UpdateInterface', 'CreateSandbox').toSorted(), ['CreateSandbox', 'UpdateInterface']);
});

test('a pod gets shared memory, a container by itself keeps its own', async ({ shim }) => {
  const storages = (harness: Harness): string[] => {
    const { request } = harness.guest.requests.find(({ method }) => method === 'CreateSandbox') ?? {};
    return (request as CreateSandboxRequest).storages.map(({ source }) => source);
  };
  await shim.create('c1', ['sleep']);
  assert.equal(storages(shim), []);
  const pod = await Harness.start('p1');
  try {
    const annotations = { 'io.kubernetes.cri.container-type': 'sandbox' };
    await pod.create('p1', ['sleep'], { spec: { annotations, linux: { namespaces: [{ type: 'network' }] } } });
    assert.equal(storages(pod), ['shm']);
  } finally {
    await pod.close();
  }
});

test('the directory of a sandbox is ours alone', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  const { directory } = identify('/run/containerd.sock', 'test', 'c1', shim.runtimeDirectory);
  assert.is(statSync(directory).mode & 0o777, 0o700);
});

test.run();
