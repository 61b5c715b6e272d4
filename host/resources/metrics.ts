/** The guest's statistics as containerd's metrics: of the host's cgroup version, whatever the guest's is. */
import type { Init, MessageType } from '../proto/codec.ts';
import type {
  BlkioStatsEntry,
  CgroupStats,
  MemoryData,
  NetworkStats,
  StatsContainerResponse,
} from '../proto/messages/agent.ts';
import * as v1 from '../proto/messages/cgroups_v1.ts';
import * as v2 from '../proto/messages/cgroups_v2.ts';

/** Network interfaces and huge page sizes taken from one answer of the guest. */
export const MAX_ENTRIES = 256;
const NS_PER_US = 1000n;

export interface Metrics {
  readonly type: MessageType<unknown>;
  readonly metrics: Init<unknown>;
}

type Number64 = number | bigint;

/** @param hostV2 whether the host's cgroups are of version 2 */
export function metricsOf(stats: StatsContainerResponse, hostV2: boolean): Metrics {
  const cgroup = stats.cgroup_stats;
  const network = networkOf(stats.network_stats);
  return hostV2
    ? { type: v2.Metrics as MessageType<unknown>, metrics: metricsV2(cgroup, network) }
    : { type: v1.Metrics as MessageType<unknown>, metrics: metricsV1(cgroup, network) };
}

function metricsV1(stats: CgroupStats | undefined, network: Init<v1.NetworkStat>[]): Init<v1.Metrics> {
  const cpu = stats?.cpu_stats;
  const blkio = stats?.blkio_stats;
  return {
    hugetlb: hugetlbOf(stats).map(([pagesize, { usage, max_usage, failcnt }]) => ({
      usage,
      max: max_usage,
      failcnt,
      pagesize,
    })),
    pids: stats?.pids_stats && { current: stats.pids_stats.current, limit: stats.pids_stats.limit },
    cpu: cpu && {
      usage: cpu.cpu_usage && {
        total: cpu.cpu_usage.total_usage,
        kernel: cpu.cpu_usage.usage_in_kernelmode,
        user: cpu.cpu_usage.usage_in_usermode,
        per_cpu: cpu.cpu_usage.percpu_usage,
      },
      throttling: cpu.throttling_data && {
        periods: cpu.throttling_data.periods,
        throttled_periods: cpu.throttling_data.throttled_periods,
        throttled_time: cpu.throttling_data.throttled_time,
      },
    },
    memory: memoryV1(stats),
    memory_oom_control: stats?.memory_stats && { oom_kill: eventOf(stats, 'oom_kill') },
    blkio: blkio && {
      io_service_bytes_recursive: blkio.io_service_bytes_recursive.map(blkioV1),
      io_serviced_recursive: blkio.io_serviced_recursive.map(blkioV1),
      io_queued_recursive: blkio.io_queued_recursive.map(blkioV1),
      io_service_time_recursive: blkio.io_service_time_recursive.map(blkioV1),
      io_wait_time_recursive: blkio.io_wait_time_recursive.map(blkioV1),
      io_merged_recursive: blkio.io_merged_recursive.map(blkioV1),
      io_time_recursive: blkio.io_time_recursive.map(blkioV1),
      sectors_recursive: blkio.sectors_recursive.map(blkioV1),
    },
    network,
  };
}

