// Generated from proto/cgroups_v1.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface Metrics {
  hugetlb: HugetlbStat[];
  pids: PidsStat | undefined;
  cpu: CPUStat | undefined;
  memory: MemoryStat | undefined;
  blkio: BlkIOStat | undefined;
  rdma: RdmaStat | undefined;
  network: NetworkStat[];
  cgroup_stats: CgroupStats | undefined;
  memory_oom_control: MemoryOomControl | undefined;
}
export const Metrics: MessageType<Metrics> = /* @__PURE__ */ message<Metrics>('io.containerd.cgroups.v1.Metrics', () => [
  [1, 'hugetlb', HugetlbStat, 'repeated'],
  [2, 'pids', PidsStat],
  [3, 'cpu', CPUStat],
  [4, 'memory', MemoryStat],
  [5, 'blkio', BlkIOStat],
  [6, 'rdma', RdmaStat],
  [7, 'network', NetworkStat, 'repeated'],
  [8, 'cgroup_stats', CgroupStats],
  [9, 'memory_oom_control', MemoryOomControl],
]);

export interface HugetlbStat {
  usage: Int64;
  max: Int64;
  failcnt: Int64;
  pagesize: string;
}
export const HugetlbStat: MessageType<HugetlbStat> = /* @__PURE__ */ message<HugetlbStat>('io.containerd.cgroups.v1.HugetlbStat', () => [
  [1, 'usage', 'uint64'],
  [2, 'max', 'uint64'],
  [3, 'failcnt', 'uint64'],
  [4, 'pagesize', 'string'],
]);

export interface PidsStat {
  current: Int64;
  limit: Int64;
}
export const PidsStat: MessageType<PidsStat> = /* @__PURE__ */ message<PidsStat>('io.containerd.cgroups.v1.PidsStat', () => [
  [1, 'current', 'uint64'],
  [2, 'limit', 'uint64'],
]);

export interface CPUStat {
  usage: CPUUsage | undefined;
  throttling: Throttle | undefined;
}
export const CPUStat: MessageType<CPUStat> = /* @__PURE__ */ message<CPUStat>('io.containerd.cgroups.v1.CPUStat', () => [
  [1, 'usage', CPUUsage],
  [2, 'throttling', Throttle],
]);

export interface CPUUsage {
  total: Int64;
  kernel: Int64;
  user: Int64;
  per_cpu: Int64[];
}
export const CPUUsage: MessageType<CPUUsage> = /* @__PURE__ */ message<CPUUsage>('io.containerd.cgroups.v1.CPUUsage', () => [
  [1, 'total', 'uint64'],
  [2, 'kernel', 'uint64'],
  [3, 'user', 'uint64'],
  [4, 'per_cpu', 'uint64', 'repeated'],
]);

export interface Throttle {
  periods: Int64;
  throttled_periods: Int64;
  throttled_time: Int64;
}
export const Throttle: MessageType<Throttle> = /* @__PURE__ */ message<Throttle>('io.containerd.cgroups.v1.Throttle', () => [
  [1, 'periods', 'uint64'],
  [2, 'throttled_periods', 'uint64'],
  [3, 'throttled_time', 'uint64'],
]);

