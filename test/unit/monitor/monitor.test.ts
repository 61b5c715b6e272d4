/** The monitor of a node whose shims answer, hang, lie or are Kata's. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MonitorLog } from '../../../host/monitor/log.ts';
import { Monitor } from '../../../host/monitor/monitor.ts';
import { MAX_NAME_LENGTH } from '../../../host/monitor/sandbox-text.ts';
import { MAX_AT_ONCE, type ScrapeLimits } from '../../../host/monitor/scrape.ts';
import { MAX_CONNECTIONS, MAX_PREFIXES, serverOf } from '../../../host/monitor/server.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import { FakeNode, shimText } from './fake-node.ts';

interface Context {
  node: FakeNode;
  lines: string[];
  server: Server | undefined;
}

const test = suite<Context>('kata-monitor');
const POD = { name: 'web-0', namespace: 'shop', uid: '11111111-2222' };
const HANGS = (): undefined => undefined;

test.before.each((context) => {
  context.node = new FakeNode();
  context.lines = [];
  context.server = undefined;
});
test.after.each(async ({ node, server }) => {
  server?.closeAllConnections();
  server?.close();
  await node.close();
});

function monitorOf(context: Context, limits: Partial<ScrapeLimits> = {}): Monitor {
  const log = new MonitorLog('debug', (line) => context.lines.push(line));
  return new Monitor({ runtimeEndpoint: '', log, places: context.node.places, limits });
}

async function get(
  context: Context,
  path: string,
  {
    headers = {},
    method = 'GET',
    monitor = monitorOf(context),
  }: { headers?: object; method?: string; monitor?: Monitor } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer; text: string }> {
  context.server ??= serverOf(monitor, new MonitorLog('debug', (line) => context.lines.push(line)));
  const { server } = context;
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, method, headers: { ...headers } }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const body = Buffer.concat(parts);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, text: body.toString() });
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** Values by series; throws where families are apart, described twice, or a series is there twice. */
function strictly(text: string): Map<string, number> {
  const series = new Map<string, number>();
  const families = new Set<string>();
  let family = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, name] = /^# TYPE (\S+) \S+$/.exec(line) ?? [];
    if (name !== undefined) {
      assert.not.ok(families.has(name), `${name} stands together`);
      families.add(name);
      family = name;
      continue;
    }
    if (line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    const key = line.slice(0, at);
    assert.ok(key.startsWith(family), `${key} is of ${family}`);
    assert.not.ok(series.has(key), `${key} is there once`);
    series.set(key, Number(line.slice(at)));
  }
  return series;
}

