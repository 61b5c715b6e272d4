/** All metrics of one sandbox, as text: of its host processes at once, of its guest within a deadline. */
import { HYPERVISOR, type Metric, SHIM, VIRTIOFSD } from './catalogue.ts';
import type { Durations } from './durations.ts';
import { Families } from './family.ts';
import { addGuestText } from './guest.ts';
import { type ContainersUsage, CpuOverhead, cpuOf, memoryOverhead } from './overhead.ts';
import { phasesOf } from './phases.ts';
import {
  type Items,
  type ProcessReading,
  type Pss,
  readChildren,
  readNetwork,
  readProcess,
  readPss,
  sumOf,
} from './process.ts';

/** How long the guest has for all that it is asked at one scrape, ms. Prometheus itself waits 10 s for a whole node. */
export const GUEST_TIMEOUT_MS = 2000;

export interface Pids {
  readonly shim: number;
  /** undefined or 0: there is none on this host. */
  readonly qemu?: number | undefined;
  readonly virtiofsd?: number | undefined;
}

/** Where the metrics of a sandbox come from. */
export interface MetricsSource {
  pids(): Pids;
  /** Milliseconds since the shim started, by moment. */
  timeline(): Readonly<Record<string, number>>;
  /** Of the calls that containerd makes. */
  readonly calls: Durations;
  /** Of the calls to the agent; undefined before there is one. */
  agentCalls(): Durations | undefined;
  /** What the agent answers to GetMetrics. Rejects without a guest. */
  guestText(timeoutMs: number): Promise<string>;
  /** What the containers use, all of them. Rejects without a guest. */
  containers(timeoutMs: number): Promise<ContainersUsage>;
}

export interface CollectorOptions {
  readonly procRoot?: string;
  readonly guestTimeoutMs?: number;
  /** Milliseconds since this process started. */
  readonly now?: () => number;
}

/** One a sandbox: it knows what the scrape before has seen. */
export class Collector {
  private readonly procRoot: string;
  private readonly guestTimeoutMs: number;
  private readonly now: () => number;
  private readonly cpu = new CpuOverhead(0);
  private running: Promise<string> | undefined;

  constructor(
    private readonly source: MetricsSource,
    { procRoot = '/proc', guestTimeoutMs = GUEST_TIMEOUT_MS, now = () => performance.now() }: CollectorOptions = {},
  ) {
    this.procRoot = procRoot;
    this.guestTimeoutMs = guestTimeoutMs;
    this.now = now;
  }

  /** The metrics in text format 0.0.4. Never rejects for a guest's sake; a second call joins one that is under way. */
  collect(): Promise<string> {
    this.running ??= this.collected().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async collected(): Promise<string> {
    const { source, guestTimeoutMs } = this;
    const [text, containers] = await Promise.all([
      within(guestTimeoutMs, () => source.guestText(guestTimeoutMs)),
      within(guestTimeoutMs, () => source.containers(guestTimeoutMs)),
    ]);
    const families = new Families();
    this.addHost(families, containers);
    source.calls.addTo(families, SHIM.rpc);
    source.agentCalls()?.addTo(families, SHIM.agentRpc);
    for (const [phase, seconds] of phasesOf(source.timeline())) families.add(SHIM.startPhase, { phase }, seconds);
    families.add(SHIM.guestScrapeFailed, {}, text === undefined ? 1 : 0);
    families.add(SHIM.guestLinesDropped, {}, text === undefined ? 0 : addGuestText(families, text));
    return families.toString();
  }

  private addHost(families: Families, containers: ContainersUsage | undefined): void {
    const { shim, qemu = 0, virtiofsd = 0 } = this.source.pids();
    const { procRoot } = this;
    const parts: Readonly<Record<keyof Pids, readonly number[]>> = {
      shim: [shim],
      qemu: [qemu],
      // The one we know waits; its child, in namespaces of its own, serves.
      virtiofsd: virtiofsd > 0 ? [virtiofsd, ...readChildren(virtiofsd, procRoot)] : [],
    };
    const memory = new Map<string, Pss>();
    let cpu = 0;
    for (const [part, pids] of Object.entries(parts)) {
      const there = pids.filter((pid) => pid > 0);
      const reading = sumOf(there.map((pid) => readProcess(pid, procRoot)).filter((each) => each !== undefined));
      if (!reading) continue;
      addProcess(families, FAMILIES[part as keyof Pids], reading);
      cpu += cpuOf(reading);
      const pss = sumOfPss(there.map((pid) => readPss(pid, procRoot)).filter((each) => each !== undefined));
      if (!pss) continue;
      memory.set(part, pss);
      families.add(SHIM.pss, { part }, pss.total);
    }
    if (qemu > 0) {
      for (const [device, items] of readNetwork(qemu, this.procRoot)) {
        for (const [item, value] of items) families.add(HYPERVISOR.netdev, { interface: device, item }, value);
      }
    }
    if (!containers) return;
    families.add(SHIM.overheadCpu, {}, this.cpu.measure(this.now(), cpu, containers.cpu / 1e9));
    if (memory.size === 0) return;
    const bytes = memoryOverhead([...memory.values()], memory.get('qemu'), containers.memory);
    families.add(SHIM.overheadMemory, {}, bytes);
  }
}

/** The metrics that every process has. */
interface ProcessFamilies {
  readonly threads: Metric;
  readonly fds: Metric;
  readonly procStatus: Metric;
  readonly procStat: Metric;
  readonly ioStat: Metric;
}

const FAMILIES: Readonly<Record<keyof Pids, ProcessFamilies>> = {
  shim: SHIM,
  qemu: HYPERVISOR,
  virtiofsd: VIRTIOFSD,
};

function addProcess(families: Families, names: ProcessFamilies, reading: ProcessReading): void {
  families.add(names.threads, {}, reading.threads);
  families.add(names.fds, {}, reading.fds);
  const addItems = (metric: Metric, items: Items): void => {
    for (const [item, value] of items) families.add(metric, { item }, value);
  };
  addItems(names.procStatus, reading.status);
  addItems(names.procStat, reading.stat);
  addItems(names.ioStat, reading.io);
}

function sumOfPss(parts: readonly Pss[]): Pss | undefined {
  if (parts.length === 0) return undefined;
  return parts.reduce((sum, { total, shmem }) => ({ total: sum.total + total, shmem: sum.shmem + shmem }));
}

/** @returns undefined when it fails or takes longer */
async function within<Result>(timeoutMs: number, ask: () => Promise<Result>): Promise<Result | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([ask(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
