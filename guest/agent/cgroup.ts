/**
 * A container's cgroup (v2): limits, freezing, killing, removal. Each is a file, so crun is not asked.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
import type { LinuxResources } from '../../host/proto/messages/oci.ts';
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { attempt, exists, list, readTextIfAny } from './files.ts';
import type { Loop } from './loop-interface.ts';
import type { Sys } from './sys.ts';

/** How long a frozen state or an empty group is waited for, ms. */
export const SETTLE_TIMEOUT_MS = 10_000;
/** Between two looks at it, ms. */
const SETTLE_STEP_MS = 10;
/** The period of cpu.max where none is given, µs. */
const DEFAULT_PERIOD_US = 100_000;
/** Deepest nesting of groups a container may have made that is still removed. */
const MAX_DEPTH = 64;
const SIGKILL = 9;

/**
 * The path below the hierarchy's root for a spec's `cgroupsPath`: a systemd form (`slice:prefix:name`) becomes directories,
 * and no element leads upwards.
 */
export function cgroupPath(cgroupsPath: string, containerId: string): string {
  const systemd = /^([^:/]*):([^:/]*):([^:/]+)$/.exec(cgroupsPath);
  const plain = systemd ? `${systemd[1]}/${systemd[2]}-${systemd[3]}.scope` : cgroupsPath;
  const elements = plain.split('/').filter((element) => element !== '' && element !== '.' && element !== '..');
  // At the root itself, limits and freezing would be the whole guest's.
  return elements.length > 0 ? `/${elements.join('/')}` : `/kata/${containerId}`;
}

