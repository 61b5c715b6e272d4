import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CALL_TIMEOUT_MS } from '../../../host/agent/client.ts';
import { KataError } from '../../../host/error.ts';
import type { CreateContainerRequest } from '../../../host/proto/messages/agent.ts';
import { Fifo, failure, Harness, writeAndClose } from './harness.ts';

const test = suite<{ shim: Harness }>('Task service');
const PROCESS = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
const RESOURCES = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
const OWN_NETWORK = { linux: { namespaces: [{ type: 'network' }] } };
const CREATED = 1;
const RUNNING = 2;
const STOPPED = 3;
const PAUSED = 4;

test.before.each(async (context) => {
  context.shim = await Harness.start();
});
test.after.each(async ({ shim }) => {
  await shim.close();
});

function json(type_url: string, value: unknown): { type_url: string; value: Uint8Array } {
  return { type_url, value: Buffer.from(JSON.stringify(value)) };
}

async function exec(shim: Harness, id: string, exec_id: string, args: readonly string[]): Promise<Fifo> {
  const stdout = shim.fifo(`${id}-${exec_id}-stdout`);
  await shim.call('Exec', { id, exec_id, stdout: stdout.path, spec: json(PROCESS, { args, cwd: '/' }) });
  return stdout;
}

test('a container runs, its output comes, and events are in order', async ({ shim }) => {
  const stdout = await shim.create('c1', ['echo', 'hello']);
  assert.is((await shim.call('State', { id: 'c1' })).status, CREATED);
  const waiting = shim.call('Wait', { id: 'c1' });
  const { pid } = await shim.call('Start', { id: 'c1' });
  assert.is(pid, process.pid);
  assert.is(await stdout.text(), 'hello\n');
  const { exit_status, exited_at } = await waiting;
  assert.is(exit_status, 0);
  assert.ok(Number(exited_at?.seconds) > 0);
  assert.is((await shim.call('State', { id: 'c1' })).status, STOPPED);
  await shim.call('Delete', { id: 'c1' });
  await shim.call('Shutdown', { id: 'c1' });
  assert.is(shim.exited, 1);
  assert.equal(shim.names(), ['TaskCreate', 'TaskStart', 'TaskExit', 'TaskDelete']);
  assert.is(shim.guest.hypervisor.stopped, 1);
  assert.is(shim.guest.share.closed, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory), 'the directory of all sandboxes is gone');
});

test('output larger than a pipe arrives whole before the exit is told', async ({ shim }) => {
  const size = 3 * 1024 * 1024 + 17;
  const stdout = await shim.create('c1', ['zeros', String(size)]);
  await shim.call('Start', { id: 'c1' });
  const waiting = shim.call('Wait', { id: 'c1' });
  const bytes = await stdout.bytes();
  assert.is(bytes.length, size);
  assert.is((await waiting).exit_status, 0);
});

test('stdin reaches the process and its end ends it', async ({ shim }) => {
  const stdin = new Fifo(`${shim.directory}/c1-stdin`);
  const stdout = await shim.create('c1', ['cat'], { stdin: stdin.path });
  await shim.call('Start', { id: 'c1' });
  writeAndClose(stdin.path, 'through the guest');
  await shim.call('CloseIO', { id: 'c1', stdin: true });
  assert.is(await stdout.text(), 'through the guest');
  assert.is((await shim.call('Wait', { id: 'c1' })).exit_status, 0);
});

test('CloseIO before Start does not block, and loses nothing that was written', async ({ shim }) => {
  const stdin = new Fifo(`${shim.directory}/c1-stdin`);
  const stdout = await shim.create('c1', ['cat'], { stdin: stdin.path });
  writeAndClose(stdin.path, 'early');
  await shim.call('CloseIO', { id: 'c1', stdin: true });
  await shim.call('Start', { id: 'c1' });
  assert.is(await stdout.text(), 'early');
  await shim.call('CloseIO', { id: 'c1', stdin: true });
});

