/** GetMetrics: the guest and the agent as Prometheus text, under the names Kata's agent gives them. */
import { readTextIfAny } from './files.ts';
import type { Guest } from './options.ts';
import { networkStats, table } from './stats.ts';
import type { Sys } from './sys.ts';

/** Ticks of the times in /proc/<pid>/stat and /proc/stat a second. The kernel shows them so on every architecture. */
const TICKS_A_SECOND = 100;
const PAGE_BYTES = 4096;
/** Most mounts that are looked at. */
const MAX_MOUNTS = 256;
const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs', 'vfat', 'overlay'];

/** Columns of a line of /proc/stat. */
const CPU_ITEMS = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal', 'guest', 'guest_nice'];
/** Columns of a line of /proc/diskstats after the name. */
const DISK_ITEMS = [
  'reads',
  'merged_reads',
  'sectors_read',
  'time_reading',
  'writes',
  'merged_writes',
  'sectors_written',
  'time_writing',
  'in_progress',
  'time_in_progress',
  'weighted_time_in_progress',
  'discards',
  'merged_discards',
  'sectors_discarded',
  'time_discarding',
];
const NET_ITEMS: Readonly<Record<string, keyof ReturnType<typeof networkStats>[number]>> = {
  recv_bytes: 'rx_bytes',
  recv_packets: 'rx_packets',
  recv_errs: 'rx_errors',
  recv_drop: 'rx_dropped',
  sent_bytes: 'tx_bytes',
  sent_packets: 'tx_packets',
  sent_errs: 'tx_errors',
  sent_drop: 'tx_dropped',
};

let scrapes = 0;

/** All metrics, in text format 0.0.4. */
export function metricsText(guest: Guest): string {
  const text = new MetricsText();
  agentMetrics(guest, text);
  guestMetrics(guest, text);
  fileSystemMetrics(guest, text);
  return text.toString();
}

class MetricsText {
  private readonly lines: string[] = [];
  private readonly described = new Set<string>();

  add(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    if (!Number.isFinite(value)) return;
    if (!this.described.has(name)) this.lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
    this.described.add(name);
    const pairs = Object.entries(labels).map(([key, label]) => `${key}="${escaped(label)}"`);
    this.lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`);
  }

  toString(): string {
    return `${this.lines.join('\n')}\n`;
  }
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function agentMetrics({ sys, options }: Guest, text: MetricsText): void {
  const self = `${options.procRoot}/self`;
  text.add('kata_agent_scrape_count', 'Metrics scrape count', ++scrapes);
  // The name, in parentheses, may hold spaces: count from behind it. Field 3 is the first there.
  const stat = readTextIfAny(sys, `${self}/stat`) ?? '';
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  const total = 'kata_agent_total';
  text.add('kata_agent_threads', 'Agent process threads', field(20));
  text.add(`${total}_time`, 'Agent process total time, s', (field(14) + field(15)) / TICKS_A_SECOND);
  text.add(`${total}_vm`, 'Agent process virtual memory size, bytes', field(23));
  text.add(`${total}_rss`, 'Agent process RSS size, bytes', field(24) * PAGE_BYTES);
  const items = { utime: 14, stime: 15, cutime: 16, cstime: 17 };
  for (const [item, number] of Object.entries(items)) {
    text.add('kata_agent_proc_stat', 'Agent process status', field(number), { item });
  }
  for (const [item, value] of colonTable(readTextIfAny(sys, `${self}/status`))) {
    text.add('kata_agent_proc_status', 'Agent process status', value, { item: item.toLowerCase() });
  }
  for (const [item, value] of colonTable(readTextIfAny(sys, `${self}/io`))) {
    text.add('kata_agent_io_stat', 'Agent process IO statistics', value, { item });
  }
}

function guestMetrics({ sys, options }: Guest, text: MetricsText): void {
  const read = (name: string) => readTextIfAny(sys, `${options.procRoot}/${name}`) ?? '';
  const [load1, load5, load15, tasks] = read('loadavg').split(' ');
  for (const [item, value] of Object.entries({ load1, load5, load15 })) {
    text.add('kata_guest_load', 'Guest system load', Number(value), { item });
  }
  const [running, all] = (tasks ?? '').split('/');
  for (const [item, value] of Object.entries({ cur: running, max: all })) {
    text.add('kata_guest_tasks', 'Guest system tasks', Number(value), { item });
  }
  for (const [item, value] of table(read('vmstat')))
    text.add('kata_guest_vm_stat', 'Guest virtual memory', value, { item });
  for (const [item, value] of colonTable(read('meminfo'))) {
    text.add('kata_guest_meminfo', 'Guest memory, kB', value, { item: item.toLowerCase().replace(/[()]/g, '_') });
  }
  for (const line of read('stat').split('\n')) {
    const [cpu = '', ...times] = line.split(/\s+/);
    if (!/^cpu[0-9]*$/.test(cpu)) continue;
    CPU_ITEMS.forEach((item, i) => {
      const value = Number(times[i]) / TICKS_A_SECOND;
      text.add('kata_guest_cpu_time', 'Guest CPU time, s', value, {
        cpu: cpu === 'cpu' ? 'total' : cpu.slice(3),
        item,
      });
    });
  }
  for (const stats of networkStats(sys, options.procRoot)) {
    for (const [item, key] of Object.entries(NET_ITEMS)) {
      text.add('kata_guest_netdev_stat', 'Guest net devices', Number(stats[key]), { interface: stats.name, item });
    }
  }
  for (const line of read('diskstats').split('\n')) {
    const [, , disk, ...values] = line.trim().split(/\s+/);
    if (!disk) continue;
    DISK_ITEMS.forEach((item, i) => {
      text.add('kata_guest_diskstat', 'Guest disks', Number(values[i]), { disk, item });
    });
  }
}

function fileSystemMetrics({ sys, options }: Guest, text: MetricsText): void {
  const mounts = (readTextIfAny(sys, `${options.procRoot}/self/mounts`) ?? '').split('\n').slice(0, MAX_MOUNTS);
  for (const line of mounts) {
    const [device = '', mount = '', type = ''] = line.split(' ');
    if (!FILE_SYSTEMS.includes(type)) continue;
    const stats = statfsIfAny(sys, mount);
    if (!stats) continue;
    const { blockSize, blocks, blocksFree, blocksAvailable, files, filesFree } = stats;
    const bytes = { total: blocks, used: blocks - blocksFree, available: blocksAvailable };
    for (const [item, value] of Object.entries(bytes)) {
      text.add('kata_guest_filesystem_bytes', 'Guest file systems, bytes', value * blockSize, { mount, device, item });
    }
    for (const [item, value] of Object.entries({ total: files, used: files - filesFree, available: filesFree })) {
      text.add('kata_guest_filesystem_inodes', 'Guest file systems, inodes', value, { mount, device, item });
    }
  }
}

function statfsIfAny(sys: Sys, path: string): ReturnType<Sys['statfs']> | undefined {
  try {
    return sys.statfs(path);
  } catch {
    return undefined;
  }
}

/** `name: number unit` lines. */
function colonTable(text: string | undefined): [string, number][] {
  const out: [string, number][] = [];
  for (const line of (text ?? '').split('\n')) {
    const match = /^([^:]+):\s*(\d+)(?:\s|$)/.exec(line);
    if (match) out.push([match[1] as string, Number(match[2])]);
  }
  return out;
}
