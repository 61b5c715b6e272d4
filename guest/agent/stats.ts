/** What a container has used: its cgroup's files as the protocol's CgroupStats, and the VM's interfaces. */
import type { Int64 } from '../../host/proto/codec.ts';
import type {
  BlkioStats,
  BlkioStatsEntry,
  CgroupStats,
  HugetlbStats,
  MemoryData,
  NetworkStats,
} from '../../host/proto/messages/agent.ts';
import type { Cgroup } from './cgroup.ts';
import { list, readTextIfAny } from './files.ts';
import type { Sys } from './sys.ts';

/** "max": no limit. */
const UNLIMITED = 2n ** 64n - 1n;
const NS_PER_US = 1000;

/** Before the names of memory.events among the memory statistics. */
const EVENT_PREFIX = 'events.';
/** `<resource>.pressure`, its averages in hundredths of a percent. */
const PRESSURES = ['cpu', 'memory', 'io'];

/** Names that readers of v1's memory.stat look for, and where v2 has them. */
const V1_NAMES: Readonly<Record<string, string>> = {
  cache: 'file',
  rss: 'anon',
  rss_huge: 'anon_thp',
  mapped_file: 'file_mapped',
  dirty: 'file_dirty',
  writeback: 'file_writeback',
};
/** Counters v1 also gives with the descendants' shares, which v2 always includes. */
const V1_TOTALS = [
  ...Object.keys(V1_NAMES),
  'inactive_anon',
  'active_anon',
  'inactive_file',
  'active_file',
  'unevictable',
  'pgfault',
  'pgmajfault',
];

/** Reads all controllers; what the guest lacks is zero or left out. */
export function cgroupStats(sys: Sys, cgroup: Cgroup): CgroupStats {
  const cpu = table(cgroup.read('cpu.stat'));
  return {
    cpu_stats: {
      cpu_usage: {
        total_usage: nanoseconds(at(cpu, 'usage_usec')),
        percpu_usage: [],
        usage_in_kernelmode: nanoseconds(at(cpu, 'system_usec')),
        usage_in_usermode: nanoseconds(at(cpu, 'user_usec')),
      },
      throttling_data: {
        periods: at(cpu, 'nr_periods'),
        throttled_periods: at(cpu, 'nr_throttled'),
        throttled_time: nanoseconds(at(cpu, 'throttled_usec')),
      },
    },
    memory_stats: memoryStats(cgroup),
    pids_stats: { current: value(cgroup.read('pids.current')), limit: value(cgroup.read('pids.max')) },
    blkio_stats: blkioStats(cgroup.read('io.stat') ?? ''),
    hugetlb_stats: hugetlbStats(sys, cgroup),
  };
}

/** All interfaces of /proc/net/dev but the loopback: 8 counters received, then 8 sent. */
export function networkStats(sys: Sys, procRoot: string): NetworkStats[] {
  const out: NetworkStats[] = [];
  for (const line of (readTextIfAny(sys, `${procRoot}/net/dev`) ?? '').split('\n')) {
    const match = /^\s*(\S+):\s*(.*)$/.exec(line);
    if (!match || match[1] === 'lo') continue;
    const counters = (match[2] as string).trim().split(/\s+/).map(Number);
    const counter = (index: number) => counters[index] ?? 0;
    out.push({
      name: match[1] as string,
      rx_bytes: counter(0),
      rx_packets: counter(1),
      rx_errors: counter(2),
      rx_dropped: counter(3),
      tx_bytes: counter(8),
      tx_packets: counter(9),
      tx_errors: counter(10),
      tx_dropped: counter(11),
    });
  }
  return out;
}

/** `key value` lines. */
export function table(text: string | undefined): Map<string, number> {
  const out = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const [key, number] = line.split(/\s+/);
    if (key && number !== undefined && Number.isFinite(Number(number))) out.set(key, Number(number));
  }
  return out;
}

