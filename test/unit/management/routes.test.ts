/** The management socket of a shim with a fake guest: what each route answers, and to whom. */
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { type Answer, type RequestOptions, request } from '../../../host/management/client.ts';
import { MAX_RULES_BYTES } from '../../../host/management/guest-routes.ts';
import { listSandboxes } from '../../../host/sandbox/census.ts';
import { FakeGuest } from '../sandbox/fake-guest.ts';
import { Harness } from '../shim/harness.ts';

interface Context {
  shim: Harness;
  get: (path: string, options?: Partial<RequestOptions>) => Promise<Answer & { text: string }>;
}

const ESCAPE = '\u001b';
const POD = {
  'io.kubernetes.cri.container-type': 'sandbox',
  'io.kubernetes.cri.sandbox-name': 'web',
  'io.kubernetes.cri.sandbox-namespace': 'default',
  'io.kubernetes.cri.sandbox-uid': 'u-1',
  'io.kubernetes.cri.container-name': 'nginx',
};

const test = suite<Context>('routes of the management socket');

async function start(context: Context, configuration = ''): Promise<void> {
  const shim = await Harness.start('c1');
  context.shim = shim;
  if (configuration) writeFileSync(join(shim.directory, 'configuration.toml'), configuration, { mode: 0o600 });
  context.get = async (path, options = {}) => {
    const answer = await request(shim.managementSocket, { method: 'GET', path, ...options });
    return { ...answer, text: answer.body.toString() };
  };
  await shim.create('c1', ['sleep'], { spec: { annotations: POD } });
}

test.before.each((context) => start(context));
test.after.each(async ({ shim }) => shim.close());

test('the socket is there while the sandbox is, for its owner alone, and a link leads to it', async ({ shim, get }) => {
  const link = join(shim.directory, 'sbs/c1/shim-monitor.sock');
  assert.is(lstatSync(shim.managementSocket).mode & 0o777, 0o600);
  assert.is(readlinkSync(link), shim.managementSocket);
  assert.is(lstatSync(join(shim.directory, 'sbs')).mode & 0o777, 0o700);
  const [listed] = listSandboxes(shim.runtimeDirectory);
  assert.is(listed?.state.monitor, shim.managementSocket);
  assert.is(listed?.state.monitorLink, link);
  assert.is((await get('/sandbox')).status, 200);
  await shim.call('Kill', { id: 'c1', signal: 9, all: true });
  await shim.call('Delete', { id: 'c1' });
  assert.equal(
    [existsSync(shim.managementSocket), existsSync(link), existsSync(join(link, '..'))],
    [false, false, false],
  );
  const gone = await get('/sandbox').catch((thrown: KataError) => thrown.code);
  assert.is(gone, 'unavailable');
});

test('a peer that is somebody else gets nothing', async ({ shim, get }) => {
  shim.admits = false;
  const refused = await get('/sandbox').catch((thrown: KataError) => thrown.code);
  assert.is(refused, 'unavailable');
  assert.match(shim.log.lines.join('\n'), /the peer of a connection is not allowed/);
});

test('GET /sandbox', async ({ get, shim }) => {
  await shim.call('Start', { id: 'c1' });
  const { status, text } = await get('/sandbox');
  assert.is(status, 200);
  const view = JSON.parse(text);
  assert.equal(view.pod, { name: 'web', namespace: 'default', uid: 'u-1' });
  const { id, namespace, state, version, accelerator, transport } = view;
  assert.equal(
    [id, namespace, state, version, accelerator, transport],
    ['c1', 'test', 'running', '1.2.3', 'tcg', 'virtio-serial'],
  );
  assert.equal(view.pids, { shim: process.pid, qemu: process.pid });
  assert.ok(view.vcpus > 0 && view.memoryMib > 0 && view.createdAt > 0 && view.timeline.agent_ready > 0);
  const [container] = view.containers;
  assert.is(view.containers.length, 1);
  assert.equal([container.id, container.name, container.state, container.processes], ['c1', 'nginx', 'running', 1]);
  assert.ok(container.createdAt >= view.createdAt);
});

