/** Pods: many containers in one virtual machine, by either of containerd's ways. */
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { encode, type Init } from '../../../host/proto/codec.ts';
import type { CreateContainerRequest, CreateSandboxRequest } from '../../../host/proto/messages/agent.ts';
import { PodSandboxConfig } from '../../../host/proto/messages/cri.ts';
import { Options } from '../../../host/proto/messages/runtimeoptions.ts';
import { MAX_TERMINATION_BYTES } from '../../../host/sandbox/termination.ts';
import { FakeGuest } from '../sandbox/fake-guest.ts';
import { failure, Harness } from './harness.ts';

const POD = 'p1';
const STOPPED = 3;
/** How long a caller waits who then goes, ms. */
const PATIENCE_MS = 500;
const CONTAINERD = (type: 'sandbox' | 'container') => ({
  'io.kubernetes.cri.container-type': type,
  'io.kubernetes.cri.sandbox-id': POD,
});
/** Ways in which engines of the CRI tell a container's type and sandbox. */
const ENGINES: readonly (readonly [string, (type: 'sandbox' | 'container') => Record<string, string>])[] = [
  ['containerd', (type) => CONTAINERD(type)],
  ['CRI-O', (type) => ({ 'io.kubernetes.cri-o.ContainerType': type, 'io.kubernetes.cri-o.SandboxID': POD })],
  [
    'dockershim',
    (type) => ({
      'io.kubernetes.docker.type': type === 'sandbox' ? 'podsandbox' : type,
      'io.kubernetes.sandbox.id': POD,
    }),
  ],
];

const test = suite<{ shim: Harness }>('pods');

test.before.each(async (context) => {
  context.shim = await Harness.start(POD);
});
test.after.each(async ({ shim }) => {
  await shim.close();
});

function spec(annotations: Record<string, string>): { spec: Record<string, unknown> } {
  return { spec: { annotations, linux: { namespaces: [{ type: 'network' }] } } };
}

async function run(shim: Harness, id: string, args: readonly string[] = ['sleep']): Promise<void> {
  await shim.create(id, args, spec(CONTAINERD(id === POD ? 'sandbox' : 'container')));
  await shim.call('Start', { id });
}

function config(init: Init<PodSandboxConfig> = {}): { type_url: string; value: Uint8Array } {
  return { type_url: 'runtime.v1.PodSandboxConfig', value: encode(PodSandboxConfig, init) };
}

/** A pod of the Sandbox API that runs. */
async function startPod(shim: Harness, init: Init<PodSandboxConfig> = {}): Promise<void> {
  const request = { sandbox_id: POD, bundle_path: shim.directory, options: config(init), netns_path: '/run/netns/p1' };
  await shim.pod('CreateSandbox', request);
  await shim.pod('StartSandbox', { sandbox_id: POD });
}

/** What the guest was asked to create. */
function created(shim: Harness, id: string): CreateContainerRequest {
  const requests = shim.guest.requests.filter(({ method }) => method === 'CreateContainer');
  return requests
    .map(({ request }) => request as CreateContainerRequest)
    .find((each) => each.container_id === id) as never;
}

for (const [engine, annotations] of ENGINES) {
  test(`${engine}'s annotations put containers into the pod's virtual machine`, async ({ shim }) => {
    await shim.create(POD, ['sleep'], spec(annotations('sandbox')));
    await shim.create('a', ['sleep'], spec(annotations('container')));
    assert.is(shim.guest.calls.filter((call) => call === 'CreateSandbox').length, 1);
    assert.is((await shim.call('State', { id: 'a' })).pid, (await shim.call('State', { id: POD })).pid);
  });
}

test('containers come and go in a live pod, and the others stay', async ({ shim }) => {
  await run(shim, POD);
  await run(shim, 'init', ['true']);
  assert.is((await shim.call('Wait', { id: 'init' })).exit_status, 0);
  await shim.call('Delete', { id: 'init' });
  await shim.call('Shutdown', { id: 'init' });
  await run(shim, 'sidecar');
  await run(shim, 'app-0', ['exit', '7']);
  assert.is((await shim.call('Wait', { id: 'app-0' })).exit_status, 7);
  await run(shim, 'app-1');
  await shim.call('Delete', { id: 'app-0' });
  await shim.call('Delete', { id: 'sidecar' });
  assert.is((await shim.call('State', { id: 'app-1' })).status, 2);
  assert.is(shim.guest.calls.filter((call) => call === 'RemoveContainer').length, 3);
  assert.equal([...shim.guest.share.roots].sort(), ['app-1', POD]);
  assert.equal([shim.exited, shim.guest.hypervisor.stopped], [0, 0]);
});