function memoryV1(stats: CgroupStats | undefined): Init<v1.MemoryStat> | undefined {
  const memory = stats?.memory_stats;
  if (!memory) return undefined;
  const own = (...names: string[]): Number64 => pick(memory.stats, names);
  // With a hierarchy the cgroup's own counters leave out its children.
  const tree = (name: string, ...names: string[]): Number64 =>
    memory.use_hierarchy ? pick(memory.stats, [`total_${name}`, name, ...names]) : pick(memory.stats, [name, ...names]);
  return {
    cache: pick(memory.stats, memory.use_hierarchy ? ['total_cache'] : []) || memory.cache || own('cache', 'file'),
    rss: tree('rss', 'anon'),
    rss_huge: tree('rss_huge', 'anon_thp'),
    mapped_file: tree('mapped_file', 'file_mapped'),
    dirty: tree('dirty', 'file_dirty'),
    writeback: tree('writeback', 'file_writeback'),
    pg_pg_in: tree('pgpgin'),
    pg_pg_out: tree('pgpgout'),
    pg_fault: tree('pgfault'),
    pg_maj_fault: tree('pgmajfault'),
    inactive_anon: tree('inactive_anon'),
    active_anon: tree('active_anon'),
    inactive_file: tree('inactive_file'),
    active_file: tree('active_file'),
    unevictable: tree('unevictable'),
    hierarchical_memory_limit: own('hierarchical_memory_limit'),
    hierarchical_swap_limit: own('hierarchical_memsw_limit'),
    total_cache: own('total_cache', 'file'),
    total_rss: own('total_rss', 'anon'),
    total_rss_huge: own('total_rss_huge', 'anon_thp'),
    total_mapped_file: own('total_mapped_file', 'file_mapped'),
    total_dirty: own('total_dirty', 'file_dirty'),
    total_writeback: own('total_writeback', 'file_writeback'),
    total_pg_pg_in: own('total_pgpgin'),
    total_pg_pg_out: own('total_pgpgout'),
    total_pg_fault: own('total_pgfault', 'pgfault'),
    total_pg_maj_fault: own('total_pgmajfault', 'pgmajfault'),
    total_inactive_anon: own('total_inactive_anon', 'inactive_anon'),
    total_active_anon: own('total_active_anon', 'active_anon'),
    // What `kubectl top` takes off the usage: a guest with cgroup v2 knows it by the short name.
    total_inactive_file: own('total_inactive_file', 'inactive_file'),
    total_active_file: own('total_active_file', 'active_file'),
    total_unevictable: own('total_unevictable', 'unevictable'),
    usage: entryV1(memory.usage),
    swap: entryV1(memory.swap_usage),
    kernel: entryV1(memory.kernel_usage),
  };
}

function metricsV2(stats: CgroupStats | undefined, network: Init<v2.NetworkStat>[]): Init<v2.Metrics> {
  const cpu = stats?.cpu_stats;
  return {
    pids: stats?.pids_stats && { current: stats.pids_stats.current, limit: stats.pids_stats.limit },
    cpu: cpu && {
      usage_usec: microseconds(cpu.cpu_usage?.total_usage),
      user_usec: microseconds(cpu.cpu_usage?.usage_in_usermode),
      system_usec: microseconds(cpu.cpu_usage?.usage_in_kernelmode),
      nr_periods: cpu.throttling_data?.periods,
      nr_throttled: cpu.throttling_data?.throttled_periods,
      throttled_usec: microseconds(cpu.throttling_data?.throttled_time),
      nr_bursts: pick(statsOf(stats), ['cpu.nr_bursts']),
      burst_usec: pick(statsOf(stats), ['cpu.burst_usec']),
      psi: pressureOf(stats, 'cpu'),
    },
    memory: memoryV2(stats),
    memory_events: stats?.memory_stats && {
      low: eventOf(stats, 'low'),
      high: eventOf(stats, 'high'),
      max: eventOf(stats, 'max'),
      oom: eventOf(stats, 'oom'),
      oom_kill: eventOf(stats, 'oom_kill'),
      oom_group_kill: eventOf(stats, 'oom_group_kill'),
    },
    io: stats?.blkio_stats && { usage: ioV2(stats.blkio_stats), psi: pressureOf(stats, 'io') },
    hugetlb: hugetlbOf(stats).map(([pagesize, { usage, max_usage, failcnt }]) => ({
      current: usage,
      max: max_usage,
      failcnt,
      pagesize,
    })),
    network,
  };
}

/** Fields whose name is the guest's own, and what else the guest may call them (cgroup v1). */
const MEMORY_V2: readonly (readonly [keyof v2.MemoryStat, ...string[]])[] = [
  ['anon', 'total_rss', 'rss'],
  ['file', 'total_cache', 'cache'],
  ['kernel_stack'],
  ['slab'],
  ['sock'],
  ['shmem', 'total_shmem'],
  ['file_mapped', 'total_mapped_file', 'mapped_file'],
  ['file_dirty', 'total_dirty', 'dirty'],
  ['file_writeback', 'total_writeback', 'writeback'],
  ['anon_thp', 'total_rss_huge', 'rss_huge'],
  ['inactive_anon'],
  ['active_anon'],
  ['inactive_file'],
  ['active_file'],
  ['unevictable'],
  ['slab_reclaimable'],
  ['slab_unreclaimable'],
  ['pgfault'],
  ['pgmajfault'],
  ['workingset_refault', 'workingset_refault_file'],
  ['workingset_activate', 'workingset_activate_file'],
  ['workingset_nodereclaim'],
  ['workingset_refault_anon'],
  ['workingset_refault_file'],
  ['workingset_activate_anon'],
  ['workingset_activate_file'],
  ['pgrefill'],
  ['pgscan'],
  ['pgsteal'],
  ['pgactivate'],
  ['pgdeactivate'],
  ['pglazyfree'],
  ['pglazyfreed'],
  ['thp_fault_alloc'],
  ['thp_collapse_alloc'],
];