test('every series of every sandbox has its labels, and families stand together', async (context) => {
  await context.node.add('aaaa', () => shimText(3), { pod: POD });
  await context.node.add('bbbb', () => shimText(3));
  const { status, headers, text } = await get(context, '/metrics');
  assert.is(status, 200);
  assert.is(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const series = strictly(text);
  const labels = 'sandbox_id="aaaa",cri_uid="11111111-2222",cri_name="web-0",cri_namespace="shop"';
  assert.is(series.get(`kata_shim_threads{${labels}}`), 9);
  assert.is(series.get(`kata_guest_vm_stat{item="item_number_2",${labels}}`), 34);
  const nameless = 'sandbox_id="bbbb",cri_uid="",cri_name="",cri_namespace=""';
  assert.is(series.get(`kata_shim_threads{${nameless}}`), 9);
  assert.is(series.get('kata_monitor_running_shim_count'), 2);
  assert.is(series.get('kata_monitor_scrape_count'), 1);
  assert.is(series.get('kata_monitor_scrape_failed_count'), 0);
  assert.ok(Number(series.get('kata_monitor_process_resident_memory_bytes')) > 0);
});

test('a pod’s name is written as a label, whatever it is', async (context) => {
  const name = `a"b\\c\nd\u001b${'x'.repeat(MAX_NAME_LENGTH)}`;
  await context.node.add('aaaa', () => shimText(1), { pod: { ...POD, name } });
  const { text } = await get(context, '/metrics');
  strictly(text);
  assert.match(text, `cri_name="a\\"b\\\\c\ufffdd\ufffd${'x'.repeat(MAX_NAME_LENGTH - 8)}",cri_namespace="shop"}`);
});

test('a shim that hangs, sends rubbish, or is gone costs its own metrics only', async (context) => {
  const { node } = context;
  await node.add('good', () => shimText(1));
  await node.add('hung', HANGS);
  await node.add('rubbish', () => Buffer.from([0, 1, 2, 255, 10, 13, 10]));
  await node.add('fails', () => '');
  await node.add('large', () => 'x'.repeat(5 * 1024 * 1024));
  const gone = await node.add('gone', () => shimText(1));
  rmSync(`${gone}/shim-monitor.sock`);
  const monitor = monitorOf(context, { sandboxTimeoutMs: 1500 });
  const series = strictly((await get(context, '/metrics', { monitor })).text);
  const failed = (id: string) =>
    series.get(`kata_monitor_sandbox_scrape_failed{sandbox_id="${id}",cri_uid="",cri_name="",cri_namespace=""}`);
  assert.equal(['good', 'hung', 'rubbish', 'fails', 'large', 'gone'].map(failed), [0, 1, 0, 1, 1, 1]);
  assert.ok([...series.keys()].some((key) => key.startsWith('kata_shim_threads{sandbox_id="good"')));
  const again = strictly((await get(context, '/metrics')).text);
  assert.is(again.get('kata_monitor_scrape_failed_count'), 8, 'four at each of two scrapes');
  assert.is(
    context.lines.filter((line) => line.includes('gives no metrics')).length,
    4,
    'each is told of once, not at every scrape',
  );
});

test('hung shims hold up neither the others nor the answer', async (context) => {
  const { node } = context;
  for (let i = 0; i < 3 * MAX_AT_ONCE; i++) await node.add(`hung${i}`, HANGS);
  await node.add('zz-good', () => shimText(1));
  // Two rounds have their time, the third has not: the last sandbox is hardly asked, if at all.
  const monitor = monitorOf(context, { sandboxTimeoutMs: 1000, scrapeTimeoutMs: 2010 });
  await get(context, '/metrics', { monitor });
  const { text } = await get(context, '/metrics');
  assert.match(
    text,
    'kata_shim_threads{sandbox_id="zz-good"',
    'those that had no time are asked before those that hang',
  );
});

test('fifty sandboxes are scraped at once, a few at a time', async (context) => {
  for (let i = 0; i < 50; i++) await context.node.add(`sandbox${i}`, () => shimText());
  const { text } = await get(context, '/metrics');
  const series = strictly(text);
  assert.is(series.get('kata_monitor_running_shim_count'), 50);
  assert.is([...series.keys()].filter((key) => key.startsWith('kata_guest_vm_stat{')).length, 50 * 700);
  assert.ok(context.node.most > 1 && context.node.most <= MAX_AT_ONCE, `${context.node.most} at a time`);
});

test('a shim cannot speak for the monitor or another sandbox', async (context) => {
  const text = [
    '# TYPE kata_monitor_running_shim_count counter',
    'kata_monitor_running_shim_count 99',
    'kata_shim_threads{sandbox_id="other"} 1',
    'kata_shim_fds{cri_name="other"} 1',
    'up 1',
    '# TYPE kata_shim_io_stat histogram',
    'kata_shim_io_stat{item="rchar"} 7',
    'kata_new{a="1"} 2',
  ].join('\n');
  await context.node.add('sly', () => text);
  const { text: answer } = await get(context, '/metrics');
  const series = strictly(answer);
  assert.is(series.get('kata_monitor_running_shim_count'), 1);
  assert.not.match(answer, 'other');
  assert.match(answer, '# TYPE kata_shim_io_stat gauge\n');
  const labels = 'sandbox_id="sly",cri_uid="",cri_name="",cri_namespace=""';
  assert.is(series.get(`kata_new{a="1",${labels}}`), 2);
  assert.is(series.get(`kata_monitor_sandbox_lines_dropped{${labels}}`), 4);
});

test('Kata’s own shims are found beside ours, under the names that Kata’s monitor gives their metrics', async (context) => {
  const { node } = context;
  const directory = await node.add('ours', () => shimText(1));
  node.link('ours', directory);
  await node.addKata('katas', () =>
    [
      '# HELP go_gc_duration_seconds A summary of pauses.',
      '# TYPE go_gc_duration_seconds summary',
      'go_gc_duration_seconds{quantile="0.5"} 1e-05',
      'go_gc_duration_seconds_sum 0.5',
      'go_gc_duration_seconds_count 9',
      '# TYPE kata_firecracker_vcpu gauge',
      'kata_firecracker_vcpu{item="failures"} 0',
      '# TYPE kata_x histogram',
      'kata_x_bucket{le="1"} 1',
      'kata_x_bucket{le="soon"} 1',
      'kata_x_bucket{le="+Inf"} 2',
      'kata_x_sum 3',
      'kata_x_count 2',
    ].join('\n'),
  );
  const { text } = await get(context, '/metrics');
  const series = strictly(text);
  const labels = 'sandbox_id="katas",cri_uid="",cri_name="",cri_namespace=""';
  assert.is(series.get('kata_monitor_running_shim_count'), 2);
  assert.match(text, '# TYPE kata_shim_go_gc_duration_seconds summary\n');
  assert.is(series.get(`kata_shim_go_gc_duration_seconds{quantile="0.5",${labels}}`), 1e-5);
  assert.is(series.get(`kata_shim_go_gc_duration_seconds_count{${labels}}`), 9);
  assert.is(series.get(`kata_firecracker_vcpu{item="failures",${labels}}`), 0);
  assert.is(series.get(`kata_x_bucket{le="+Inf",${labels}}`), 2);
  assert.is(series.get(`kata_x_count{${labels}}`), 2);
  assert.is(series.get(`kata_monitor_sandbox_lines_dropped{${labels}}`), 1);
});

test('ids that two namespaces share do not become the same series', async (context) => {
  const { node } = context;
  await node.add('twin', () => shimText(1));
  const first = identify('/run/containerd.sock', 'k8s.io', 'twin', node.runtimeDirectory).directory;
  const second = identify('/run/containerd.sock', 'other', 'twin', node.runtimeDirectory).directory;
  mkdirSync(second);
  const state = JSON.parse(readFileSync(`${first}/state.json`, 'utf8'));
  writeFileSync(`${second}/state.json`, JSON.stringify({ ...state, namespace: 'other' }));
  const { text } = await get(context, '/sandboxes');
  assert.equal(text.trim().split('\n').length, 2);
  assert.is(new Set(text.trim().split('\n')).size, 2);
});

test('a sandbox whose shim has died is not running', async (context) => {
  await context.node.add('dead', () => shimText(1), { shim: { name: 'shim', pid: process.pid, startTime: 1 } });
  assert.is((await get(context, '/sandboxes')).text, '');
  assert.match((await get(context, '/metrics')).text, 'kata_monitor_running_shim_count 0\n');
});

test('in a container that does not see the host’s processes, a socket stands for its shim', async (context) => {
  const shim = { name: 'shim', pid: process.pid, startTime: 1 };
  await context.node.add('here', () => shimText(1), { shim });
  const gone = await context.node.add('gone', () => shimText(1), { shim });
  rmSync(`${gone}/shim-monitor.sock`);
  const places = { ...context.node.places, seesProcesses: false };
  const monitor = new Monitor({ runtimeEndpoint: '', log: new MonitorLog('panic'), places });
  assert.equal(monitor.sandboxes(), ['here']);
});

test('starts are counted by phase, each sandbox once', async (context) => {
  await context.node.add('one', () => shimText(1));
  await get(context, '/metrics');
  await context.node.add('two', () => shimText(1));
  await context.node.add('booting', () => shimText(1), { timeline: { shim_start: 0, create: 5 } });
  await get(context, '/metrics');
  const series = strictly((await get(context, '/metrics')).text);
  assert.is(series.get('kata_monitor_sandbox_start_seconds_count'), 2);
  assert.is(series.get('kata_monitor_sandbox_start_seconds_sum'), 3.41);
  const phase = 'kata_monitor_sandbox_start_phase_seconds';
  assert.is(series.get(`${phase}_count{phase="guest_boot"}`), 2);
  assert.is(series.get(`${phase}_bucket{phase="guest_boot",le="1"}`), 0);
  assert.is(series.get(`${phase}_bucket{phase="guest_boot",le="2.5"}`), 2);
  assert.is(series.get(`${phase}_sum{phase="vmm"}`), 0.2);
});

test('/metrics?sandbox= is one sandbox’s, with its labels', async (context) => {
  await context.node.add('aaaa', () => shimText(1), { pod: POD });
  await context.node.add('bbbb', () => shimText(1));
  const { text } = await get(context, '/metrics?sandbox=aaaa');
  assert.match(text, 'kata_shim_threads{sandbox_id="aaaa",cri_uid="11111111-2222"');
  assert.not.match(text, 'bbbb');
  assert.not.match(text, 'kata_monitor_');
  const unknown = await get(context, '/metrics?sandbox=nobody');
  assert.is(unknown.status, 404);
  assert.match(unknown.text, 'nobody');
});

test('filter_family leaves the families that begin so, of sandboxes only', async (context) => {
  await context.node.add('aaaa', () => shimText(1));
  const { text } = await get(context, '/metrics?filter_family=kata_shim_thr,kata_hypervisor');
  assert.equal([...strictly(text).keys()].length, 1);
  assert.match(text, 'kata_shim_threads{');
  const prefixes = (count: number) => get(context, `/metrics?filter_family=${Array(count).fill('a').join(',')}`);
  assert.is((await prefixes(MAX_PREFIXES)).status, 200);
  assert.is((await prefixes(MAX_PREFIXES + 1)).status, 400);
});

test('it is packed for who asks for that, as Prometheus does', async (context) => {
  await context.node.add('aaaa', () => shimText());
  const packed = await get(context, '/metrics', { headers: { 'Accept-Encoding': 'gzip' } });
  assert.is(packed.headers['content-encoding'], 'gzip');
  assert.match(gunzipSync(packed.body).toString(), 'kata_shim_threads{');
  const plain = await get(context, '/metrics', { headers: { 'Accept-Encoding': 'gzip;q=0, br' } });
  assert.is(plain.headers['content-encoding'], undefined);
});

test('/sandboxes lists ids, for programs and for people', async (context) => {
  await context.node.add('aaaa', () => shimText(1));
  assert.is((await get(context, '/sandboxes')).text, 'aaaa\n');
  const page = await get(context, '/sandboxes', { headers: { Accept: 'text/html,*/*;q=0.8' } });
  assert.match(String(page.headers['content-type']), 'text/html');
  assert.match(page.text, '<a href="/metrics?sandbox=aaaa">');
});

test('/agent-url asks the shim', async (context) => {
  await context.node.add('aaaa', (path) => (path === '/agent-url' ? 'vsock://3:1024\n' : ''));
  assert.is((await get(context, '/agent-url?sandbox=aaaa')).text, 'vsock://3:1024\n');
  assert.is((await get(context, '/agent-url')).status, 400);
  assert.is((await get(context, '/agent-url?sandbox=nobody')).status, 404);
});

test('/debug/ is the shim’s, with its query and never as a page', async (context) => {
  await context.node.addKata('katas', (path) => `<script>${path}</script>`);
  const vars = await get(context, '/debug/vars?sandbox=katas');
  assert.is(vars.text, '<script>/debug/vars?sandbox=katas</script>');
  assert.is(vars.headers['content-type'], 'application/octet-stream');
  assert.is(vars.headers['x-content-type-options'], 'nosniff');
  assert.match((await get(context, '/debug/pprof/heap?sandbox=katas&debug=1')).text, '/debug/pprof/heap?');
  assert.is((await get(context, '/debug/vars')).status, 400);
});

test('a reader that takes nothing is let go', async (context) => {
  for (let i = 0; i < 30; i++) await context.node.add(`sandbox${i}`, () => shimText(2000));
  const server = serverOf(monitorOf(context), new MonitorLog('panic'), 200);
  context.server = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  socket.pause();
  socket.write('GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n');
  const there = await accepted;
  await new Promise((resolve) => there.once('close', resolve));
  socket.destroy();
});

test(`of more than ${MAX_CONNECTIONS} connections the last are refused`, async (context) => {
  await get(context, '/');
  const { server } = context;
  assert.ok(server);
  const { port } = server.address() as AddressInfo;
  const refused = new Promise((resolve) => server.once('drop', resolve));
  const sockets = Array.from({ length: MAX_CONNECTIONS + 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  assert.ok(await refused);
  for (const socket of sockets) socket.destroy();
});

test('anything else is refused in words', async (context) => {
  assert.match((await get(context, '/')).text, '/metrics ');
  assert.match((await get(context, '/', { headers: { Accept: 'text/html' } })).text, '<a href="/metrics">');
  assert.is((await get(context, '/shutdown')).status, 404);
  assert.is((await get(context, '/metrics', { method: 'POST' })).status, 405);
  assert.is((await get(context, '/sandboxes', { method: 'HEAD' })).text, '');
  assert.is((await get(context, '/metrics', { headers: { Padding: 'x'.repeat(9000) } })).status, 431);
});

test.run();