test("the sandbox's end ends every container as killed, execs first", async ({ shim }) => {
  await run(shim, POD);
  await run(shim, 'a');
  await run(shim, 'b');
  const waiting = ['a', 'b', POD].map((id) => shim.call('Wait', { id }));
  await shim.call('Kill', { id: POD, signal: 9 });
  for (const exit of await Promise.all(waiting)) assert.is(exit.exit_status, 137);
  for (const id of ['a', 'b', POD]) {
    await shim.call('Delete', { id });
    await shim.call('Shutdown', { id });
  }
  assert.is(shim.exited, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test('a container of another pod, and one whose pod has ended, are refused', async ({ shim }) => {
  const other = { ...CONTAINERD('container'), 'io.kubernetes.cri.sandbox-id': 'p2' };
  await run(shim, POD);
  assert.match((await failure(shim.create('x', ['true'], spec(other)))).message, /sandbox p2, which does not run here/);
  await shim.guest.die();
  assert.is((await shim.call('Wait', { id: POD })).exit_status, 137);
  const late = await failure(shim.create('a', ['true'], spec(CONTAINERD('container'))));
  assert.match(late.message, /has ended/);
  assert.is((await failure(shim.call('State', { id: 'a' }))).code, 'not_found');
});

test('a Create that the end of the sandbox overtakes fails, and leaves nothing', async ({ shim }) => {
  await run(shim, POD);
  shim.guest.silent.add('CreateContainer');
  const creating = failure(shim.create('a', ['true'], spec(CONTAINERD('container'))));
  while (shim.guest.calls.filter((call) => call === 'CreateContainer').length < 2) await sleep(1);
  await shim.guest.die();
  assert.is((await creating).code, 'unavailable');
  assert.not.ok(shim.guest.share.roots.has('a'));
  assert.is((await failure(shim.call('State', { id: 'a' }))).code, 'not_found');
});

test('Delete during Create gives it up; nothing of the container is left', async ({ shim }) => {
  await run(shim, POD);
  shim.guest.hold('CreateContainer');
  const creating = failure(shim.create('a', ['true'], spec(CONTAINERD('container'))));
  while (shim.guest.calls.filter((call) => call === 'CreateContainer').length < 2) await sleep(1);
  const deleting = failure(shim.call('Delete', { id: 'a' }));
  await sleep(5);
  shim.guest.release('CreateContainer');
  assert.is((await creating).code, 'cancelled');
  assert.is((await deleting).code, 'not_found');
  assert.ok(shim.guest.calls.includes('RemoveContainer'));
  assert.not.ok(shim.guest.share.roots.has('a'));
  assert.not.ok(shim.events.some(({ event }) => event.container_id === 'a'));
});

test('a Create whose caller has gone is undone', async ({ shim }) => {
  await run(shim, POD);
  shim.guest.hold('CreateContainer');
  const begun = (): boolean => shim.guest.calls.filter((call) => call === 'CreateContainer').length > 1;
  let id = '';
  // However slow the machine: the caller stays until the guest has been asked.
  for (let patience = PATIENCE_MS; !begun(); patience *= 2) {
    id = `a${patience}`;
    const gone = failure(shim.create(id, ['true'], { ...spec(CONTAINERD('container')), timeoutMs: patience }));
    assert.is((await gone).code, 'deadline_exceeded');
  }
  shim.guest.release('CreateContainer');
  while (!shim.guest.calls.includes('RemoveContainer')) await sleep(1);
  while (shim.guest.share.roots.has(id)) await sleep(1);
  assert.is((await failure(shim.call('State', { id }))).code, 'not_found');
});

test('a pod whose caller has gone is taken down, and its shim ends', async ({ shim }) => {
  await run(shim, POD);
  let booted = false;
  for (let patience = PATIENCE_MS; !booted; patience *= 2) {
    const other = await Harness.start(POD);
    try {
      other.guest.silent.add('Check');
      const late = failure(other.create(POD, ['true'], { ...spec(CONTAINERD('sandbox')), timeoutMs: patience }));
      assert.is((await late).code, 'deadline_exceeded');
      booted = other.guest.calls.includes('Check');
      while (existsSync(other.runtimeDirectory)) await sleep(1);
      if (booted) assert.is(other.guest.hypervisor.stopped, 1);
      // A containerd that was started anew has forgotten the container: it never says Shutdown.
      while (other.exited === 0) await sleep(10);
    } finally {
      await other.close();
    }
  }
  assert.is(shim.exited, 0, 'a shim that has other containers stays');
});

test('a shim that is asked for nothing ends', async () => {
  const idle = await Harness.start(POD);
  try {
    while (idle.exited === 0) await sleep(10);
  } finally {
    await idle.close();
  }
});

test('out of memory is told before the end it led to', async ({ shim }) => {
  await run(shim, POD);
  await run(shim, 'a');
  const waiting = shim.call('Wait', { id: 'a' });
  shim.guest.outOfMemory('a');
  shim.guest.process('a').end(137);
  await waiting;
  const names = shim.events.filter(({ event }) => event.container_id === 'a').map(({ name }) => name);
  assert.equal(names, ['TaskCreate', 'TaskStart', 'TaskOOM', 'TaskExit']);
});

test('an end by another SIGKILL is told without that word, and ids the guest invents are not told', async ({
  shim,
}) => {
  await run(shim, POD);
  await run(shim, 'a');
  shim.guest.outOfMemory('nobody');
  shim.guest.process('a').end(137);
  assert.is((await shim.call('Wait', { id: 'a' })).exit_status, 137);
  assert.not.ok(shim.names().includes('TaskOOM'));
});

test('a paused container is killed', async ({ shim }) => {
  await run(shim, POD);
  await run(shim, 'a');
  await shim.call('Pause', { id: 'a' });
  await shim.call('Kill', { id: 'a', signal: 9 });
  assert.is((await shim.call('Wait', { id: 'a' })).exit_status, 137);
  assert.is((await shim.call('State', { id: 'a' })).status, STOPPED);
  assert.is((await failure(shim.call('Kill', { id: 'a', signal: 9 }))).code, 'not_found');
});

test('Sandbox API: a pod without a pause container, from its configuration to its end', async ({ shim }) => {
  shim.guest.nics.push('eth0');
  const dns = { servers: ['10.0.0.10'], searches: ['svc', 'local'], options: ['ndots:5'] };
  await startPod(shim, { hostname: 'web', dns_config: dns });
  const status = await shim.pod('SandboxStatus', { sandbox_id: POD });
  assert.equal([status.state, status.pid], ['SANDBOX_READY', process.pid]);
  assert.ok(Number(status.created_at?.seconds) > 0);
  await shim.pod('PingSandbox', { sandbox_id: POD });
  const { platform } = await shim.pod('Platform', { sandbox_id: POD });
  assert.equal([platform?.os, platform?.architecture], ['linux', process.arch === 'x64' ? 'amd64' : process.arch]);
  const told = shim.guest.requests.find(({ method }) => method === 'CreateSandbox')?.request as CreateSandboxRequest;
  assert.is(told.hostname, 'web');
  assert.equal(told.dns, ['search svc local', 'nameserver 10.0.0.10', 'options ndots:5']);
  assert.is(shim.guest.network?.namespace, '/run/netns/p1');

  const waiting = shim.pod('WaitSandbox', { sandbox_id: POD });
  await run(shim, 'a');
  const { metrics } = await shim.pod('SandboxMetrics', { sandbox_id: POD });
  assert.match(metrics?.data?.type_url ?? '', /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
  await shim.call('Delete', { id: 'a' });
  await shim.call('Shutdown', { id: 'a' });
  assert.is(shim.exited, 0, 'the pod outlives its last container');
  for (let i = 0; i < 3; i++) await shim.pod('StopSandbox', { sandbox_id: POD });
  assert.is((await waiting).exit_status, 0);
  assert.is((await shim.pod('SandboxStatus', { sandbox_id: POD })).state, 'SANDBOX_NOTREADY');
  assert.is((await failure(shim.pod('PingSandbox', { sandbox_id: POD }))).code, 'unavailable');
  assert.is((await failure(shim.pod('StartSandbox', { sandbox_id: POD }))).code, 'failed_precondition');
  await shim.pod('ShutdownSandbox', { sandbox_id: POD });
  assert.is(shim.exited, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test('Sandbox API: StopSandbox ends whatever state there is', async ({ shim }) => {
  await shim.pod('StopSandbox', { sandbox_id: POD });
  const request = { sandbox_id: POD, bundle_path: shim.directory, options: config(), netns_path: '/run/netns/p1' };
  await shim.pod('CreateSandbox', request);
  shim.guest.silent.add('Check');
  const starting = failure(shim.pod('StartSandbox', { sandbox_id: POD }));
  while (!shim.guest.calls.includes('Check')) await sleep(1);
  await shim.pod('StopSandbox', { sandbox_id: POD });
  assert.match((await starting).message, /given up|nobody/);
  assert.is((await shim.pod('WaitSandbox', { sandbox_id: POD })).exit_status, 0);
  assert.not.ok(existsSync(shim.runtimeDirectory));
  await shim.pod('ShutdownSandbox', { sandbox_id: POD });
  assert.is(shim.exited, 1);
});

test('Sandbox API: a virtual machine that dies is told as killed, with all in it', async ({ shim }) => {
  await startPod(shim);
  await run(shim, 'a');
  const waiting = [shim.pod('WaitSandbox', { sandbox_id: POD }), shim.call('Wait', { id: 'a' })] as const;
  await shim.guest.die();
  for (const exit of await Promise.all(waiting)) assert.is(exit.exit_status, 137);
  assert.is((await shim.pod('SandboxStatus', { sandbox_id: POD })).state, 'SANDBOX_NOTREADY');
  await shim.call('Delete', { id: 'a' });
});

test('a pod whose files are served no more is told as killed, with all in it', async ({ shim }) => {
  await startPod(shim);
  await run(shim, 'a');
  const waiting = [shim.pod('WaitSandbox', { sandbox_id: POD }), shim.call('Wait', { id: 'a' })] as const;
  shim.guest.share.endDaemon();
  for (const exit of await Promise.all(waiting)) assert.is(exit.exit_status, 137);
  await shim.call('Delete', { id: 'a' });
});

test('Sandbox API: what cannot be is refused', async ({ shim }) => {
  const request = { sandbox_id: POD, bundle_path: shim.directory, netns_path: '' };
  const node = { linux: { security_context: { namespace_options: { network: 2 } } } };
  const create = (more: object) => failure(shim.pod('CreateSandbox', { ...request, ...more }));
  assert.is(
    (await create({ options: { type_url: 'other.Config', value: new Uint8Array(0) } })).code,
    'invalid_argument',
  );
  assert.is((await create({ options: { ...config(), value: Buffer.from([0xff]) } })).code, 'invalid_argument');
  assert.is((await create({ options: config(), bundle_path: 'x' })).code, 'invalid_argument');
  assert.is((await create({ options: config(), sandbox_id: 'p2' })).code, 'not_found');
  for (const method of ['StartSandbox', 'SandboxStatus', 'WaitSandbox', 'PingSandbox', 'SandboxMetrics'] as const) {
    assert.is((await failure(shim.pod(method, { sandbox_id: POD }))).code, 'not_found', method);
  }
  await shim.pod('CreateSandbox', { ...request, options: config(node) });
  assert.match((await failure(shim.pod('StartSandbox', { sandbox_id: POD }))).message, /host's network/);
  assert.is((await create({ options: config() })).code, 'already_exists');
});

test("Sandbox API: files of the pod that nobody made are the sandbox's to make", async ({ shim }) => {
  await startPod(shim, { hostname: 'web', dns_config: { servers: ['10.0.0.10'] } });
  const bind = (destination: string) => ({
    destination,
    type: 'bind',
    // containerd makes a directory of what it does not find.
    source: destination === '/etc/hosts' ? shim.directory : `/nowhere${destination}`,
    options: ['bind'],
  });
  const mounts = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf'].map(bind);
  await shim.create('a', ['true'], { spec: { ...spec(CONTAINERD('container')).spec, mounts } });
  const texts = shim.guest.share.volumes.map((line) => {
    const path = line.split(' ')[1] ?? '';
    return [path.slice(path.lastIndexOf('/') + 1), readFileSync(path, 'utf8')];
  });
  assert.equal(texts.slice(1), [
    ['hostname', 'web\n'],
    ['resolv.conf', 'nameserver 10.0.0.10\n'],
  ]);
  assert.equal(texts[0], ['hosts', existsSync('/etc/hosts') ? readFileSync('/etc/hosts', 'utf8') : '']);
});

test('Sandbox API: a spec that leaves the files and the memory of the pod out gets them', async ({ shim }) => {
  await startPod(shim, { hostname: 'web' });
  const mounts = [
    { destination: '/etc/hosts', type: 'bind', source: '/etc/passwd', options: ['rbind'] },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['size=64k'] },
  ];
  await shim.create('a', ['true'], { spec: { ...spec(CONTAINERD('container')).spec, mounts } });
  const sources = shim.guest.share.volumes.map((line) => line.split(' ')[1] ?? '');
  assert.is(sources[0], '/etc/passwd', 'its own go first');
  assert.equal(
    sources.slice(1).map((path) => path.slice(path.lastIndexOf('/') + 1)),
    ['hostname', 'resolv.conf'],
  );
  const made = created(shim, 'a').OCI?.Mounts ?? [];
  assert.equal(made.map(({ destination }) => destination).sort(), [
    '/dev/shm',
    '/etc/hostname',
    '/etc/hosts',
    '/etc/resolv.conf',
  ]);
  assert.is(made.find(({ destination }) => destination === '/dev/shm')?.type, 'bind');
});

test('Sandbox API: sysctls of the pod are set with its first container', async ({ shim }) => {
  const sysctls = { 'net.core.somaxconn': '1024' };
  await startPod(shim, { linux: { sysctls } });
  shim.guest.failures.set('CreateContainer', new KataError('internal', 'not yet'));
  await failure(shim.create('a', ['true'], spec(CONTAINERD('container'))));
  shim.guest.failures.clear();
  for (const id of ['b', 'c']) await shim.create(id, ['true'], spec(CONTAINERD('container')));
  assert.equal({ ...created(shim, 'a').OCI?.Linux?.Sysctl }, sysctls);
  assert.equal({ ...created(shim, 'b').OCI?.Linux?.Sysctl }, sysctls, 'the first one failed');
  assert.equal({ ...created(shim, 'c').OCI?.Linux?.Sysctl }, {});
});

test('a container that has ended is measured until it is deleted', async ({ shim }) => {
  await run(shim, POD);
  await run(shim, 'a', ['true']);
  await shim.call('Wait', { id: 'a' });
  assert.match((await shim.call('Stats', { id: 'a' })).stats?.type_url ?? '', /Metrics$/);
  await shim.call('Delete', { id: 'a' });
  assert.is((await failure(shim.call('Stats', { id: 'a' }))).code, 'not_found');
  await run(shim, 'b');
  await shim.guest.die();
  await shim.call('Wait', { id: 'b' });
  assert.is((await failure(shim.call('Stats', { id: 'b' }))).code, 'failed_precondition');
});

test('where volumes are copies, a termination message is fetched before the end is told', async ({ shim }) => {
  shim.guest.share.copies = true;
  await run(shim, POD);
  const file = `${shim.directory}/message`;
  const end = async (id: string, message: string): Promise<string> => {
    const mounts = [{ destination: '/dev/termination-log', type: 'bind', source: file, options: ['rbind'] }];
    await shim.create(id, ['true'], { spec: { ...spec(CONTAINERD('container')).spec, mounts } });
    shim.guest.messages.set(id, message);
    await shim.call('Start', { id });
    await shim.call('Wait', { id });
    return readFileSync(file, 'utf8');
  };
  writeFileSync(file, 'before');
  assert.is(await end('a', 'why'), 'why');
  assert.is(await end('b', ''), 'why', 'no message changes nothing');
  assert.is(await end('c', 'x'.repeat(MAX_TERMINATION_BYTES + 1)), 'x'.repeat(MAX_TERMINATION_BYTES));
  rmSync(file);
  const precious = `${shim.directory}/precious`;
  writeFileSync(precious, 'precious');
  symlinkSync(precious, file);
  assert.is(await end('d', 'through the link'), 'precious');
  assert.ok(shim.log.lines.some((line) => line.includes('termination message')));
});

test('a handler names its configuration on the stdin of start; what Create names goes first', async () => {
  const named = (config_path: string) => ({
    type_url: 'runtimeoptions.v1.Options',
    value: Buffer.from(encode(Options, { config_path })),
  });
  const harness = await Harness.start(POD, new FakeGuest(), named('/nowhere/start.toml'));
  try {
    const bundle = harness.bundle(POD, ['true'], spec(CONTAINERD('sandbox')).spec);
    const create = (options?: ReturnType<typeof named>) =>
      failure(harness.call('Create', { id: POD, bundle, options }));
    assert.match((await create()).message, '/nowhere/start.toml');
    assert.match((await create(named('/nowhere/create.toml'))).message, '/nowhere/create.toml');
    const request = { sandbox_id: POD, bundle_path: harness.directory, options: config(), netns_path: '/run/netns/p1' };
    await harness.pod('CreateSandbox', request);
    assert.match((await failure(harness.pod('StartSandbox', { sandbox_id: POD }))).message, '/nowhere/start.toml');
  } finally {
    await harness.close();
  }
});

test('options with which containerd joins a container to its sandbox are taken', async ({ shim }) => {
  await startPod(shim);
  const bundle = shim.bundle('a', ['true'], spec(CONTAINERD('container')).spec);
  const options = { type_url: 'containerd.runc.v1.Options', value: Buffer.from([0x72, 1, 0x78]) };
  await shim.call('Create', { id: 'a', bundle, options });
  const { request } = shim.guest.requests.find(({ method }) => method === 'CreateContainer') ?? {};
  assert.is((request as CreateContainerRequest).container_id, 'a');
});

test.run();