test('GET /console and /agent-url', async ({ get }) => {
  assert.match((await get('/console')).text, /Kernel panic/);
  assert.match((await get('/agent-url')).text, /agent\.sock$/);
});

test('GET /metrics: of the host, and of the guest as far as it makes sense', async ({ get, shim }) => {
  shim.guest.answers.set('GetMetrics', {
    metrics: '# HELP kata_guest_load x\nkata_guest_load{item="load1"} 0.5\nevil{sandbox_id="other"} 1\n\u001b[2J\n',
  });
  const { status, text } = await get('/metrics');
  assert.is(status, 200);
  assert.match(text, /^kata_shim_threads \d+$/m);
  assert.match(text, /^kata_shim_rpc_durations_histogram_milliseconds_count\{action="create"\} 1$/m);
  assert.match(text, /^kata_guest_load\{item="load1"\} 0\.5$/m);
  assert.not.ok(text.includes('evil') || text.includes(ESCAPE));
});

test('a guest that says too much, nonsense, or nothing, costs its own metrics only', async ({ get, shim }) => {
  const giant = Array.from({ length: 100_000 }, (_, n) => `kata_guest_x${n} 1`).join('\n');
  for (const metrics of [giant, '\0\u0001\ufffd'.repeat(100_000), 'kata_guest_load{item="'.repeat(50_000)]) {
    shim.guest.answers.set('GetMetrics', { metrics });
    const { status, body, text } = await get('/metrics');
    assert.is(status, 200);
    assert.ok(body.length < 1024 * 1024, `${body.length} bytes`);
    assert.match(text, /^kata_shim_threads \d+$/m);
    assert.not.ok(text.includes('\0'));
  }
  shim.guest.silent.add('GetMetrics');
  const [metrics, view] = await Promise.all([get('/metrics'), get('/sandbox')]);
  assert.equal([metrics.status, view.status], [200, 200]);
  assert.match(metrics.text, /^kata_shim_threads \d+$/m);
});

test('while the guest boots the host tells what it knows, and the guest is not waited for', async (context) => {
  await context.shim.close();
  const guest = new FakeGuest();
  guest.hold('Check');
  const shim = await Harness.start('c1', guest);
  context.shim = shim;
  const created = shim.create('c1', ['sleep']);
  const socket = shim.managementSocket;
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 2));
  const get = (path: string): Promise<Answer> => request(socket, { method: 'GET', path });
  assert.is(JSON.parse((await get('/sandbox')).body.toString()).state, 'booting');
  assert.match((await get('/console')).body.toString(), /panic/);
  const rules = await get('/iptables');
  assert.equal([rules.status, (await get('/metrics')).status], [501, 200]);
  guest.release('Check');
  await created;
  assert.is(JSON.parse((await get('/sandbox')).body.toString()).state, 'running');
});

test('GET and PUT of packet filter rules', async ({ get, shim }) => {
  const { answers, requests } = shim.guest;
  answers.set('GetIPTables', { data: Buffer.from('*filter\n:INPUT ACCEPT [0:0]\n\u001b]0;x\u0007COMMIT\n') });
  const rules = await get('/iptables');
  assert.equal([rules.status, rules.text], [200, '*filter\n:INPUT ACCEPT [0:0]\n\\x1b]0;x\\x07COMMIT\n']);
  answers.set('SetIPTables', { data: Buffer.from('whatever') });
  const set = await get('/ip6tables', { method: 'PUT', body: '*filter\nCOMMIT\n' });
  assert.equal([set.status, set.text], [200, '']);
  const sent = requests.find(({ method }) => method === 'SetIPTables')?.request as {
    is_ipv6: boolean;
    data: Uint8Array;
  };
  assert.equal([sent.is_ipv6, Buffer.from(sent.data).toString()], [true, '*filter\nCOMMIT\n']);
  assert.is((await get('/iptables', { method: 'PUT', body: '' })).status, 400);
  assert.is((await get('/iptables', { method: 'PUT', body: 'x'.repeat(MAX_RULES_BYTES + 1) })).status, 413);
  answers.set('GetIPTables', { data: Buffer.alloc(MAX_RULES_BYTES + 1, 'x') });
  assert.is((await get('/iptables')).status, 502);
  answers.delete('GetIPTables');
  const without = await get('/iptables');
  assert.is(without.status, 501);
  assert.match(without.text, /no iptables programs/);
});