function memoryStats(cgroup: Cgroup): NonNullable<CgroupStats['memory_stats']> {
  const stat = table(cgroup.read('memory.stat'));
  const limit = value(cgroup.read('memory.max'));
  const stats: Record<string, Int64> = Object.fromEntries(stat);
  for (const [name, source] of Object.entries(V1_NAMES)) stats[name] = at(stat, source);
  for (const name of V1_TOTALS) stats[`total_${name}`] = stats[name] ?? 0;
  stats.hierarchical_memory_limit = limit;
  const swapLimit = value(cgroup.read('memory.swap.max'));
  stats.hierarchical_memsw_limit = limit === UNLIMITED || swapLimit === UNLIMITED ? UNLIMITED : sum(limit, swapLimit);
  // The protocol has no other place for these.
  const events = table(cgroup.read('memory.events'));
  for (const [name, count] of events) stats[EVENT_PREFIX + name] = count;
  const cpu = table(cgroup.read('cpu.stat'));
  for (const name of ['nr_bursts', 'burst_usec']) if (cpu.has(name)) stats[`cpu.${name}`] = at(cpu, name);
  for (const resource of PRESSURES) addPressure(stats, resource, cgroup.read(`${resource}.pressure`));
  const current = value(cgroup.read('memory.current'));
  return {
    cache: at(stat, 'file'),
    usage: {
      usage: current,
      // memory.peak is there from 5.19 on.
      max_usage: value(cgroup.read('memory.peak')),
      failcnt: at(events, 'max'),
      limit,
    },
    swap_usage: {
      usage: value(cgroup.read('memory.swap.current')),
      max_usage: value(cgroup.read('memory.swap.peak')),
      failcnt: at(table(cgroup.read('memory.swap.events')), 'max'),
      limit: swapLimit,
    },
    kernel_usage: kernelUsage(stat),
    use_hierarchy: true,
    stats,
  };
}

/** `some avg10=0.12 avg60=0.00 avg300=0.00 total=345`, and the same with `full`. */
function addPressure(stats: Record<string, Int64>, resource: string, text: string | undefined): void {
  for (const line of (text ?? '').split('\n')) {
    const [kind, ...pairs] = line.split(' ');
    for (const pair of pairs) {
      const [name, number] = pair.split('=');
      const scaled = Math.round(Number(number) * (name === 'total' ? 1 : 100));
      if (Number.isSafeInteger(scaled)) stats[`${resource}.pressure.${kind}.${name}`] = scaled;
    }
  }
}

function kernelUsage(stat: Map<string, number>): MemoryData {
  const parts = ['kernel_stack', 'pagetables', 'percpu', 'sock', 'slab'];
  const usage = stat.get('kernel') ?? parts.reduce((sum, part) => sum + at(stat, part), 0);
  return { usage, max_usage: 0, failcnt: 0, limit: 0 };
}

/** io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6` a device. */
function blkioStats(text: string): BlkioStats {
  const bytes: BlkioStatsEntry[] = [];
  const operations: BlkioStatsEntry[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (!match) continue;
    const [major, minor] = [Number(match[1]), Number(match[2])];
    const values = new Map((match[3] as string).split(' ').map((pair) => pair.split('=') as [string, string]));
    const add = (to: BlkioStatsEntry[], op: string, key: string) =>
      to.push({ major, minor, op, value: Number(values.get(key) ?? 0) });
    add(bytes, 'Read', 'rbytes');
    add(bytes, 'Write', 'wbytes');
    add(bytes, 'Discard', 'dbytes');
    add(operations, 'Read', 'rios');
    add(operations, 'Write', 'wios');
    add(operations, 'Discard', 'dios');
  }
  return {
    io_service_bytes_recursive: bytes,
    io_serviced_recursive: operations,
    // v2 does not count the others.
    io_queued_recursive: [],
    io_service_time_recursive: [],
    io_wait_time_recursive: [],
    io_merged_recursive: [],
    io_time_recursive: [],
    sectors_recursive: [],
  };
}

function hugetlbStats(sys: Sys, cgroup: Cgroup): Record<string, HugetlbStats> {
  const out: Record<string, HugetlbStats> = {};
  for (const name of list(sys, cgroup.directory)) {
    const size = /^hugetlb\.([0-9]+[KMG]B)\.current$/.exec(name)?.[1];
    if (!size) continue;
    out[size] = {
      usage: value(cgroup.read(name)),
      max_usage: 0,
      failcnt: at(table(cgroup.read(`hugetlb.${size}.events`)), 'max'),
    };
  }
  return out;
}

function value(text: string | undefined): Int64 {
  if (text === 'max') return UNLIMITED;
  const number = Number(text ?? 0);
  return Number.isFinite(number) ? number : 0;
}

function sum(a: Int64, b: Int64): Int64 {
  const total = BigInt(a) + BigInt(b);
  return Number.isSafeInteger(Number(total)) ? Number(total) : total;
}

/** Exact beyond 104 days of processor time, too. */
function nanoseconds(microseconds: number): Int64 {
  const product = microseconds * NS_PER_US;
  return Number.isSafeInteger(product) ? product : BigInt(Math.trunc(microseconds)) * BigInt(NS_PER_US);
}

function at(from: Map<string, number>, key: string): number {
  return from.get(key) ?? 0;
}