export interface MemoryStat {
  cache: Int64;
  rss: Int64;
  rss_huge: Int64;
  mapped_file: Int64;
  dirty: Int64;
  writeback: Int64;
  pg_pg_in: Int64;
  pg_pg_out: Int64;
  pg_fault: Int64;
  pg_maj_fault: Int64;
  inactive_anon: Int64;
  active_anon: Int64;
  inactive_file: Int64;
  active_file: Int64;
  unevictable: Int64;
  hierarchical_memory_limit: Int64;
  hierarchical_swap_limit: Int64;
  total_cache: Int64;
  total_rss: Int64;
  total_rss_huge: Int64;
  total_mapped_file: Int64;
  total_dirty: Int64;
  total_writeback: Int64;
  total_pg_pg_in: Int64;
  total_pg_pg_out: Int64;
  total_pg_fault: Int64;
  total_pg_maj_fault: Int64;
  total_inactive_anon: Int64;
  total_active_anon: Int64;
  total_inactive_file: Int64;
  total_active_file: Int64;
  total_unevictable: Int64;
  usage: MemoryEntry | undefined;
  swap: MemoryEntry | undefined;
  kernel: MemoryEntry | undefined;
  kernel_tcp: MemoryEntry | undefined;
}
export const MemoryStat: MessageType<MemoryStat> = /* @__PURE__ */ message<MemoryStat>('io.containerd.cgroups.v1.MemoryStat', () => [
  [1, 'cache', 'uint64'],
  [2, 'rss', 'uint64'],
  [3, 'rss_huge', 'uint64'],
  [4, 'mapped_file', 'uint64'],
  [5, 'dirty', 'uint64'],
  [6, 'writeback', 'uint64'],
  [7, 'pg_pg_in', 'uint64'],
  [8, 'pg_pg_out', 'uint64'],
  [9, 'pg_fault', 'uint64'],
  [10, 'pg_maj_fault', 'uint64'],
  [11, 'inactive_anon', 'uint64'],
  [12, 'active_anon', 'uint64'],
  [13, 'inactive_file', 'uint64'],
  [14, 'active_file', 'uint64'],
  [15, 'unevictable', 'uint64'],
  [16, 'hierarchical_memory_limit', 'uint64'],
  [17, 'hierarchical_swap_limit', 'uint64'],
  [18, 'total_cache', 'uint64'],
  [19, 'total_rss', 'uint64'],
  [20, 'total_rss_huge', 'uint64'],
  [21, 'total_mapped_file', 'uint64'],
  [22, 'total_dirty', 'uint64'],
  [23, 'total_writeback', 'uint64'],
  [24, 'total_pg_pg_in', 'uint64'],
  [25, 'total_pg_pg_out', 'uint64'],
  [26, 'total_pg_fault', 'uint64'],
  [27, 'total_pg_maj_fault', 'uint64'],
  [28, 'total_inactive_anon', 'uint64'],
  [29, 'total_active_anon', 'uint64'],
  [30, 'total_inactive_file', 'uint64'],
  [31, 'total_active_file', 'uint64'],
  [32, 'total_unevictable', 'uint64'],
  [33, 'usage', MemoryEntry],
  [34, 'swap', MemoryEntry],
  [35, 'kernel', MemoryEntry],
  [36, 'kernel_tcp', MemoryEntry],
]);

export interface MemoryEntry {
  limit: Int64;
  usage: Int64;
  max: Int64;
  failcnt: Int64;
}
export const MemoryEntry: MessageType<MemoryEntry> = /* @__PURE__ */ message<MemoryEntry>('io.containerd.cgroups.v1.MemoryEntry', () => [
  [1, 'limit', 'uint64'],
  [2, 'usage', 'uint64'],
  [3, 'max', 'uint64'],
  [4, 'failcnt', 'uint64'],
]);

export interface MemoryOomControl {
  oom_kill_disable: Int64;
  under_oom: Int64;
  oom_kill: Int64;
}
export const MemoryOomControl: MessageType<MemoryOomControl> = /* @__PURE__ */ message<MemoryOomControl>('io.containerd.cgroups.v1.MemoryOomControl', () => [
  [1, 'oom_kill_disable', 'uint64'],
  [2, 'under_oom', 'uint64'],
  [3, 'oom_kill', 'uint64'],
]);