test("CloseIO before an exec's Start answers at once, with its stdin at its end or without any", async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  const stdin = new Fifo(`${shim.directory}/e1-stdin`);
  const stdout = shim.fifo('e1-stdout');
  const spec = json(PROCESS, { args: ['cat'], cwd: '/' });
  await shim.call('Exec', { id: 'c1', exec_id: 'e1', stdin: stdin.path, stdout: stdout.path, spec });
  await shim.call('CloseIO', { id: 'c1', exec_id: 'e1', stdin: true });
  await shim.call('Start', { id: 'c1', exec_id: 'e1' });
  assert.is(await stdout.text(), '');
  assert.is((await shim.call('Wait', { id: 'c1', exec_id: 'e1' })).exit_status, 0);
  await exec(shim, 'c1', 'e2', ['sleep']);
  await shim.call('CloseIO', { id: 'c1', exec_id: 'e2', stdin: true });
});

test('execs run beside the init and end before it', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  const stdout = await exec(shim, 'c1', 'e1', ['echo', 'from an exec']);
  assert.is((await shim.call('State', { id: 'c1', exec_id: 'e1' })).status, CREATED);
  await shim.call('Start', { id: 'c1', exec_id: 'e1' });
  assert.is(await stdout.text(), 'from an exec\n');
  assert.is((await shim.call('Wait', { id: 'c1', exec_id: 'e1' })).exit_status, 0);
  await shim.call('Delete', { id: 'c1', exec_id: 'e1' });
  assert.is((await failure(shim.call('State', { id: 'c1', exec_id: 'e1' }))).code, 'not_found');

  await exec(shim, 'c1', 'e2', ['sleep']);
  await shim.call('Start', { id: 'c1', exec_id: 'e2' });
  const [first, second] = [shim.call('Wait', { id: 'c1', exec_id: 'e2' }), shim.call('Wait', { id: 'c1' })];
  // The guest's pid namespace ends with its init; so do the fake's processes.
  for (const process of shim.guest.processes.values()) process.end(137);
  assert.is((await first).exit_status, 137);
  assert.is((await second).exit_status, 137);
  assert.equal(shim.names(), [
    'TaskCreate',
    'TaskStart',
    'TaskExecAdded',
    'TaskExecStarted',
    'TaskExit',
    'TaskExecAdded',
    'TaskExecStarted',
    'TaskExit',
    'TaskExit',
  ]);
  const exits = shim.events.filter(({ name }) => name === 'TaskExit').map(({ event }) => event.id);
  assert.equal(exits, ['e1', 'e2', 'c1']);
});

test('twenty execs at once', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  const names = Array.from({ length: 20 }, (_, index) => `e${index}`);
  const texts = await Promise.all(
    names.map(async (name) => {
      const stdout = await exec(shim, 'c1', name, ['echo', name]);
      await shim.call('Start', { id: 'c1', exec_id: name });
      const text = await stdout.text();
      await shim.call('Wait', { id: 'c1', exec_id: name });
      await shim.call('Delete', { id: 'c1', exec_id: name });
      return text;
    }),
  );
  assert.equal(
    texts,
    names.map((name) => `${name}\n`),
  );
});

test('kill: by signal, of what ignores it, of what has ended', async ({ shim }) => {
  await shim.create('c1', ['stubborn']);
  await shim.call('Start', { id: 'c1' });
  await shim.call('Kill', { id: 'c1', signal: 15 });
  assert.is((await shim.call('State', { id: 'c1' })).status, RUNNING);
  await shim.call('Kill', { id: 'c1', signal: 9, all: true });
  assert.is((await shim.call('Wait', { id: 'c1' })).exit_status, 137);
  const again = await failure(shim.call('Kill', { id: 'c1', signal: 9 }));
  assert.is(again.code, 'not_found');
  assert.is(again.message, 'process already finished');
});