export class Cgroup {
  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
    /** The mounted directory. */
    readonly directory: string,
  ) {}

  get exists(): boolean {
    return exists(this.sys, `${this.directory}/cgroup.procs`);
  }

  /** A file's text without the newline; undefined where there is none. */
  read(file: string): string | undefined {
    return readTextIfAny(this.sys, `${this.directory}/${file}`)?.trimEnd();
  }

  /** Kills everything in the group and below. */
  kill(): void {
    if (!this.exists) return;
    if (attempt(() => this.sys.writeFile(`${this.directory}/cgroup.kill`, '1'))) return;
    // Before 5.14: frozen, nothing can fork away from under our hands.
    attempt(() => this.sys.writeFile(`${this.directory}/cgroup.freeze`, '1'));
    for (const pid of this.pids()) attempt(() => this.sys.kill(pid, SIGKILL));
    attempt(() => this.sys.writeFile(`${this.directory}/cgroup.freeze`, '0'));
  }

  /** The processes of the group and of those below. */
  pids(): number[] {
    const out: number[] = [];
    for (const directory of this.tree()) {
      const text = readTextIfAny(this.sys, `${directory}/cgroup.procs`) ?? '';
      for (const line of text.split('\n')) if (Number(line) > 0) out.push(Number(line));
    }
    return out;
  }

  /**
   * Freezes or thaws, and waits until it is so.
   * @throws AgentError deadline_exceeded after SETTLE_TIMEOUT_MS (thawed again then), internal where it cannot be
   */
  async freeze(on: boolean): Promise<void> {
    this.write('cgroup.freeze', on ? '1' : '0');
    const wanted = `frozen ${on ? 1 : 0}`;
    for (let waited = 0; !(this.read('cgroup.events') ?? wanted).includes(wanted); waited += SETTLE_STEP_MS) {
      if (waited >= SETTLE_TIMEOUT_MS) {
        if (on) attempt(() => this.write('cgroup.freeze', '0'));
        throw new AgentError('deadline_exceeded', `the cgroup does not become "${wanted}"`);
      }
      await this.loop.sleep(SETTLE_STEP_MS);
    }
  }

  /** Removes the group and those below, killing what is left in them. False if processes remain after SETTLE_TIMEOUT_MS. */
  async remove(): Promise<boolean> {
    for (let waited = 0; ; waited += SETTLE_STEP_MS) {
      for (const directory of this.tree().reverse()) attempt(() => this.sys.rmdir(directory));
      if (!exists(this.sys, this.directory)) return true;
      if (waited >= SETTLE_TIMEOUT_MS) return false;
      this.kill();
      await this.loop.sleep(SETTLE_STEP_MS);
    }
  }

  /** Whether the guest has this file: its controller may be missing. */
  has(file: string): boolean {
    return exists(this.sys, `${this.directory}/${file}`);
  }

  /** @throws AgentError internal naming file and value */
  write(file: string, value: string): void {
    try {
      this.sys.writeFile(`${this.directory}/${file}`, value);
    } catch (thrown) {
      const hint = errnoOf(thrown) === 'ENOENT' ? ' (the guest has no such controller, or the container is gone)' : '';
      throw new AgentError('internal', `writing ${value} to ${file}: ${reasonOf(thrown)}${hint}`);
    }
  }

  /**
   * Sets what `resources` names; zero and empty leave a limit as it is, -1 lifts it. Numbers of processors, memory nodes
   * and disks must be the guest's already.
   * @throws AgentError internal naming file and value; failed_precondition for memory below what is in use
   */
  update(resources: LinuxResources): void {
    const { Memory: memory, CPU: cpu, Pids: pids } = resources;
    if (memory) this.updateMemory(Number(memory.Limit), Number(memory.Swap), Number(memory.Reservation));
    if (cpu) {
      if (Number(cpu.Shares) > 0) this.write('cpu.weight', String(weightOf(Number(cpu.Shares))));
      if (Number(cpu.Quota) !== 0 || Number(cpu.Period) !== 0) {
        this.write('cpu.max', this.cpuMax(Number(cpu.Quota), Number(cpu.Period)));
      }
      if (cpu.Cpus !== '') this.write('cpuset.cpus', cpu.Cpus);
      if (cpu.Mems !== '') this.write('cpuset.mems', cpu.Mems);
    }
    if (pids) this.limit('pids.max', pids.Limit);
  }

  /** What crun does not set: bursts and idle scheduling, and huge pages where the guest has any of their size. */
  updateOptional({ CPU: cpu, HugepageLimits: pages }: LinuxResources): void {
    if (cpu && Number(cpu.Burst) > 0 && this.has('cpu.max.burst')) this.write('cpu.max.burst', String(cpu.Burst));
    if (cpu?.Idle !== undefined && this.has('cpu.idle')) this.write('cpu.idle', String(cpu.Idle));
    for (const { Pagesize, Limit } of pages) {
      const file = `hugetlb.${Pagesize}.max`;
      if (/^[0-9]+[KMG]B$/.test(Pagesize) && this.has(file)) this.write(file, String(Limit));
    }
  }

  private updateMemory(limit: number, both: number, reservation: number): void {
    const before = Number(this.read('memory.max')?.replace('max', 'Infinity') ?? Number.POSITIVE_INFINITY);
    if (limit > 0 && limit < before) this.makeRoom(limit);
    this.limit('memory.max', limit);
    this.limit('memory.low', reservation);
    const swap = swapOf(limit > 0 ? limit : before, both);
    if (swap !== undefined && this.has('memory.swap.max')) this.write('memory.swap.max', swap);
  }

  /**
   * Has the kernel reclaim down to a new limit. Set at once, a limit below what cannot be reclaimed would kill processes;
   * memory.high reclaims as hard and kills none.
   */
  private makeRoom(limit: number): void {
    const used = () => Number(this.read('memory.current') ?? 0);
    if (used() <= limit || !this.has('memory.high')) return;
    const high = this.read('memory.high') ?? 'max';
    this.write('memory.high', String(limit));
    const left = used();
    this.write('memory.high', high);
    if (left > limit) {
      const text = `memory limit ${limit}: the container uses ${left} bytes that cannot be reclaimed (EBUSY)`;
      throw new AgentError('failed_precondition', text);
    }
  }

  private limit(file: string, value: number | bigint): void {
    const number = Number(value);
    if (number !== 0) this.write(file, number < 0 ? 'max' : String(value));
  }

  private cpuMax(quota: number, period: number): string {
    const [currentQuota = 'max', currentPeriod = String(DEFAULT_PERIOD_US)] = (this.read('cpu.max') ?? '').split(' ');
    const first = quota === 0 ? currentQuota || 'max' : quota < 0 ? 'max' : String(quota);
    return `${first} ${period > 0 ? period : currentPeriod}`;
  }

  /** This group and those below, parents first. */
  private tree(): string[] {
    const out: string[] = [];
    const visit = (directory: string, depth: number) => {
      out.push(directory);
      if (depth === MAX_DEPTH) return;
      for (const name of list(this.sys, directory)) {
        const path = `${directory}/${name}`;
        if (exists(this.sys, `${path}/cgroup.procs`)) visit(path, depth + 1);
      }
    };
    visit(this.directory, 0);
    return out;
  }
}

/** v1's cpu.shares, 2 to 262144, on v2's scale of weights, 1 to 10000. */
export function weightOf(shares: number): number {
  const bounded = Math.min(Math.max(shares, 2), 262_144);
  return 1 + Math.trunc(((bounded - 2) * 9999) / 262_142);
}

/** v1's limit of memory and swap together as v2's limit of swap alone; undefined: leave it. */
function swapOf(limit: number, both: number): string | undefined {
  if (both === 0) return undefined;
  if (both < 0) return 'max';
  return limit > 0 && both >= limit ? String(both - limit) : undefined;
}
