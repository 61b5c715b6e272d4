import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../host/proto/codec.ts';
import { StatsContainerResponse } from '../../../host/proto/messages/agent.ts';
import { Metrics as MetricsV1 } from '../../../host/proto/messages/cgroups_v1.ts';
import { Metrics as MetricsV2 } from '../../../host/proto/messages/cgroups_v2.ts';
import { MAX_ENTRIES, metricsOf } from '../../../host/resources/metrics.ts';

const test = suite('metrics');

const DISK = { major: 254, minor: 0 };
/** As a guest with cgroup v2 answers. */
const GUEST = {
  cgroup_stats: {
    cpu_stats: {
      cpu_usage: {
        total_usage: 9_007_199_254_740_993n,
        usage_in_kernelmode: 2000,
        usage_in_usermode: 5000,
        percpu_usage: [7000],
      },
      throttling_data: { periods: 1, throttled_periods: 2, throttled_time: 3000 },
    },
    memory_stats: {
      cache: 11,
      usage: { usage: 100, max_usage: 200, failcnt: 1, limit: 18446744073709551615n },
      swap_usage: { usage: 5, max_usage: 6, failcnt: 0, limit: 7 },
      stats: { anon: 40, file: 11, inactive_file: 9, pgfault: 3, file_mapped: 4, slab: 2, __proto__: 1 },
    },
    pids_stats: { current: 3, limit: 10 },
    blkio_stats: {
      io_service_bytes_recursive: [
        { ...DISK, op: 'Read', value: 1000 },
        { ...DISK, op: 'write', value: 2000 },
        { major: 8, minor: 1, op: 'read', value: 5 },
      ],
      io_serviced_recursive: [{ ...DISK, op: 'rios', value: 3 }],
    },
    hugetlb_stats: { '2MB': { usage: 1, max_usage: 2, failcnt: 3 } },
  },
  network_stats: [{ name: 'eth0', rx_bytes: 1, tx_bytes: 2 }],
};

function answer(guest: Parameters<typeof encode<StatsContainerResponse>>[1] = GUEST): StatsContainerResponse {
  return decode(StatsContainerResponse, encode(StatsContainerResponse, guest));
}

test('cgroup v1 of the host', () => {
  const { type, metrics } = metricsOf(answer(), false);
  assert.is(type.name, 'io.containerd.cgroups.v1.Metrics');
  const out = decode(MetricsV1, encode(type, metrics));
  assert.is(out.cpu?.usage?.total, 9_007_199_254_740_993n);
  assert.equal([out.cpu?.usage?.kernel, out.cpu?.usage?.user], [2000, 5000]);
  assert.equal(out.cpu?.throttling, { periods: 1, throttled_periods: 2, throttled_time: 3000 });
  assert.equal(out.memory?.usage, { limit: 18446744073709551615n, usage: 100, max: 200, failcnt: 1 });
  assert.equal(
    [out.memory?.rss, out.memory?.cache, out.memory?.total_inactive_file, out.memory?.mapped_file],
    [40, 11, 9, 4],
  );
  assert.equal(out.pids, { current: 3, limit: 10 });
  assert.equal(out.hugetlb, [{ usage: 1, max: 2, failcnt: 3, pagesize: '2MB' }]);
  assert.is(out.blkio?.io_service_bytes_recursive.length, 3);
  assert.is(out.network[0]?.name, 'eth0');
});

test('cgroup v2 of the host: user is user and system is system', () => {
  const { type, metrics } = metricsOf(answer(), true);
  assert.is(type.name, 'io.containerd.cgroups.v2.Metrics');
  const out = decode(MetricsV2, encode(type, metrics));
  assert.equal([out.cpu?.user_usec, out.cpu?.system_usec, out.cpu?.throttled_usec], [5, 2, 3]);
  assert.is(out.cpu?.usage_usec, 9_007_199_254_740);
  assert.equal([out.memory?.anon, out.memory?.file, out.memory?.inactive_file, out.memory?.slab], [40, 11, 9, 2]);
  assert.equal([out.memory?.usage, out.memory?.swap_usage, out.memory?.swap_limit], [100, 5, 7]);
  assert.equal(out.io?.usage, [
    { ...DISK, rbytes: 1000, wbytes: 2000, rios: 3, wios: 0 },
    { major: 8, minor: 1, rbytes: 5, wbytes: 0, rios: 0, wios: 0 },
  ]);
  assert.equal(out.network[0]?.tx_bytes, 2);
});

