/** vCPUs on CPUs of the host, one on each: `enable_vcpus_pinning`. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { reasonOf } from '../error.ts';

/** Largest CPU number a list may name: what Linux can be built for. */
export const MAX_CPU = 8191;
/** Longest list that is read, characters. */
export const MAX_LIST_LENGTH = 4096;
/** What taskset may take, ms. */
const TASKSET_MS = 10_000;

/** Where it is told. Never throws. */
export interface PinningLog {
  info(message: string, fields?: Readonly<Record<string, string | number>>): void;
  warn(message: string, fields?: Readonly<Record<string, string | number>>): void;
}

export interface PinningOptions {
  /** Threads that run vCPUs, in their order: those that sleep are left out. */
  readonly threads: () => Promise<readonly number[]>;
  readonly log: PinningLog;
  /** Has a thread run on some CPUs only; tests have their own. */
  readonly place?: (thread: number, cpus: string) => Promise<void>;
}

/**
 * Follows the CPU sets of a pod's containers. Where their sum has as many CPUs as the machine has vCPUs, each vCPU gets one;
 * otherwise all share them. Containers without a set leave the vCPUs to the others' sets.
 */
export class VcpuPinning {
  readonly #options: PinningOptions;
  readonly #sets = new Map<string, readonly number[]>();
  #placed = '';
  #last: Promise<void> = Promise.resolve();

  constructor(options: PinningOptions) {
    this.#options = options;
  }

  /**
   * A container has a CPU set now, or another one. Never throws: vCPUs that cannot be placed run where they may.
   * @param list as `0-3,8`; empty: none
   */
  set(container: string, list: string): Promise<void> {
    const cpus = parseList(list);
    if (cpus === undefined) {
      this.#options.log.warn('a CPU set is no list; vCPUs stay where they are', { container, list: list.slice(0, 80) });
      return this.#last;
    }
    if (cpus.length > 0) this.#sets.set(container, cpus);
    else this.#sets.delete(container);
    return this.#follow();
  }

  /** A container is gone. */
  remove(container: string): Promise<void> {
    return this.#sets.delete(container) ? this.#follow() : this.#last;
  }

  /** One after the other, so that the last set holds. */
  #follow(): Promise<void> {
    this.#last = this.#last.then(() =>
      this.#apply().catch((thrown: unknown) => {
        this.#options.log.warn('vCPUs cannot be pinned', { error: reasonOf(thrown) });
      }),
    );
    return this.#last;
  }

  async #apply(): Promise<void> {
    const { threads, log, place = taskset } = this.#options;
    const cpus = [...new Set([...this.#sets.values()].flat())].sort((one, other) => one - other);
    const all = cpus.join(',');
    // Of sets that are gone the last one holds: where else they may run is not known.
    if (cpus.length === 0 || all === this.#placed) return;
    const running = await threads();
    const pinned = running.length === cpus.length;
    for (const [index, thread] of running.entries()) await place(thread, pinned ? `${cpus[index]}` : all);
    this.#placed = all;
    log.info(pinned ? 'vCPUs are pinned' : 'vCPUs share the CPUs of their pod', { vcpus: running.length, cpus: all });
  }
}

/**
 * CPUs of a list: cpuset(7), "List format".
 * @returns undefined for what is no list
 */
export function parseList(list: string): number[] | undefined {
  const text = list.trim();
  if (text === '') return [];
  if (text.length > MAX_LIST_LENGTH) return undefined;
  const cpus: number[] = [];
  for (const part of text.split(',')) {
    const [, from = '', to = from] = /^([0-9]{1,4})(?:-([0-9]{1,4}))?$/.exec(part) ?? [];
    if (from === '' || Number(to) > MAX_CPU || Number(from) > Number(to)) return undefined;
    for (let cpu = Number(from); cpu <= Number(to); cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** taskset(1), of util-linux as setpriv is. */
async function taskset(thread: number, cpus: string): Promise<void> {
  await promisify(execFile)('taskset', ['-pc', cpus, `${thread}`], { timeout: TASKSET_MS });
}
