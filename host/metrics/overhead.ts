/**
 * What the pod costs its host beyond what its containers use, which Kata's metrics promise and report as 0
 * (https://github.com/kata-containers/kata-containers/issues/2767).
 *
 * Memory: the proportional set size of shim, QEMU and virtiofsd, less what the containers use. That is inside the guest's
 * memory, so never more than QEMU has of it: whatever a guest says, the processes themselves remain.
 * Processor time: that of shim, QEMU and virtiofsd, less that of the containers, a second, in percent of one processor.
 */
import { type ProcessReading, type Pss, TICKS_A_SECOND } from './process.ts';

/** Shortest time over which processor time is measured, ms: ticks are 10 ms. Two who scrape share one measurement. */
export const MIN_WINDOW_MS = 1000;

/** What all containers of the pod use. */
export interface ContainersUsage {
  /** Nanoseconds. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
}

interface Moment {
  /** Milliseconds of a clock that never goes back. */
  readonly at: number;
  /** Seconds of processor time of the host's processes since they began. */
  readonly host: number;
  /** Likewise of the containers, as the guest says. */
  readonly containers: number;
}

/** Bytes. @param qemu undefined: the machine is not on this host */
export function memoryOverhead(all: readonly Pss[], qemu: Pss | undefined, containers: number): number {
  const total = all.reduce((sum, { total }) => sum + total, 0);
  if (!qemu) return total;
  // A guest whose memory is not shared has it in private pages.
  const guest = qemu.shmem > 0 ? qemu.shmem : qemu.total;
  return total - Math.min(Math.max(containers, 0), guest, total);
}

/** Seconds of processor time a process has used. */
export function cpuOf({ stat }: ProcessReading): number {
  return ((stat.get('utime') ?? 0) + (stat.get('stime') ?? 0)) / TICKS_A_SECOND;
}

/** Follows a pod's processor time from scrape to scrape. */
export class CpuOverhead {
  private before: Moment;
  private last: Moment;

  /** @param startedAt when the pod's processes began, in the clock of `measure` */
  constructor(startedAt: number) {
    this.before = { at: startedAt, host: 0, containers: 0 };
    this.last = this.before;
  }

  /**
   * @param now milliseconds
   * @param host seconds of processor time of all host processes
   * @param containers likewise of all containers
   * @returns percent of one processor since the scrape before; the first time since the start
   */
  measure(now: number, host: number, containers: number): number {
    if (now - this.last.at >= MIN_WINDOW_MS) {
      this.before = this.last;
      this.last = { at: now, host, containers };
    }
    const { before } = this;
    // A container that is deleted takes its time with it: then nothing was used, not less than nothing.
    const used = Math.max(0, containers - before.containers);
    const seconds = Math.max(now - before.at, 1) / 1000;
    return (Math.max(0, host - before.host - used) / seconds) * 100;
  }
}
