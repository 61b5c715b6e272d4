/** GetMetrics: the guest and the agent as Prometheus text, under the names Kata's agent gives them. */
import { readTextIfAny } from './files.ts';
import type { Guest } from './options.ts';
import { table } from './stats.ts';
import type { Sys } from './sys.ts';

/** Ticks of the times in /proc/<pid>/stat and /proc/stat a second. The kernel shows them so on every architecture. */
const TICKS_A_SECOND = 100;
const PAGE_BYTES = 4096;
/** Most mounts that are looked at. */
const MAX_MOUNTS = 256;
/** Most interfaces, and most disks, that are told of. */
const MAX_DEVICES = 64;
const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs', 'vfat', 'overlay'];

/** Columns of a line of /proc/stat. */
const CPU_ITEMS = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal', 'guest', 'guest_nice'];
/** Columns of a line of /proc/diskstats after the name. */
const DISK_ITEMS = [
  'reads',
  'merged',
  'sectors_read',
  'time_reading',
  'writes',
  'writes_merged',
  'sectors_written',
  'time_writing',
  'in_progress',
  'time_in_progress',
  'weighted_time_in_progress',
  'discards',
  'discards_merged',
  'sectors_discarded',
  'time_discarding',
  'flushes',
  'time_flushing',
];
/** Columns of a line of /proc/net/dev after the name. */
const NET_ITEMS = [
  'recv_bytes',
  'recv_packets',
  'recv_errs',
  'recv_drop',
  'recv_fifo',
  'recv_frame',
  'recv_compressed',
  'recv_multicast',
  'sent_bytes',
  'sent_packets',
  'sent_errs',
  'sent_drop',
  'sent_fifo',
  'sent_colls',
  'sent_carrier',
  'sent_compressed',
];
/** Lines of /proc/<pid>/status that are numbers worth following: KiB, and switches. */
const STATUS_LINE = /^(vm[a-z]+|rss[a-z]+|hugetlbpages|(non)?voluntary_ctxt_switches)$/;

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
    if (!this.described.has(name)) {
      this.described.add(name);
      this.lines.push(`# HELP ${name} ${help}\n# TYPE ${name} gauge`);
    }
    // There are hundreds, and each operation counts in an emulated guest.
    let pairs = '';
    for (const key in labels) pairs += `${pairs === '' ? '{' : ','}${key}="${escaped(labels[key] as string)}"`;
    this.lines.push(pairs === '' ? `${name} ${value}` : `${name}${pairs}} ${value}`);
  }

  toString(): string {
    return `${this.lines.join('\n')}\n`;
  }
}

function escaped(label: string): string {
  if (!label.includes('\\') && !label.includes('"') && !label.includes('\n')) return label;
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
  for (const [name, value] of colonTable(readTextIfAny(sys, `${self}/status`))) {
    const item = name.toLowerCase();
    if (STATUS_LINE.test(item)) text.add('kata_agent_proc_status', 'Agent process status, kB', value, { item });
  }
  for (const [item, value] of colonTable(readTextIfAny(sys, `${self}/io`))) {
    text.add('kata_agent_io_stat', 'Agent process IO statistics', value, { item });
  }
  // What every Prometheus client tells of its process.
  const client = 'kata_agent_process';
  text.add(`${client}_cpu_seconds_total`, 'Agent processor time, s', (field(14) + field(15)) / TICKS_A_SECOND);
  text.add(`${client}_virtual_memory_bytes`, 'Agent virtual memory', field(23));
  text.add(`${client}_resident_memory_bytes`, 'Agent resident memory', field(24) * PAGE_BYTES);
  text.add(`${client}_open_fds`, 'Agent open file descriptors', countIfAny(sys, `${self}/fd`));
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
    const unit = item.startsWith('HugePages_') ? 1 : 1024;
    text.add('kata_guest_meminfo', 'Guest memory, bytes', value * unit, { item: meminfoItem(item) });
  }
  for (const line of read('stat').split('\n')) {
    const [cpu = '', ...times] = line.split(/\s+/);
    if (!/^cpu[0-9]*$/.test(cpu)) continue;
    CPU_ITEMS.forEach((item, i) => {
      const value = (Number(times[i]) * 1000) / TICKS_A_SECOND;
      text.add('kata_guest_cpu_time', 'Guest CPU time, ms', value, {
        cpu: cpu === 'cpu' ? 'total' : cpu.slice(3),
        item,
      });
    });
  }
  for (const line of read('net/dev').split('\n', MAX_DEVICES)) {
    const colon = line.lastIndexOf(':');
    if (colon < 0) continue;
    const values = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    NET_ITEMS.forEach((item, i) => {
      const labels = { interface: line.slice(0, colon).trim(), item };
      text.add('kata_guest_netdev_stat', 'Guest net devices', Number(values[i]), labels);
    });
  }
  for (const line of read('diskstats').split('\n', MAX_DEVICES)) {
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
    const [source = '', mount = '', type = '', flags = ''] = line.split(' ');
    // What is read-only stays as full as it is.
    if (!FILE_SYSTEMS.includes(type) || flags.split(',').includes('ro')) continue;
    const device = source.slice(source.lastIndexOf('/') + 1);
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

/** NaN, which is not told, where it cannot be counted. */
function countIfAny(sys: Sys, directory: string): number {
  try {
    return sys.readdir(directory).length;
  } catch {
    return NaN;
  }
}

function statfsIfAny(sys: Sys, path: string): ReturnType<Sys['statfs']> | undefined {
  try {
    return sys.statfs(path);
  } catch {
    return undefined;
  }
}

/** As Kata's agent calls a line of /proc/meminfo: `MemTotal` is `mem_total`, `Active(anon)` `active_anon`, `DirectMap2M` `direct_map_2M`. */
function meminfoItem(name: string): string {
  return name
    .replace(/\((\w+)\)/, '_$1')
    .replace('HugePage', 'Hugepage')
    .replace('Percpu', 'PerCpu')
    .replace(/([a-z])([A-Z0-9])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .replace(/(_\d+[A-Z])$|[A-Z]/g, (letters, size?: string) => size ?? letters.toLowerCase());
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