test('our own guest gets iptables on a disk when somebody asks, once', async ({ get, shim }) => {
  const { answers, failures, hypervisor } = shim.guest;
  const assets = join(shim.directory, 'share/guest', process.arch === 'x64' ? 'amd64' : process.arch);
  writeFileSync(join(assets, 'netfilter.cpio'), 'an archive');
  failures.set('Add', new KataError('internal', 'cannot be unpacked'));
  assert.is((await get('/iptables')).status, 500);
  failures.delete('Add');
  shim.guest.added = () => answers.set('GetIPTables', { data: Buffer.from('*filter\n') });
  const all = await Promise.all(['/iptables', '/ip6tables', '/iptables'].map((path) => get(path)));
  assert.equal(
    all.map(({ status, text }) => [status, text]),
    Array(3).fill([200, '*filter\n']),
  );
  const plug = `plug netfilter ${join(assets, 'netfilter.cpio')} ro`;
  assert.equal(hypervisor.disks, [plug, 'unplug netfilter', plug, 'unplug netfilter']);
  // Where it is of no use the guest's own answer counts.
  answers.delete('GetIPTables');
  assert.is((await get('/iptables')).status, 501);
  assert.is(hypervisor.disks.length, 4);
});

test('PUT /policy is never taken silently', async ({ get, shim }) => {
  const refused = await get('/policy', { method: 'PUT', body: 'package agent_policy' });
  assert.is(refused.status, 501);
  assert.match(refused.text, /nothing was set/);
  shim.guest.answers.set('SetPolicy', {});
  assert.is((await get('/policy', { method: 'PUT', body: 'package agent_policy' })).status, 200);
  const sent = shim.guest.requests.filter(({ method }) => method === 'SetPolicy').at(-1)?.request;
  assert.is((sent as { policy: string }).policy, 'package agent_policy');
  assert.is((await get('/policy', { method: 'PUT', body: Buffer.from([0xff, 0xfe]) })).status, 400);
  assert.is((await get('/policy')).status, 405);
});

test('direct-volume routes say what is missing', async ({ get }) => {
  assert.match((await get('/direct-volume/stats')).text, /"path" is missing/);
  assert.is((await get('/direct-volume/stats?path=relative')).status, 400);
  assert.is((await get(`/direct-volume/stats?path=${encodeURIComponent('/a\0b')}`)).status, 400);
  assert.match(
    (await get('/direct-volume/stats?path=%2Fnot%2Fthere')).text,
    /no direct-assigned volume "\/not\/there"/,
  );
  const resize = (body: string): Promise<Answer & { text: string }> =>
    get('/direct-volume/resize', { method: 'POST', body, contentType: 'application/json' });
  for (const body of ['', 'x', 'null', '[]', '{"VolumePath":1,"Size":1}', '{"VolumePath":"/a","Size":-1}']) {
    assert.is((await resize(body)).status, 400, body);
  }
  assert.is((await resize('{"VolumePath":"/a","Size":1e300}')).status, 400);
  assert.is((await resize('{"VolumePath":"/a","Size":1048576}')).status, 404);
  assert.is((await get('/direct-volume/resize')).status, 405);
});