function memoryV2(stats: CgroupStats | undefined): Init<v2.MemoryStat> | undefined {
  const memory = stats?.memory_stats;
  if (!memory) return undefined;
  const named: Record<string, Number64> = {};
  for (const [field, ...others] of MEMORY_V2) named[field] = pick(memory.stats, [field, ...others]);
  return {
    ...named,
    usage: memory.usage?.usage,
    usage_limit: memory.usage?.limit,
    max_usage: memory.usage?.max_usage,
    swap_usage: memory.swap_usage?.usage,
    swap_limit: memory.swap_usage?.limit,
    swap_max_usage: memory.swap_usage?.max_usage,
    psi: pressureOf(stats, 'memory'),
  };
}

/** What our guest adds to the memory statistics, since the protocol has no other place for it (guest/agent/stats.ts). */
function statsOf(stats: CgroupStats | undefined): Readonly<Record<string, Number64>> {
  return stats?.memory_stats?.stats ?? {};
}

function eventOf(stats: CgroupStats | undefined, name: string): Number64 {
  return pick(statsOf(stats), [`events.${name}`]);
}

/** Averages come in hundredths of a percent. */
function pressureOf(stats: CgroupStats | undefined, resource: string): Init<v2.PSIStats> | undefined {
  const from = statsOf(stats);
  const read = (kind: string): Init<v2.PSIData> => {
    const value = (name: string): Number64 => pick(from, [`${resource}.pressure.${kind}.${name}`]);
    const percent = (name: string): number => Number(value(name)) / 100;
    return { avg10: percent('avg10'), avg60: percent('avg60'), avg300: percent('avg300'), total: value('total') };
  };
  if (from[`${resource}.pressure.some.total`] === undefined) return undefined;
  return { some: read('some'), full: read('full') };
}

/** One entry per disk; the agent lists each operation by itself. */
function ioV2(blkio: NonNullable<CgroupStats['blkio_stats']>): Init<v2.IOEntry>[] {
  const disks = new Map<string, { -readonly [K in keyof v2.IOEntry]: v2.IOEntry[K] }>();
  const add = (
    entries: readonly BlkioStatsEntry[],
    names: Readonly<Record<string, 'rbytes' | 'wbytes' | 'rios' | 'wios'>>,
  ): void => {
    for (const { major, minor, op, value } of entries) {
      const name = op.toLowerCase();
      const field = Object.hasOwn(names, name) ? names[name] : undefined;
      if (!field) continue;
      const key = `${major}:${minor}`;
      const disk = disks.get(key) ?? { major, minor, rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
      disk[field] = value;
      if (disks.size < MAX_ENTRIES) disks.set(key, disk);
    }
  };
  const both = { rios: 'rios', wios: 'wios' } as const;
  add(blkio.io_service_bytes_recursive, {
    read: 'rbytes',
    write: 'wbytes',
    rbytes: 'rbytes',
    wbytes: 'wbytes',
    ...both,
  });
  add(blkio.io_serviced_recursive, { read: 'rios', write: 'wios', ...both });
  return [...disks.values()];
}

function networkOf(networks: readonly NetworkStats[]): Init<v1.NetworkStat>[] {
  return networks.slice(0, MAX_ENTRIES).map((network) => ({ ...network }));
}

function hugetlbOf(stats: CgroupStats | undefined): [string, CgroupStats['hugetlb_stats'][string]][] {
  return Object.entries(stats?.hugetlb_stats ?? {}).slice(0, MAX_ENTRIES);
}

function entryV1(data: MemoryData | undefined): Init<v1.MemoryEntry> | undefined {
  return data && { limit: data.limit, usage: data.usage, max: data.max_usage, failcnt: data.failcnt };
}

function blkioV1({ op, major, minor, value }: BlkioStatsEntry): Init<v1.BlkIOEntry> {
  return { op, device: '', major, minor, value };
}

/** The first of the names that the guest lists; 0 when none is. The map has no prototype. */
function pick(stats: Readonly<Record<string, Number64>>, names: readonly string[]): Number64 {
  for (const name of names) {
    const value = stats[name];
    if (value !== undefined) return value;
  }
  return 0;
}

function microseconds(ns: Number64 | undefined): Number64 | undefined {
  if (ns === undefined) return undefined;
  return typeof ns === 'bigint' ? ns / NS_PER_US : Math.floor(ns / Number(NS_PER_US));
}
