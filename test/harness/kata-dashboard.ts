/**
 * What Kata's dashboard (docs/how-to/data/dashboard.json of Kata 4.1) queries: names, the labels it shows, the values it selects.
 * Left out is what only programs in Go have, and kata_shim_netdev, which Kata's shims no longer have themselves.
 */
export interface Queried {
  readonly name: string;
  /** Label by label the values that are selected; empty: any. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
}

const ITEM = { item: [] };

export const OF_MONITOR: readonly Queried[] = [
  { name: 'kata_monitor_scrape_count' },
  { name: 'kata_monitor_scrape_failed_count' },
  { name: 'kata_monitor_running_shim_count' },
  { name: 'kata_monitor_scrape_durations_histogram_milliseconds' },
  { name: 'kata_monitor_go_threads' },
  { name: 'kata_monitor_go_gc_duration_seconds' },
  { name: 'kata_monitor_process_open_fds' },
  { name: 'kata_monitor_process_resident_memory_bytes' },
];

export const OF_SANDBOX: readonly Queried[] = [
  { name: 'kata_shim_rpc_durations_histogram_milliseconds', labels: { action: [] } },
  {
    name: 'kata_shim_agent_rpc_durations_histogram_milliseconds',
    labels: { action: ['grpc.GetMetricsRequest', 'grpc.CreateContainerRequest'] },
  },
  { name: 'kata_shim_proc_status', labels: { item: ['vmrss'] } },
  { name: 'kata_shim_io_stat', labels: { item: ['rchar', 'wchar'] } },
  { name: 'kata_shim_fds' },
  { name: 'kata_agent_process_open_fds' },
  { name: 'kata_agent_process_resident_memory_bytes' },
  { name: 'kata_agent_proc_status', labels: ITEM },
  { name: 'kata_agent_proc_stat', labels: ITEM },
  { name: 'kata_hypervisor_fds' },
  { name: 'kata_hypervisor_proc_status', labels: { item: ['vmrss'] } },
  { name: 'kata_hypervisor_io_stat', labels: { item: ['rchar', 'wchar'] } },
  { name: 'kata_hypervisor_netdev', labels: { interface: [], item: [] } },
  { name: 'kata_hypervisor_proc_stat', labels: ITEM },
  { name: 'kata_guest_load', labels: ITEM },
  { name: 'kata_guest_meminfo', labels: { item: ['mem_total', 'mem_free', 'mem_available'] } },
  {
    name: 'kata_guest_netdev_stat',
    labels: { interface: [], item: ['sent_bytes', 'recv_bytes', 'sent_errs', 'recv_errs', 'sent_drop', 'recv_drop'] },
  },
  { name: 'kata_guest_tasks', labels: ITEM },
];

/** What of it a scrape does not have, as queries. */
export function missing(text: string, queried: readonly Queried[]): string[] {
  const out: string[] = [];
  for (const { name, labels = {} } of queried) {
    const lines = text.split('\n').filter((line) => new RegExp(`^${name}(_bucket|_sum)?[{ ]`).test(line));
    for (const [label, values] of Object.entries({ ...labels, '': [] as readonly string[] })) {
      for (const value of values.length > 0 ? values : ['']) {
        const selector = label === '' ? '' : value === '' ? `${label}="` : `${label}="${value}"`;
        if (!lines.some((line) => line.includes(selector))) out.push(`${name}{${selector}}`);
      }
    }
  }
  return out;
}
