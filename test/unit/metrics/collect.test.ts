/** A sandbox's metrics from a made-up /proc and a made-up guest: complete, in time, and never zero where there is something. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Collector, type MetricsSource } from '../../../host/metrics/collect.ts';
import { BOUNDS_MS, Durations } from '../../../host/metrics/durations.ts';
import { MIN_WINDOW_MS } from '../../../host/metrics/overhead.ts';
import { phasesOf, startOf } from '../../../host/metrics/phases.ts';

const SHIM = 11;
const QEMU = 22;
const VIRTIOFSD = 33;
const MIB = 1024 * 1024;
const HANGS = new Promise<never>(() => {});
const TIMELINE = {
  shim_start: 0,
  create: 30,
  vm_start: 50,
  guest_start: 150,
  agent_ready: 1550,
  sandbox_created: 1600,
  container_create: 1610,
  container_created: 1660,
  container_start: 1700,
  container_started: 1705,
};

const test = suite<{ proc: string }>('metrics of a sandbox');

test.before.each((context) => {
  context.proc = mkdtempSync(join(tmpdir(), 'kata-metrics-'));
  makeProcess(context.proc, SHIM, { ticks: 100, pssKib: 8 * 1024, shmemKib: 0 });
  makeProcess(context.proc, QEMU, { ticks: 900, pssKib: 150 * 1024, shmemKib: 100 * 1024 });
  makeProcess(context.proc, VIRTIOFSD, { ticks: 0, pssKib: 2 * 1024, shmemKib: 0 });
});
test.after.each(({ proc }) => rmSync(proc, { recursive: true, force: true }));

function makeProcess(proc: string, pid: number, { ticks, pssKib, shmemKib }: Record<string, number>): void {
  const directory = join(proc, String(pid));
  mkdirSync(join(directory, 'fd'), { recursive: true });
  mkdirSync(join(directory, 'net'), { recursive: true });
  for (const fd of ['0', '1', '2']) writeFileSync(join(directory, 'fd', fd), '');
  const stat = `${pid} (a ) (b) S 1 1 1 0 -1 0 0 0 0 0 ${ticks} 0 3 4 20 0 5 0 77 8192 10`;
  writeFileSync(join(directory, 'stat'), `${stat} ${'0 '.repeat(28)}\n`);
  writeFileSync(join(directory, 'status'), 'Name:\tx\nPid:\t1\nVmRSS:\t 100 kB\nvoluntary_ctxt_switches:\t9\n');
  writeFileSync(join(directory, 'io'), 'rchar: 1\nread_bytes: 2\ncancelled_write_bytes: 3\n');
  writeFileSync(join(directory, 'smaps_rollup'), `00-ff ---p [rollup]\nPss: ${pssKib} kB\nPss_Shmem: ${shmemKib} kB\n`);
  writeFileSync(join(directory, 'net/dev'), 'Inter-|\n face |\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n');
}

function source(parts: Partial<MetricsSource> = {}): MetricsSource {
  return {
    pids: () => ({ shim: SHIM, qemu: QEMU, virtiofsd: VIRTIOFSD }),
    timeline: () => TIMELINE,
    calls: new Durations(),
    agentCalls: () => undefined,
    guestText: () => Promise.resolve('kata_guest_load{item="load1"} 0.5\n'),
    containers: () => Promise.resolve({ cpu: 4e9, memory: 60 * MIB }),
    ...parts,
  };
}

function seriesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('each host process is told of by Kata’s names and items', async ({ proc }) => {
  const series = seriesOf(await new Collector(source(), { procRoot: proc, now: () => 10_000 }).collect());
  for (const part of ['shim', 'hypervisor', 'virtiofsd']) {
    assert.is(series.get(`kata_${part}_threads`), 5, part);
    assert.is(series.get(`kata_${part}_fds`), 3, part);
    assert.is(series.get(`kata_${part}_proc_status{item="vmrss"}`), 102_400);
    assert.is(series.get(`kata_${part}_proc_status{item="voluntary_ctxt_switches"}`), 9);
    assert.is(series.get(`kata_${part}_proc_status{item="pid"}`), undefined);
    assert.is(series.get(`kata_${part}_proc_stat{item="cstime"}`), 4);
    assert.is(series.get(`kata_${part}_io_stat{item="cancelledwritebytes"}`), 3);
  }
  assert.is(series.get('kata_hypervisor_netdev{interface="eth0",item="recv_multicast"}'), 8);
  assert.is(series.get('kata_hypervisor_netdev{interface="eth0",item="sent_colls"}'), 14);
  assert.is(series.get('kata_shim_pod_pss_bytes{part="shim"}'), 8 * MIB);
  assert.is(series.get('kata_shim_pod_pss_bytes{part="qemu"}'), 150 * MIB);
  assert.is(series.get('kata_shim_pod_pss_bytes{part="virtiofsd"}'), 2 * MIB);
  assert.is(series.get('kata_guest_load{item="load1"}'), 0.5);
  assert.is(series.get('kata_shim_guest_scrape_failed'), 0);
});

test('virtiofsd is its waiting parent and the child that serves', async ({ proc }) => {
  const child = 34;
  makeProcess(proc, child, { ticks: 50, pssKib: 7 * 1024, shmemKib: 0 });
  mkdirSync(join(proc, String(VIRTIOFSD), 'task', String(VIRTIOFSD)), { recursive: true });
  writeFileSync(join(proc, String(VIRTIOFSD), 'task', String(VIRTIOFSD), 'children'), `${child} `);
  const series = seriesOf(await new Collector(source(), { procRoot: proc, now: () => 10_000 }).collect());
  assert.is(series.get('kata_shim_pod_pss_bytes{part="virtiofsd"}'), 9 * MIB);
  assert.is(series.get('kata_virtiofsd_threads'), 10);
  assert.is(series.get('kata_virtiofsd_fds'), 6);
  assert.is(series.get('kata_virtiofsd_proc_stat{item="utime"}'), 50);
  assert.is(series.get('kata_virtiofsd_proc_status{item="vmrss"}'), 204_800);
  assert.is(series.get('kata_shim_pod_overhead_memory_in_bytes'), 107 * MIB);
});

test('overhead is what the containers do not use, and never nothing whatever the guest says', async ({ proc }) => {
  const overhead = async (memory: number) => {
    const containers = () => Promise.resolve({ cpu: 4e9, memory });
    const text = await new Collector(source({ containers }), { procRoot: proc, now: () => 10_000 }).collect();
    return seriesOf(text).get('kata_shim_pod_overhead_memory_in_bytes');
  };
  assert.is(await overhead(60 * MIB), 100 * MIB);
  assert.is(await overhead(0), 160 * MIB);
  // The guest has 100 MiB of this host's memory: its containers cannot have more.
  assert.is(await overhead(2 ** 63), 60 * MIB);
  assert.is(await overhead(-1), 160 * MIB);
});

test('processor time is followed from scrape to scrape', async ({ proc }) => {
  let now = 10_000;
  let cpu = 4e9;
  const collector = new Collector(source({ containers: () => Promise.resolve({ cpu, memory: 0 }) }), {
    procRoot: proc,
    now: () => now,
  });
  const overhead = async () => seriesOf(await collector.collect()).get('kata_shim_pod_overhead_cpu');
  // 10 s of processor time since the start, of which 4 are the containers'.
  assert.is(await overhead(), 60);
  makeProcess(proc, QEMU, { ticks: 1900, pssKib: 1, shmemKib: 1 });
  now += 20_000;
  cpu = 9e9;
  assert.is(await overhead(), 25);
  now += MIN_WINDOW_MS - 1;
  assert.ok(Number(await overhead()) > 20, 'a scrape at once after another has the same window');
  now += 10_000;
  cpu = 0;
  assert.is(await overhead(), 0);
});

test('a guest that hangs or is gone costs its own metrics only', async ({ proc }) => {
  for (const guestText of [() => HANGS, () => Promise.reject(new Error('gone'))]) {
    const containers = guestText as () => Promise<never>;
    const options = { procRoot: proc, guestTimeoutMs: 20 };
    const series = seriesOf(await new Collector(source({ guestText, containers }), options).collect());
    assert.is(series.get('kata_shim_guest_scrape_failed'), 1);
    assert.is(series.get('kata_hypervisor_threads'), 5);
    assert.not.ok(series.has('kata_shim_pod_overhead_cpu'), 'what cannot be known is not told');
    assert.is(series.get('kata_shim_pod_pss_bytes{part="shim"}'), 8 * MIB);
  }
});

test('scrapes at once are one', async ({ proc }) => {
  let asked = 0;
  const guestText = async () => {
    asked++;
    return '';
  };
  const collector = new Collector(source({ guestText }), { procRoot: proc });
  const texts = await Promise.all([collector.collect(), collector.collect(), collector.collect()]);
  assert.is(asked, 1);
  assert.is(texts[0], texts[2]);
  await collector.collect();
  assert.is(asked, 2);
});

test('what a machine elsewhere, or a dead process, does not have is left out', async ({ proc }) => {
  const pids = () => ({ shim: SHIM, qemu: 0, virtiofsd: 999 });
  const text = await new Collector(source({ pids }), { procRoot: proc }).collect();
  assert.not.match(text, 'kata_hypervisor_');
  assert.not.match(text, 'kata_virtiofsd_');
  assert.match(text, 'kata_shim_threads 5\n');
});

test('what the guest leaves is counted', async ({ proc }) => {
  const guestText = () => Promise.resolve('rubbish\nkata_guest_load{item="a"} x\nkata_guest_load{item="b"} 1\n');
  const series = seriesOf(await new Collector(source({ guestText }), { procRoot: proc }).collect());
  assert.is(series.get('kata_shim_guest_lines_dropped'), 2);
});

test('durations fall into Kata’s buckets', async ({ proc }) => {
  const calls = new Durations();
  for (const ms of [0.2, 1, 1.01, 2, 3, 512, 513, 1e6]) calls.record('create', ms);
  const series = seriesOf(await new Collector(source({ calls }), { procRoot: proc }).collect());
  const name = 'kata_shim_rpc_durations_histogram_milliseconds';
  const bucket = (le: string) => series.get(`${name}_bucket{action="create",le="${le}"}`);
  assert.equal(['1', '2', '4', '256', '512', '+Inf'].map(bucket), [2, 4, 5, 5, 6, 8]);
  assert.is(series.get(`${name}_count{action="create"}`), 8);
  assert.is(series.get(`${name}_sum{action="create"}`), 0.2 + 1 + 1.01 + 2 + 3 + 512 + 513 + 1e6);
  assert.is(BOUNDS_MS.length, 10);
});

test('a call is timed however it ends, and what it gives is left as it is', async () => {
  const calls = new Durations();
  assert.is(calls.timed('a', (n: number) => n + 1)(4), 5);
  const promise = Promise.reject(new Error('no'));
  assert.is(calls.timed('b', () => promise)(), promise);
  await promise.catch(() => {});
  const throwing = calls.timed('c', () => {
    throw new Error('at once');
  });
  assert.throws(throwing, /at once/);
  calls.timed('never called', () => {});
  const { Families } = await import('../../../host/metrics/family.ts');
  const families = new Families();
  calls.addTo(families, { name: 'x', type: 'histogram', help: '' });
  const series = seriesOf(families.toString());
  for (const action of ['a', 'b', 'c']) assert.is(series.get(`x_count{action="${action}"}`), 1, action);
  assert.not.ok(series.has('x_count{action="never called"}'));
});

test('a start is cut into phases that do not overlap', () => {
  assert.equal(Object.fromEntries(phasesOf(TIMELINE)), {
    shim: 0.03,
    host: 0.02,
    vmm: 0.1,
    guest_boot: 1.4,
    agent: 0.05,
    create: 0.05,
    start: 0.005,
  });
  assert.is(startOf(TIMELINE), 1.705);
  assert.is(startOf({ shim_start: 0 }), undefined);
  const hostile = { shim_start: 'x', create: 5 } as unknown as Record<string, number>;
  assert.is(phasesOf(hostile).size, 0);
});

test.run();