test('a container that never started can be killed and deleted', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Kill', { id: 'c1', signal: 15 });
  assert.is((await shim.call('Wait', { id: 'c1' })).exit_status, 137);
  assert.is((await shim.call('Delete', { id: 'c1' })).exit_status, 137);
});

test('Delete of a running container kills it; a second Delete joins the first', async ({ shim }) => {
  await shim.create('c1', ['stubborn']);
  await shim.call('Start', { id: 'c1' });
  const [one, two] = await Promise.all([shim.call('Delete', { id: 'c1' }), shim.call('Delete', { id: 'c1' })]);
  assert.is(one.exit_status, 137);
  assert.equal(two, one);
  assert.is(shim.names().filter((name) => name === 'TaskDelete').length, 1);
});

test('pause, resume, update, stats, pids, connect', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  await shim.call('Pause', { id: 'c1' });
  assert.is((await shim.call('State', { id: 'c1' })).status, PAUSED);
  assert.is((await failure(shim.call('Pause', { id: 'c1' }))).code, 'failed_precondition');
  await shim.call('Resume', { id: 'c1' });
  assert.is((await shim.call('State', { id: 'c1' })).status, RUNNING);
  await shim.call('Update', { id: 'c1', resources: json(RESOURCES, { memory: { limit: 1048576 } }) });
  const wrong = await failure(shim.call('Update', { id: 'c1', resources: json('some.Type', {}) }));
  assert.is(wrong.code, 'invalid_argument');
  assert.match(wrong.message, /some\.Type/);
  assert.match(
    (await shim.call('Stats', { id: 'c1' })).stats?.type_url ?? '',
    /^io\.containerd\.cgroups\.v[12]\.Metrics$/,
  );
  assert.equal(
    (await shim.call('Pids', { id: 'c1' })).processes.map(({ pid }) => pid),
    [process.pid],
  );
  const { shim_pid, task_pid } = await shim.call('Connect', { id: 'c1' });
  assert.equal([shim_pid, task_pid], [process.pid, process.pid]);
  assert.ok(shim.names().includes('TaskPaused') && shim.names().includes('TaskResumed'));
});