test('what a volume of the guest holds: figures and text are made anew', async ({ get, shim }) => {
  const usage = Array.from({ length: 100 }, () => ({ available: 1, total: 3, used: 2, unit: 1 }));
  shim.guest.answers.set('GetVolumeStats', {
    usage,
    volume_condition: { abnormal: true, message: `\u001b[31m${'x'.repeat(100_000)}` },
  });
  const path = '/run/kata-containers/sandbox/storage/x';
  for (const method of ['GET', 'POST']) {
    const { status, text } = await get(`/direct-volume/stats?path=${encodeURIComponent(path)}`, { method });
    assert.is(status, 200);
    const stats = JSON.parse(text);
    assert.equal(stats.usage[0], { available: 1, total: 3, used: 2, unit: 1 });
    assert.is(stats.usage.length, 16);
    assert.ok(
      stats.volume_condition.message.startsWith('\\x1b[31mxxx') && stats.volume_condition.message.length < 2000,
    );
  }
});

test('errors of the agent become statuses, their text is bounded and printable', async ({ get, shim }) => {
  const codes = {
    not_found: 404,
    invalid_argument: 400,
    deadline_exceeded: 504,
    internal: 500,
    unavailable: 503,
  } as const;
  for (const [code, status] of Object.entries(codes)) {
    shim.guest.failures.set(
      'GetIPTables',
      new KataError(code as keyof typeof codes, `\u001b[2J${'y'.repeat(100_000)}`),
    );
    const answer = await get('/iptables');
    assert.is(answer.status, status, code);
    assert.ok(answer.body.length < 8192);
    assert.not.ok(answer.text.includes(ESCAPE));
  }
});

test('unknown paths, wrong methods, other spellings', async ({ get }) => {
  const unknown = await get('/nothing');
  assert.is(unknown.status, 404);
  for (const path of ['/metrics', '/sandbox', '/iptables', '/policy', '/direct-volume/stats']) {
    assert.match(unknown.text, new RegExp(`^(GET|PUT|POST) +${path} `, 'm'));
  }
  assert.not.match(unknown.text, /debug\/vars/);
  assert.is((await get('/metrics', { method: 'DELETE' })).status, 405);
  assert.is((await get('/sandbox', { method: 'PUT', body: 'x' })).status, 405);
  assert.is((await get('http://shim/agent-url')).status, 200);
  const head = await get('/agent-url', { method: 'HEAD' });
  assert.equal([head.status, head.text], [200, '']);
  assert.is((await get('/debug/vars')).status, 404);
  assert.is((await get('/debug-console')).status, 426);
});

test('enable_pprof shows the inside of the shim', async (context) => {
  await context.shim.close();
  await start(context, '[runtime]\nenable_pprof = true\n');
  const { get } = context;
  const variables = JSON.parse((await get('/debug/vars')).text);
  assert.ok(variables.memory.rss > 0 && variables.heap.total_heap_size > 0 && Array.isArray(variables.cmdline));
  const profile = JSON.parse((await get('/debug/pprof/profile?seconds=0.05')).text);
  assert.ok(profile.nodes.length > 0 && profile.endTime > profile.startTime);
  for (const seconds of ['0', '-1', 'x', '31']) {
    assert.is((await get(`/debug/pprof/profile?seconds=${seconds}`)).status, 400, seconds);
  }
  assert.match((await get('/debug/pprof/')).text, /profile\?seconds/);
  const heap = await get('/debug/pprof/heap');
  assert.is(heap.status, 404);
  assert.match(heap.text, /no Go program/);
});

test('a socket of Kata in the place of the link is left alone', async (context) => {
  const { shim, get } = context;
  const link = join(shim.directory, 'sbs/c1/shim-monitor.sock');
  // Somebody else takes the place: ours is not ours to remove any more.

  rmSync(link);
  writeFileSync(link, 'theirs');
  assert.is((await get('/sandbox')).status, 200);
  await shim.call('Kill', { id: 'c1', signal: 9, all: true });
  await shim.call('Delete', { id: 'c1' });
  assert.is(readFileSync(link, 'utf8'), 'theirs');
});

test.run();