/** What our guest adds to the memory statistics. */
const ADDED = {
  'events.oom_kill': 2,
  'events.high': 7,
  'cpu.nr_bursts': 4,
  'cpu.burst_usec': 5,
  'memory.pressure.some.avg10': 1234,
  'memory.pressure.some.total': 99,
  'memory.pressure.full.total': 9,
};

test('kills for want of memory, bursts and pressure', () => {
  const guest = answer({ cgroup_stats: { cpu_stats: {}, memory_stats: { stats: ADDED }, blkio_stats: {} } });
  const first = metricsOf(guest, false);
  assert.is(decode(MetricsV1, encode(first.type, first.metrics)).memory_oom_control?.oom_kill, 2);
  const second = metricsOf(guest, true);
  const out = decode(MetricsV2, encode(second.type, second.metrics));
  assert.equal([out.memory_events?.oom_kill, out.memory_events?.high, out.memory_events?.max], [2, 7, 0]);
  assert.equal([out.cpu?.nr_bursts, out.cpu?.burst_usec], [4, 5]);
  assert.equal(out.memory?.psi?.some, { avg10: 12.34, avg60: 0, avg300: 0, total: 99 });
  assert.is(out.memory?.psi?.full?.total, 9);
  // A guest that does not measure it.
  assert.is(out.io?.psi, undefined);
});

test('what CRI takes a working set, resident memory and page faults from', () => {
  const stats = {
    inactive_file: 30,
    total_inactive_file: 30,
    anon: 50,
    total_rss: 50,
    pgfault: 7,
    total_pgfault: 7,
    pgmajfault: 1,
    total_pgmajfault: 1,
  };
  const guest = answer({
    cgroup_stats: { memory_stats: { usage: { usage: 100, limit: 400 }, use_hierarchy: true, stats } },
  });
  const first = metricsOf(guest, false);
  const v1 = decode(MetricsV1, encode(first.type, first.metrics)).memory;
  assert.equal(
    [
      v1?.usage?.usage,
      v1?.usage?.limit,
      v1?.total_inactive_file,
      v1?.total_rss,
      v1?.total_pg_fault,
      v1?.total_pg_maj_fault,
    ],
    [100, 400, 30, 50, 7, 1],
  );
  const second = metricsOf(guest, true);
  const v2 = decode(MetricsV2, encode(second.type, second.metrics)).memory;
  assert.equal(
    [v2?.usage, v2?.usage_limit, v2?.inactive_file, v2?.anon, v2?.pgfault, v2?.pgmajfault],
    [100, 400, 30, 50, 7, 1],
  );
});

test('with a hierarchy the totals count', () => {
  const stats = { rss: 1, total_rss: 2, total_cache: 3 };
  const guest = { cgroup_stats: { memory_stats: { use_hierarchy: true, cache: 9, stats } } };
  const { type, metrics } = metricsOf(answer(guest), false);
  const out = decode(MetricsV1, encode(type, metrics));
  assert.equal([out.memory?.rss, out.memory?.cache], [2, 3]);
});

test('an empty answer, and one with too much in it', () => {
  for (const v2 of [false, true]) {
    const { type, metrics } = metricsOf(answer({}), v2);
    assert.is(encode(type, metrics).length, 0);
    const network_stats = Array.from({ length: MAX_ENTRIES + 1 }, (_, index) => ({ name: `e${index}` }));
    const much = metricsOf(answer({ network_stats }), v2);
    assert.is(
      decode(MetricsV1, encode(MetricsV1, { network: (much.metrics as { network: [] }).network })).network.length,
      MAX_ENTRIES,
    );
  }
});

test.run();