test('the VM dies: everything ends at once and can be deleted', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  await exec(shim, 'c1', 'e1', ['sleep']);
  await shim.call('Start', { id: 'c1', exec_id: 'e1' });
  const waits = [shim.call('Wait', { id: 'c1' }), shim.call('Wait', { id: 'c1', exec_id: 'e1' })];
  await shim.guest.die();
  assert.equal(
    (await Promise.all(waits)).map(({ exit_status }) => exit_status),
    [137, 137],
  );
  assert.is((await shim.call('State', { id: 'c1' })).status, STOPPED);
  assert.is((await failure(shim.call('Kill', { id: 'c1', signal: 9 }))).code, 'not_found');
  assert.is((await shim.call('Delete', { id: 'c1' })).exit_status, 137);
  await shim.call('Shutdown', { id: 'c1' });
  assert.is(shim.exited, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test('a pod: its containers join one VM, and end with it', async ({ shim }) => {
  const sandbox = {
    annotations: { 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': 'c1' },
  };
  const member = {
    annotations: { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 'c1' },
  };
  await shim.create('c1', ['sleep'], { spec: sandbox });
  await shim.call('Start', { id: 'c1' });
  const stdout = await shim.create('app', ['echo', 'app'], { spec: member });
  await shim.call('Start', { id: 'app' });
  assert.is(await stdout.text(), 'app\n');
  await shim.call('Wait', { id: 'app' });
  await shim.call('Delete', { id: 'app' });
  assert.equal([...shim.guest.share.roots], ['c1']);
  assert.ok(shim.guest.calls.includes('RemoveContainer'));
  assert.is(shim.guest.hypervisor.stopped, 0, 'the pod goes on');
  await shim.call('Shutdown', { id: 'app' });
  assert.is(shim.exited, 0, 'a shutdown for one container of several does nothing');

  await shim.create('app2', ['sleep'], { spec: member });
  await shim.call('Start', { id: 'app2' });
  const waiting = shim.call('Wait', { id: 'app2' });
  await shim.call('Kill', { id: 'c1', signal: 9 });
  assert.is((await waiting).exit_status, 137);
  assert.is(shim.guest.calls.filter((call) => call === 'CreateSandbox').length, 1);

  const stranger = { annotations: { ...member.annotations, 'io.kubernetes.cri.sandbox-id': 'other' } };
  const refused = await failure(shim.create('app3', ['sleep'], { spec: stranger }));
  assert.is(refused.code, 'failed_precondition');
});

test('what was created twice, never created, or asked for too early', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  assert.is(
    (await failure(shim.call('Create', { id: 'c1', bundle: shim.bundle('c1', ['true']) }))).code,
    'already_exists',
  );
  assert.is((await failure(exec(shim, 'c1', 'e1', ['true']))).code, 'failed_precondition');
  await shim.call('Start', { id: 'c1' });
  assert.is((await failure(shim.call('Start', { id: 'c1' }))).code, 'failed_precondition');
  await exec(shim, 'c1', 'e2', ['true']);
  const spec = json(PROCESS, { args: ['true'] });
  assert.is((await failure(shim.call('Exec', { id: 'c1', exec_id: 'e2/..', spec }))).code, 'invalid_argument');
  assert.is((await failure(shim.call('Exec', { id: 'c1', exec_id: 'e2', spec }))).code, 'already_exists');
  assert.is((await failure(shim.call('Kill', { id: 'c1', exec_id: 'e2', signal: 9 }))).code, 'not_found');
  assert.is((await shim.call('Delete', { id: 'c1', exec_id: 'e2' })).exit_status, 0);
  for (const method of ['State', 'Start', 'Delete', 'Pids', 'Wait', 'Stats', 'Pause', 'Kill'] as const) {
    const unknown = await failure(shim.call(method, { id: 'nobody' }));
    assert.is(unknown.code, 'not_found', method);
    assert.match(unknown.message, /nobody/);
  }
  assert.is((await failure(shim.call('Wait', { id: 'c1', exec_id: 'e9' }))).code, 'not_found');
  assert.is((await failure(shim.call('Checkpoint', { id: 'c1' }))).code, 'unimplemented');
  assert.is((await failure(shim.call('Kill', { id: 'c1', signal: 65 }))).code, 'invalid_argument');
});

for (const id of ['../x', 'a/b', '', '.', 'x'.repeat(77)]) {
  test(`an id like ${JSON.stringify(id.slice(0, 8))} is refused`, async ({ shim }) => {
    assert.is((await failure(shim.call('Create', { id, bundle: shim.directory }))).code, 'invalid_argument');
  });
}

test('bad bundles and options are told, and leave nothing', async ({ shim }) => {
  const { writeFileSync, readdirSync } = await import('node:fs');
  const bundle = shim.bundle('c1', ['true']);
  const options = { type_url: 'some.other.Options', value: new Uint8Array(0) };
  const unknown = await failure(shim.call('Create', { id: 'c1', bundle, options }));
  assert.is(unknown.code, 'invalid_argument');
  assert.match(unknown.message, /some\.other\.Options/);
  for (const [text, expected] of [
    ['not json', /config\.json/],
    ['{"root":{"path":"rootfs"}}', /process/],
    ['{"process":{"args":["x"]}}', /root/],
  ] as const) {
    writeFileSync(`${bundle}/config.json`, text);
    const failed = await failure(shim.call('Create', { id: 'c1', bundle }));
    assert.is(failed.code, 'invalid_argument', text);
    assert.match(failed.message, expected);
  }
  assert.is((await failure(shim.call('Create', { id: 'c1', bundle: 'relative' }))).code, 'invalid_argument');
  assert.not.ok(existsSync(shim.runtimeDirectory));
  assert.not.ok(readdirSync(shim.directory).includes('run'));
  assert.equal(shim.names(), []);
});

test('files of the host reach the guest as volumes, and one that cannot leaves nothing', async ({ shim }) => {
  const bind = (source: string, destination: string) => ({ destination, type: 'bind', source, options: ['rbind'] });
  const mounts = [bind('/srv/data', '/data'), bind('/srv/gone', '/gone')];
  shim.guest.share.volumeFailures.set('/srv/gone', new KataError('not_found', '/srv/gone: no such directory'));
  const refused = await failure(shim.create('c1', ['true'], { spec: { mounts, ...OWN_NETWORK } }));
  assert.equal([refused.code, refused.message], ['not_found', '/srv/gone: no such directory']);
  assert.equal(shim.guest.share.volumes, []);
  assert.not.ok(shim.guest.calls.includes('CreateContainer'));
  assert.not.ok(existsSync(shim.runtimeDirectory));

  const other = await Harness.start();
  try {
    await other.create('c1', ['true'], { spec: { mounts: mounts.slice(0, 1), ...OWN_NETWORK } });
    const { request } = other.guest.requests.find(({ method }) => method === 'CreateContainer') ?? {};
    const sent = (request as CreateContainerRequest).OCI?.Mounts.map(({ source }) => source);
    assert.equal(sent, ['/run/kata-containers/shared/containers/c1-1']);
    assert.equal(other.guest.share.volumes, ['c1 /srv/data']);
  } finally {
    await other.close();
  }
});

test('a failing rootfs undoes the VM', async ({ shim }) => {
  shim.guest.share.failure = new KataError('not_found', 'there is no rootfs at /nowhere');
  const failed = await failure(shim.create('c1', ['true']));
  assert.is(failed.code, 'not_found');
  assert.match(failed.message, /nowhere/);
  assert.is(shim.guest.hypervisor.stopped, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory));
  assert.is((await failure(shim.call('Delete', { id: 'c1' }))).code, 'not_found');
  await shim.call('Shutdown', { id: 'c1' });
  assert.is(shim.exited, 1);
});

test('a VM that does not start: its reason and its console reach the user', async ({ shim }) => {
  shim.guest.hypervisor.failure = new KataError('internal', 'QEMU says no');
  const failed = await failure(shim.create('c1', ['true']));
  assert.match(failed.message, /QEMU says no/);
  assert.match(failed.message, /Kernel panic - not syncing: a fake one/);
  assert.not.ok(existsSync(shim.runtimeDirectory));
});

test('Shutdown ends a Create whose guest never answers', async ({ shim }) => {
  shim.guest.silent.add('Check');
  const creating = failure(shim.create('c1', ['true']));
  while (!shim.guest.calls.includes('Check')) await sleep(1);
  assert.is((await failure(shim.call('Pids', { id: 'c1' }))).code, 'not_found');
  await shim.call('Shutdown', { id: 'c1' });
  assert.match((await creating).message, /given up|shut down/);
  assert.is(shim.exited, 1);
  assert.not.ok(existsSync(shim.runtimeDirectory));
  assert.ok(CALL_TIMEOUT_MS > 0);
});

test('a failing exec is told, and is not waited for for ever', async ({ shim }) => {
  await shim.create('c1', ['sleep']);
  await shim.call('Start', { id: 'c1' });
  shim.guest.failures.set('ExecProcess', new KataError('internal', 'executable file not found in $PATH'));
  await exec(shim, 'c1', 'e1', ['nothing']);
  const waiting = shim.call('Wait', { id: 'c1', exec_id: 'e1' });
  assert.match((await failure(shim.call('Start', { id: 'c1', exec_id: 'e1' }))).message, /executable file not found/);
  assert.is((await waiting).exit_status, 255);
});

test.run();
