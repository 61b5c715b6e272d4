/** Every metric there is: what the programs write, and what docs/metrics.md lists. Names and items are Kata's where Kata has them. */
import type { Description, MetricType } from './family.ts';

export interface Metric extends Description {
  /** Labels besides those of the sandbox, in the order in which they are written. */
  readonly labels: readonly string[];
  /** Unit of the values; empty: a number, or as the label `item` says. */
  readonly unit: string;
  /** Whether Kata has it by this name; else it is this project's. */
  readonly kata: boolean;
}

/** Labels by which the monitor tells sandboxes apart. No sandbox may set them. */
export const SANDBOX_LABELS = ['sandbox_id', 'cri_uid', 'cri_name', 'cri_namespace'] as const;

/** Of the shim's own process, its calls, and the pod as a whole. */
export const SHIM = {
  threads: kata('kata_shim_threads', 'gauge', 'Threads of the shim'),
  fds: kata('kata_shim_fds', 'gauge', 'Open file descriptors of the shim'),
  procStatus: kata(
    'kata_shim_proc_status',
    'gauge',
    'Memory (bytes) and context switches of the shim, of /proc/<pid>/status',
    ['item'],
  ),
  procStat: kata('kata_shim_proc_stat', 'gauge', 'Processor time of the shim in clock ticks, of /proc/<pid>/stat', [
    'item',
  ]),
  ioStat: kata('kata_shim_io_stat', 'gauge', 'Input and output of the shim, of /proc/<pid>/io', ['item']),
  rpc: kata(
    'kata_shim_rpc_durations_histogram_milliseconds',
    'histogram',
    'How long calls of containerd to the shim took',
    ['action'],
    'milliseconds',
  ),
  agentRpc: kata(
    'kata_shim_agent_rpc_durations_histogram_milliseconds',
    'histogram',
    'How long calls of the shim to the agent took',
    ['action'],
    'milliseconds',
  ),
  overheadCpu: kata(
    'kata_shim_pod_overhead_cpu',
    'gauge',
    'Processor time that the host spent on the pod beyond what its containers used, since the scrape before',
    [],
    'percent of one processor',
  ),
  overheadMemory: kata(
    'kata_shim_pod_overhead_memory_in_bytes',
    'gauge',
    'Memory of the host that the pod takes beyond what its containers use',
    [],
    'bytes',
  ),
  pss: own(
    'kata_shim_pod_pss_bytes',
    'gauge',
    'Proportional set size of each host process of the pod',
    ['part'],
    'bytes',
  ),
  startPhase: own(
    'kata_shim_start_phase_seconds',
    'gauge',
    'How long each phase of the sandbox start took',
    ['phase'],
    'seconds',
  ),
  guestScrapeFailed: own(
    'kata_shim_guest_scrape_failed',
    'gauge',
    'Whether the guest gave no metrics at this scrape',
    [],
  ),
  guestLinesDropped: own(
    'kata_shim_guest_lines_dropped',
    'gauge',
    'Lines of the guest answer to this scrape that were not taken',
    [],
  ),
} as const satisfies Record<string, Metric>;

export const HYPERVISOR = {
  threads: kata('kata_hypervisor_threads', 'gauge', 'Threads of the hypervisor'),
  fds: kata('kata_hypervisor_fds', 'gauge', 'Open file descriptors of the hypervisor'),
  procStatus: kata(
    'kata_hypervisor_proc_status',
    'gauge',
    'Memory (bytes) and context switches of the hypervisor, of /proc/<pid>/status',
    ['item'],
  ),
  procStat: kata(
    'kata_hypervisor_proc_stat',
    'gauge',
    'Processor time of the hypervisor in clock ticks, of /proc/<pid>/stat',
    ['item'],
  ),
  ioStat: kata('kata_hypervisor_io_stat', 'gauge', 'Input and output of the hypervisor, of /proc/<pid>/io', ['item']),
  netdev: kata(
    'kata_hypervisor_netdev',
    'gauge',
    'Network devices where the hypervisor runs, which is the network namespace of the pod',
    ['interface', 'item'],
  ),
} as const satisfies Record<string, Metric>;

export const VIRTIOFSD = {
  threads: kata('kata_virtiofsd_threads', 'gauge', 'Threads of virtiofsd'),
  fds: kata('kata_virtiofsd_fds', 'gauge', 'Open file descriptors of virtiofsd'),
  procStatus: kata(
    'kata_virtiofsd_proc_status',
    'gauge',
    'Memory (bytes) and context switches of virtiofsd, of /proc/<pid>/status',
    ['item'],
  ),
  procStat: kata(
    'kata_virtiofsd_proc_stat',
    'gauge',
    'Processor time of virtiofsd in clock ticks, of /proc/<pid>/stat',
    ['item'],
  ),
  ioStat: kata('kata_virtiofsd_io_stat', 'gauge', 'Input and output of virtiofsd, of /proc/<pid>/io', ['item']),
} as const satisfies Record<string, Metric>;

