/** What /proc says of a process, with the items that Kata's metrics have. */
import { readdirSync, readFileSync } from 'node:fs';

/** Longest file of /proc that is used, characters: interfaces and threads do not count in the thousands. */
export const MAX_PROC_LENGTH = 1024 * 1024;
/** Most children of one process. */
export const MAX_CHILDREN = 16;
/** Most interfaces of a network namespace. */
export const MAX_INTERFACES = 256;

/** Fields of /proc/<pid>/stat by number, as proc(5) counts them. Clock ticks. */
const STAT_ITEMS = { utime: 14, stime: 15, cutime: 16, cstime: 17 } as const;
const THREADS_FIELD = 20;
const VIRTUAL_MEMORY_FIELD = 23;
/** Clock ticks a second: what Linux shows user space on every architecture. */
export const TICKS_A_SECOND = 100;
/** Lines of /proc/<pid>/status, lower case. Memory is in KiB there, and in bytes in Kata's metrics of host processes. */
const STATUS_MEMORY = [
  'vmpeak',
  'vmsize',
  'vmlck',
  'vmpin',
  'vmhwm',
  'vmrss',
  'rssanon',
  'rssfile',
  'rssshmem',
  'vmdata',
  'vmstk',
  'vmexe',
  'vmlib',
  'vmpte',
  'vmpmd',
  'vmswap',
  'hugetlbpages',
];
const STATUS_COUNTS = ['voluntary_ctxt_switches', 'nonvoluntary_ctxt_switches'];
/** Columns of a line of /proc/<pid>/net/dev, in Kata's words. */
const NETDEV_ITEMS = [
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
] as const;

/** Numbers by item. */
export type Items = ReadonlyMap<string, number>;

export interface ProcessReading {
  readonly threads: number;
  /** undefined where they cannot be counted. */
  readonly fds: number | undefined;
  /** Bytes. */
  readonly virtualMemory: number;
  /** utime, stime, cutime, cstime: clock ticks. */
  readonly stat: Items;
  /** Bytes, and context switches. */
  readonly status: Items;
  readonly io: Items;
}

/** Memory of a process, bytes, each page divided by the number of processes that have it. */
export interface Pss {
  readonly total: number;
  /** The part in shared memory: of QEMU, the guest's memory. */
  readonly shmem: number;
}

/** @returns undefined when there is no such process */
export function readProcess(pid: number, procRoot = '/proc'): ProcessReading | undefined {
  const directory = `${procRoot}/${pid}`;
  const stat = read(`${directory}/stat`);
  if (stat === undefined) return undefined;
  // The name, in parentheses, may hold anything: fields are counted from behind it, where field 3 is the first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? NaN);
  if (!Number.isFinite(field(THREADS_FIELD))) return undefined;
  return {
    threads: field(THREADS_FIELD),
    fds: countEntries(`${directory}/fd`),
    virtualMemory: field(VIRTUAL_MEMORY_FIELD),
    stat: new Map(Object.entries(STAT_ITEMS).map(([item, number]) => [item, field(number)])),
    status: statusItems(numbers(read(`${directory}/status`))),
    // Kata's names of them have no underscores.
    io: new Map([...numbers(read(`${directory}/io`))].map(([item, value]) => [item.replaceAll('_', ''), value])),
  };
}

/** The children of a process's first thread, at most MAX_CHILDREN; empty when there is no such process. */
export function readChildren(pid: number, procRoot = '/proc'): number[] {
  const listed = (read(`${procRoot}/${pid}/task/${pid}/children`) ?? '').split(' ');
  return listed
    .map(Number)
    .filter((child) => Number.isSafeInteger(child) && child > 0)
    .slice(0, MAX_CHILDREN);
}

/** Several processes as one. @returns undefined for none */
export function sumOf(readings: readonly ProcessReading[]): ProcessReading | undefined {
  const [first, ...rest] = readings;
  if (!first) return undefined;
  return rest.reduce(
    (sum, { threads, fds, virtualMemory, stat, status, io }) => ({
      threads: sum.threads + threads,
      fds: sum.fds === undefined || fds === undefined ? undefined : sum.fds + fds,
      virtualMemory: sum.virtualMemory + virtualMemory,
      stat: added(sum.stat, stat),
      status: added(sum.status, status),
      io: added(sum.io, io),
    }),
    first,
  );
}

/** Interfaces of the network namespace that a process is in; empty when there is no such process. */
export function readNetwork(pid: number, procRoot = '/proc'): ReadonlyMap<string, Items> {
  const interfaces = new Map<string, Items>();
  for (const line of (read(`${procRoot}/${pid}/net/dev`) ?? '').split('\n')) {
    const colon = line.lastIndexOf(':');
    if (colon < 0 || interfaces.size >= MAX_INTERFACES) continue;
    const values = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    interfaces.set(line.slice(0, colon).trim(), new Map(NETDEV_ITEMS.map((item, i) => [item, values[i] ?? NaN])));
  }
  return interfaces;
}

/** @returns undefined when there is no such process, or one whose memory may not be looked at */
export function readPss(pid: number, procRoot = '/proc'): Pss | undefined {
  const kib = numbers(read(`${procRoot}/${pid}/smaps_rollup`));
  const total = kib.get('pss');
  if (total === undefined) return undefined;
  return { total: total * 1024, shmem: (kib.get('pss_shmem') ?? 0) * 1024 };
}

function added(a: Items, b: Items): Items {
  const out = new Map(a);
  for (const [item, value] of b) out.set(item, (out.get(item) ?? 0) + value);
  return out;
}

function statusItems(lines: Items): Items {
  const items = new Map<string, number>();
  // A kernel thread, or a kernel without the feature, has no such line: 0, as Kata says.
  for (const item of STATUS_MEMORY) items.set(item, (lines.get(item) ?? 0) * 1024);
  for (const item of STATUS_COUNTS) items.set(item, lines.get(item) ?? 0);
  return items;
}

/** `Name: number unit` lines, names in lower case. */
function numbers(text: string | undefined): Map<string, number> {
  const out = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const match = /^([A-Za-z_]+):\s*(\d+)(?:\s|$)/.exec(line);
    if (match) out.set((match[1] as string).toLowerCase(), Number(match[2]));
  }
  return out;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').slice(0, MAX_PROC_LENGTH);
  } catch {
    return undefined;
  }
}

function countEntries(directory: string): number | undefined {
  try {
    return readdirSync(directory).length;
  } catch {
    return undefined;
  }
}