export interface BlkIOStat {
  io_service_bytes_recursive: BlkIOEntry[];
  io_serviced_recursive: BlkIOEntry[];
  io_queued_recursive: BlkIOEntry[];
  io_service_time_recursive: BlkIOEntry[];
  io_wait_time_recursive: BlkIOEntry[];
  io_merged_recursive: BlkIOEntry[];
  io_time_recursive: BlkIOEntry[];
  sectors_recursive: BlkIOEntry[];
}
export const BlkIOStat: MessageType<BlkIOStat> = /* @__PURE__ */ message<BlkIOStat>('io.containerd.cgroups.v1.BlkIOStat', () => [
  [1, 'io_service_bytes_recursive', BlkIOEntry, 'repeated'],
  [2, 'io_serviced_recursive', BlkIOEntry, 'repeated'],
  [3, 'io_queued_recursive', BlkIOEntry, 'repeated'],
  [4, 'io_service_time_recursive', BlkIOEntry, 'repeated'],
  [5, 'io_wait_time_recursive', BlkIOEntry, 'repeated'],
  [6, 'io_merged_recursive', BlkIOEntry, 'repeated'],
  [7, 'io_time_recursive', BlkIOEntry, 'repeated'],
  [8, 'sectors_recursive', BlkIOEntry, 'repeated'],
]);

export interface BlkIOEntry {
  op: string;
  device: string;
  major: Int64;
  minor: Int64;
  value: Int64;
}
export const BlkIOEntry: MessageType<BlkIOEntry> = /* @__PURE__ */ message<BlkIOEntry>('io.containerd.cgroups.v1.BlkIOEntry', () => [
  [1, 'op', 'string'],
  [2, 'device', 'string'],
  [3, 'major', 'uint64'],
  [4, 'minor', 'uint64'],
  [5, 'value', 'uint64'],
]);

export interface RdmaStat {
  current: RdmaEntry[];
  limit: RdmaEntry[];
}
export const RdmaStat: MessageType<RdmaStat> = /* @__PURE__ */ message<RdmaStat>('io.containerd.cgroups.v1.RdmaStat', () => [
  [1, 'current', RdmaEntry, 'repeated'],
  [2, 'limit', RdmaEntry, 'repeated'],
]);

export interface RdmaEntry {
  device: string;
  hca_handles: number;
  hca_objects: number;
}
export const RdmaEntry: MessageType<RdmaEntry> = /* @__PURE__ */ message<RdmaEntry>('io.containerd.cgroups.v1.RdmaEntry', () => [
  [1, 'device', 'string'],
  [2, 'hca_handles', 'uint32'],
  [3, 'hca_objects', 'uint32'],
]);

export interface NetworkStat {
  name: string;
  rx_bytes: Int64;
  rx_packets: Int64;
  rx_errors: Int64;
  rx_dropped: Int64;
  tx_bytes: Int64;
  tx_packets: Int64;
  tx_errors: Int64;
  tx_dropped: Int64;
}
export const NetworkStat: MessageType<NetworkStat> = /* @__PURE__ */ message<NetworkStat>('io.containerd.cgroups.v1.NetworkStat', () => [
  [1, 'name', 'string'],
  [2, 'rx_bytes', 'uint64'],
  [3, 'rx_packets', 'uint64'],
  [4, 'rx_errors', 'uint64'],
  [5, 'rx_dropped', 'uint64'],
  [6, 'tx_bytes', 'uint64'],
  [7, 'tx_packets', 'uint64'],
  [8, 'tx_errors', 'uint64'],
  [9, 'tx_dropped', 'uint64'],
]);

export interface CgroupStats {
  nr_sleeping: Int64;
  nr_running: Int64;
  nr_stopped: Int64;
  nr_uninterruptible: Int64;
  nr_io_wait: Int64;
}
export const CgroupStats: MessageType<CgroupStats> = /* @__PURE__ */ message<CgroupStats>('io.containerd.cgroups.v1.CgroupStats', () => [
  [1, 'nr_sleeping', 'uint64'],
  [2, 'nr_running', 'uint64'],
  [3, 'nr_stopped', 'uint64'],
  [4, 'nr_uninterruptible', 'uint64'],
  [5, 'nr_io_wait', 'uint64'],
]);