/** What guests report, ours and those of Kata. */
export const GUEST = [
  kata('kata_agent_scrape_count', 'counter', 'Times the agent was asked for metrics'),
  kata('kata_agent_threads', 'gauge', 'Threads of the agent'),
  kata('kata_agent_total_time', 'gauge', 'Processor time of the agent', [], 'seconds'),
  kata('kata_agent_total_vm', 'gauge', 'Virtual memory of the agent', [], 'bytes'),
  kata('kata_agent_total_rss', 'gauge', 'Resident memory of the agent', [], 'bytes'),
  kata('kata_agent_proc_status', 'gauge', 'Memory (KiB) and context switches of the agent, of /proc/<pid>/status', [
    'item',
  ]),
  kata('kata_agent_proc_stat', 'gauge', 'Processor time of the agent in clock ticks, of /proc/<pid>/stat', ['item']),
  kata('kata_agent_io_stat', 'gauge', 'Input and output of the agent, of /proc/<pid>/io', ['item']),
  kata('kata_agent_process_cpu_seconds_total', 'counter', 'Processor time of the agent', [], 'seconds'),
  kata('kata_agent_process_open_fds', 'gauge', 'Open file descriptors of the agent'),
  kata('kata_agent_process_max_fds', 'gauge', 'File descriptors that the agent may open'),
  kata('kata_agent_process_virtual_memory_bytes', 'gauge', 'Virtual memory of the agent', [], 'bytes'),
  kata('kata_agent_process_resident_memory_bytes', 'gauge', 'Resident memory of the agent', [], 'bytes'),
  kata('kata_agent_process_start_time_seconds', 'gauge', 'When the agent was started, since 1970', [], 'seconds'),
  kata('kata_guest_load', 'gauge', 'Load of the guest, of /proc/loadavg', ['item']),
  kata('kata_guest_tasks', 'gauge', 'Tasks of the guest: those that run, and all', ['item']),
  kata('kata_guest_cpu_time', 'gauge', 'Processor time of the guest, of /proc/stat', ['cpu', 'item'], 'milliseconds'),
  kata('kata_guest_vm_stat', 'gauge', 'Virtual memory of the guest, of /proc/vmstat', ['item']),
  kata('kata_guest_meminfo', 'gauge', 'Memory of the guest, of /proc/meminfo', ['item'], 'bytes'),
  kata('kata_guest_netdev_stat', 'gauge', 'Network devices of the guest, of /proc/net/dev', ['interface', 'item']),
  kata('kata_guest_diskstat', 'gauge', 'Disks of the guest, of /proc/diskstats', ['disk', 'item']),
  kata(
    'kata_guest_filesystem_bytes',
    'gauge',
    'Space of file systems of the guest',
    ['mount', 'device', 'item'],
    'bytes',
  ),
  kata('kata_guest_filesystem_inodes', 'gauge', 'Inodes of file systems of the guest', ['mount', 'device', 'item']),
] as const satisfies readonly Metric[];

/** Of kata-monitor. */
export const MONITOR = {
  runningShims: kata('kata_monitor_running_shim_count', 'gauge', 'Sandboxes that run on this node'),
  scrapes: kata('kata_monitor_scrape_count', 'counter', 'Times metrics were asked for'),
  failedScrapes: kata('kata_monitor_scrape_failed_count', 'counter', 'Times a sandbox did not give its metrics'),
  scrapeDurations: kata(
    'kata_monitor_scrape_durations_histogram_milliseconds',
    'histogram',
    'How long it took to ask all sandboxes',
    [],
    'milliseconds',
  ),
  scrapeFailed: own(
    'kata_monitor_sandbox_scrape_failed',
    'gauge',
    'Whether the sandbox gave no metrics at this scrape',
    [],
  ),
  linesDropped: own(
    'kata_monitor_sandbox_lines_dropped',
    'gauge',
    'Lines of the sandbox answer to this scrape that were not taken',
    [],
  ),
  startPhases: own(
    'kata_monitor_sandbox_start_phase_seconds',
    'histogram',
    'How long the phases of sandbox starts took, each sandbox counted once',
    ['phase'],
    'seconds',
  ),
  start: own(
    'kata_monitor_sandbox_start_seconds',
    'histogram',
    'How long it took from the start of a shim until the first container of its sandbox ran',
    [],
    'seconds',
  ),
  cpu: kata('kata_monitor_process_cpu_seconds_total', 'counter', 'Processor time of kata-monitor', [], 'seconds'),
  openFds: kata('kata_monitor_process_open_fds', 'gauge', 'Open file descriptors of kata-monitor'),
  residentMemory: kata(
    'kata_monitor_process_resident_memory_bytes',
    'gauge',
    'Resident memory of kata-monitor',
    [],
    'bytes',
  ),
  virtualMemory: kata(
    'kata_monitor_process_virtual_memory_bytes',
    'gauge',
    'Virtual memory of kata-monitor',
    [],
    'bytes',
  ),
  startTime: kata(
    'kata_monitor_process_start_time_seconds',
    'gauge',
    'When kata-monitor was started, since 1970',
    [],
    'seconds',
  ),
  pauses: kata(
    'kata_monitor_go_gc_duration_seconds',
    'summary',
    'Pauses of kata-monitor for garbage collection, by the name under which dashboards made for Kata look for them',
    [],
    'seconds',
  ),
  threads: kata(
    'kata_monitor_go_threads',
    'gauge',
    'Threads of kata-monitor, by the name under which dashboards made for Kata look for them',
  ),
} as const satisfies Record<string, Metric>;

/** All of them, by where they come from. */
export const CATALOGUE: Readonly<Record<string, readonly Metric[]>> = {
  shim: Object.values(SHIM),
  hypervisor: Object.values(HYPERVISOR),
  virtiofsd: Object.values(VIRTIOFSD),
  guest: GUEST,
  monitor: Object.values(MONITOR),
};

/** By name, what a sandbox may report. */
export const OF_SANDBOXES: ReadonlyMap<string, Metric> = new Map(
  [...Object.values(SHIM), ...Object.values(HYPERVISOR), ...Object.values(VIRTIOFSD), ...GUEST].map((metric) => [
    metric.name,
    metric,
  ]),
);

function kata(name: string, type: MetricType, help: string, labels: readonly string[] = [], unit = ''): Metric {
  return { name, type, help, labels, unit, kata: true };
}

function own(name: string, type: MetricType, help: string, labels: readonly string[], unit = ''): Metric {
  return { name, type, help, labels, unit, kata: false };
}
