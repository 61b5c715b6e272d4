/**
 * What a pod costs beside its containers, which is what a RuntimeClass's overhead.podFixed has to tell the scheduler: the host's
 * processes without the guest's memory, and what the guest has for itself (`overhead_memory`).
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startContainerd } from '../setup/containerd.ts';
import { containerdPrograms } from '../setup/containerd-packages.ts';
import { buildImage } from '../setup/image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES } from '../setup/paths.ts';
import { markedProcesses, type Process } from '../setup/processes.ts';
import { Containers } from '../test/harness/containers.ts';
import { RUNS } from './statistics.ts';
import { line, summary } from './table.ts';

/** A web server that waits, with the limit that a small pod has. */
const SERVER = ['sh', '-c', 'mkdir /www; echo hello >/www/index.html; exec httpd -f -p 80 -h /www'];
const LIMIT_BYTES = 128 * 1024 * 1024;
/** Milliseconds from the start to the measurement, and over which processor time is counted. */
const SETTLE_MS = 5000;
const CPU_MS = 10_000;
/** Clock ticks a second of /proc/PID/stat, on every Linux. */
const TICKS = 100;
const KIB = 1024;
/** The guest's own memory, as QEMU and virtiofsd map it. */
const GUEST_MEMORY = /memfd:memory-backend|\/dev\/shm\/|\/dev\/hugepages\//;

interface Overhead {
  /** MiB (PSS) by part: shim, qemu, virtiofsd. */
  readonly parts: ReadonlyMap<string, number>;
  /** MiB of the guest's memory that have been touched. */
  readonly guestMib: number;
  /** Thousandths of a processor. */
  readonly cpuMilli: number;
}

export async function section(): Promise<void> {
  const image = await buildImage(IMAGES);
  const programs = await containerdPrograms('1.7', CONTAINERD, DEBIAN_CACHE, () => {});
  const daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image });
  const found: Overhead[] = [];
  try {
    const containers = new Containers(daemon, 'io.containerd.kata.v2');
    for (let run = 0; run < RUNS; run++) {
      const others = new Set(markedProcesses(daemon.directory).map(({ pid }) => pid));
      const id = await containers.detached(SERVER, { flags: ['--memory-limit', String(LIMIT_BYTES)] });
      await sleep(SETTLE_MS);
      found.push(await measure(markedProcesses(daemon.directory).filter(({ pid }) => !others.has(pid))));
      await containers.remove(id);
    }
  } finally {
    await daemon.stop();
  }
  print(found);
}

async function measure(own: readonly Process[]): Promise<Overhead> {
  const parts = new Map<string, number>();
  let guestMib = 0;
  for (const process of own) {
    const { outside, guest } = memoryOf(process.pid);
    const part = partOf(process.name);
    parts.set(part, (parts.get(part) ?? 0) + outside);
    guestMib += guest;
  }
  const before = own.map(({ pid }) => ticksOf(pid));
  await sleep(CPU_MS);
  const ticks = own.reduce((sum, { pid }, i) => sum + ticksOf(pid) - (before[i] ?? 0), 0);
  return { parts, guestMib, cpuMilli: ((ticks / TICKS) * 1000) / (CPU_MS / 1000) };
}

/** QEMU's and virtiofsd's names are their programs'; what is left is Node. */
function partOf(name: string): string {
  return name.startsWith('qemu') ? 'qemu' : name.startsWith('virtiofsd') ? 'virtiofsd' : 'shim';
}

/** MiB of proportional set size, apart by whether a mapping is the guest's memory. */
function memoryOf(pid: number): { outside: number; guest: number } {
  const sums = { outside: 0, guest: 0 };
  let part: keyof typeof sums = 'outside';
  for (const text of readFileSync(`/proc/${pid}/smaps`, 'latin1').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(text)) part = GUEST_MEMORY.test(text) ? 'guest' : 'outside';
    const kib = /^Pss: +(\d+) kB/.exec(text)?.[1];
    if (kib !== undefined) sums[part] += Number(kib) / KIB;
  }
  return sums;
}

/** utime and stime: fields 14 and 15 of /proc/PID/stat, behind a name that may hold anything. */
function ticksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function print(found: readonly Overhead[]): void {
  const names = [...new Set(found.flatMap(({ parts }) => [...parts.keys()]))].sort();
  for (const name of names)
    line(
      `  ${name}, MiB`,
      summary(
        found.map(({ parts }) => parts.get(name) ?? 0),
        1,
      ),
    );
  line(
    'beside the guest, MiB',
    summary(
      found.map(({ parts }) => [...parts.values()].reduce((a, b) => a + b, 0)),
      1,
    ),
  );
  line(
    '  touched of the guest, MiB',
    summary(
      found.map(({ guestMib }) => guestMib),
      1,
    ),
  );
  line(
    'processor, idle, thousandths',
    summary(
      found.map(({ cpuMilli }) => cpuMilli),
      1,
    ),
  );
}
