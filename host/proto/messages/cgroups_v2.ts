// Generated from proto/cgroups_v2.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface Metrics {
  pids: PidsStat | undefined;
  cpu: CPUStat | undefined;
  memory: MemoryStat | undefined;
  rdma: RdmaStat | undefined;
  io: IOStat | undefined;
  hugetlb: HugeTlbStat[];
  memory_events: MemoryEvents | undefined;
  network: NetworkStat[];
}
export const Metrics: MessageType<Metrics> = /* @__PURE__ */ message<Metrics>('io.containerd.cgroups.v2.Metrics', () => [
  [1, 'pids', PidsStat],
  [2, 'cpu', CPUStat],
  [4, 'memory', MemoryStat],
  [5, 'rdma', RdmaStat],
  [6, 'io', IOStat],
  [7, 'hugetlb', HugeTlbStat, 'repeated'],
  [8, 'memory_events', MemoryEvents],
  [9, 'network', NetworkStat, 'repeated'],
]);

export interface PSIData {
  avg10: number;
  avg60: number;
  avg300: number;
  total: Int64;
}
export const PSIData: MessageType<PSIData> = /* @__PURE__ */ message<PSIData>('io.containerd.cgroups.v2.PSIData', () => [
  [1, 'avg10', 'double'],
  [2, 'avg60', 'double'],
  [3, 'avg300', 'double'],
  [4, 'total', 'uint64'],
]);

export interface PSIStats {
  some: PSIData | undefined;
  full: PSIData | undefined;
}
export const PSIStats: MessageType<PSIStats> = /* @__PURE__ */ message<PSIStats>('io.containerd.cgroups.v2.PSIStats', () => [
  [1, 'some', PSIData],
  [2, 'full', PSIData],
]);

export interface PidsStat {
  current: Int64;
  limit: Int64;
}
export const PidsStat: MessageType<PidsStat> = /* @__PURE__ */ message<PidsStat>('io.containerd.cgroups.v2.PidsStat', () => [
  [1, 'current', 'uint64'],
  [2, 'limit', 'uint64'],
]);

export interface CPUStat {
  usage_usec: Int64;
  user_usec: Int64;
  system_usec: Int64;
  nr_periods: Int64;
  nr_throttled: Int64;
  throttled_usec: Int64;
  psi: PSIStats | undefined;
  nr_bursts: Int64;
  burst_usec: Int64;
}
export const CPUStat: MessageType<CPUStat> = /* @__PURE__ */ message<CPUStat>('io.containerd.cgroups.v2.CPUStat', () => [
  [1, 'usage_usec', 'uint64'],
  [2, 'user_usec', 'uint64'],
  [3, 'system_usec', 'uint64'],
  [4, 'nr_periods', 'uint64'],
  [5, 'nr_throttled', 'uint64'],
  [6, 'throttled_usec', 'uint64'],
  [7, 'psi', PSIStats],
  [8, 'nr_bursts', 'uint64'],
  [9, 'burst_usec', 'uint64'],
]);

export interface MemoryStat {
  anon: Int64;
  file: Int64;
  kernel_stack: Int64;
  slab: Int64;
  sock: Int64;
  shmem: Int64;
  file_mapped: Int64;
  file_dirty: Int64;
  file_writeback: Int64;
  anon_thp: Int64;
  inactive_anon: Int64;
  active_anon: Int64;
  inactive_file: Int64;
  active_file: Int64;
  unevictable: Int64;
  slab_reclaimable: Int64;
  slab_unreclaimable: Int64;
  pgfault: Int64;
  pgmajfault: Int64;
  workingset_refault: Int64;
  workingset_activate: Int64;
  workingset_nodereclaim: Int64;
  pgrefill: Int64;
  pgscan: Int64;
  pgsteal: Int64;
  pgactivate: Int64;
  pgdeactivate: Int64;
  pglazyfree: Int64;
  pglazyfreed: Int64;
  thp_fault_alloc: Int64;
  thp_collapse_alloc: Int64;
  usage: Int64;
  usage_limit: Int64;
  swap_usage: Int64;
  swap_limit: Int64;
  max_usage: Int64;
  swap_max_usage: Int64;
  psi: PSIStats | undefined;
  workingset_refault_anon: Int64;
  workingset_refault_file: Int64;
  workingset_activate_anon: Int64;
  workingset_activate_file: Int64;
}
export const MemoryStat: MessageType<MemoryStat> = /* @__PURE__ */ message<MemoryStat>('io.containerd.cgroups.v2.MemoryStat', () => [
  [1, 'anon', 'uint64'],
  [2, 'file', 'uint64'],
  [3, 'kernel_stack', 'uint64'],
  [4, 'slab', 'uint64'],
  [5, 'sock', 'uint64'],
  [6, 'shmem', 'uint64'],
  [7, 'file_mapped', 'uint64'],
  [8, 'file_dirty', 'uint64'],
  [9, 'file_writeback', 'uint64'],
  [10, 'anon_thp', 'uint64'],
  [11, 'inactive_anon', 'uint64'],
  [12, 'active_anon', 'uint64'],
  [13, 'inactive_file', 'uint64'],
  [14, 'active_file', 'uint64'],
  [15, 'unevictable', 'uint64'],
  [16, 'slab_reclaimable', 'uint64'],
  [17, 'slab_unreclaimable', 'uint64'],
  [18, 'pgfault', 'uint64'],
  [19, 'pgmajfault', 'uint64'],
  [20, 'workingset_refault', 'uint64'],
  [21, 'workingset_activate', 'uint64'],
  [22, 'workingset_nodereclaim', 'uint64'],
  [23, 'pgrefill', 'uint64'],
  [24, 'pgscan', 'uint64'],
  [25, 'pgsteal', 'uint64'],
  [26, 'pgactivate', 'uint64'],
  [27, 'pgdeactivate', 'uint64'],
  [28, 'pglazyfree', 'uint64'],
  [29, 'pglazyfreed', 'uint64'],
  [30, 'thp_fault_alloc', 'uint64'],
  [31, 'thp_collapse_alloc', 'uint64'],
  [32, 'usage', 'uint64'],
  [33, 'usage_limit', 'uint64'],
  [34, 'swap_usage', 'uint64'],
  [35, 'swap_limit', 'uint64'],
  [36, 'max_usage', 'uint64'],
  [37, 'swap_max_usage', 'uint64'],
  [38, 'psi', PSIStats],
  [39, 'workingset_refault_anon', 'uint64'],
  [40, 'workingset_refault_file', 'uint64'],
  [41, 'workingset_activate_anon', 'uint64'],
  [42, 'workingset_activate_file', 'uint64'],
]);

export interface MemoryEvents {
  low: Int64;
  high: Int64;
  max: Int64;
  oom: Int64;
  oom_kill: Int64;
  oom_group_kill: Int64;
}
export const MemoryEvents: MessageType<MemoryEvents> = /* @__PURE__ */ message<MemoryEvents>('io.containerd.cgroups.v2.MemoryEvents', () => [
  [1, 'low', 'uint64'],
  [2, 'high', 'uint64'],
  [3, 'max', 'uint64'],
  [4, 'oom', 'uint64'],
  [5, 'oom_kill', 'uint64'],
  [6, 'oom_group_kill', 'uint64'],
]);

export interface RdmaStat {
  current: RdmaEntry[];
  limit: RdmaEntry[];
}
export const RdmaStat: MessageType<RdmaStat> = /* @__PURE__ */ message<RdmaStat>('io.containerd.cgroups.v2.RdmaStat', () => [
  [1, 'current', RdmaEntry, 'repeated'],
  [2, 'limit', RdmaEntry, 'repeated'],
]);

export interface RdmaEntry {
  device: string;
  hca_handles: number;
  hca_objects: number;
}
export const RdmaEntry: MessageType<RdmaEntry> = /* @__PURE__ */ message<RdmaEntry>('io.containerd.cgroups.v2.RdmaEntry', () => [
  [1, 'device', 'string'],
  [2, 'hca_handles', 'uint32'],
  [3, 'hca_objects', 'uint32'],
]);

export interface IOStat {
  usage: IOEntry[];
  psi: PSIStats | undefined;
}
export const IOStat: MessageType<IOStat> = /* @__PURE__ */ message<IOStat>('io.containerd.cgroups.v2.IOStat', () => [
  [1, 'usage', IOEntry, 'repeated'],
  [2, 'psi', PSIStats],
]);

export interface IOEntry {
  major: Int64;
  minor: Int64;
  rbytes: Int64;
  wbytes: Int64;
  rios: Int64;
  wios: Int64;
}
export const IOEntry: MessageType<IOEntry> = /* @__PURE__ */ message<IOEntry>('io.containerd.cgroups.v2.IOEntry', () => [
  [1, 'major', 'uint64'],
  [2, 'minor', 'uint64'],
  [3, 'rbytes', 'uint64'],
  [4, 'wbytes', 'uint64'],
  [5, 'rios', 'uint64'],
  [6, 'wios', 'uint64'],
]);

export interface HugeTlbStat {
  current: Int64;
  max: Int64;
  pagesize: string;
  failcnt: Int64;
}
export const HugeTlbStat: MessageType<HugeTlbStat> = /* @__PURE__ */ message<HugeTlbStat>('io.containerd.cgroups.v2.HugeTlbStat', () => [
  [1, 'current', 'uint64'],
  [2, 'max', 'uint64'],
  [3, 'pagesize', 'string'],
  [4, 'failcnt', 'uint64'],
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
export const NetworkStat: MessageType<NetworkStat> = /* @__PURE__ */ message<NetworkStat>('io.containerd.cgroups.v2.NetworkStat', () => [
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
