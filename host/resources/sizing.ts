/** How large a virtual machine has to be: static, from what is known when it is created. */
import type { SpecView } from '../oci/rewrite.ts';

/** Annotations by which CRI tells a pod's sum of limits. */
const CPU_PERIOD = 'io.kubernetes.cri.sandbox-cpu-period';
const CPU_QUOTA = 'io.kubernetes.cri.sandbox-cpu-quota';
const CPU_SHARES = 'io.kubernetes.cri.sandbox-cpu-shares';
const MEMORY = 'io.kubernetes.cri.sandbox-memory';

const MIB = 1024 * 1024;
/** Shares of one CPU. */
const SHARES_PER_CPU = 1024;
/** Limits from here on mean "none", bytes: 1 PiB. */
const UNLIMITED = 2 ** 50;

export interface Defaults {
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryMib: number;
  /** Added to what the workload asks for. */
  readonly overheadVcpus: number;
  readonly overheadMemoryMib: number;
}

export interface Size {
  readonly vcpus: number;
  readonly memoryMib: number;
}

/**
 * The least size that holds the defaults and the workload with its overhead, within the host's CPUs.
 * @param view of the container that owns the sandbox
 */
export function sizeOf(view: Pick<SpecView, 'containerType' | 'annotations' | 'resources'>, defaults: Defaults): Size {
  const { cpus, bytes } = view.containerType === 'pod_sandbox' ? podWants(view.annotations) : ownWants(view.resources);
  const vcpus = cpus > 0 ? Math.ceil(cpus + defaults.overheadVcpus) : 0;
  const memoryMib = bytes > 0 && bytes < UNLIMITED ? Math.ceil(bytes / MIB) + defaults.overheadMemoryMib : 0;
  return {
    vcpus: Math.min(Math.max(vcpus, defaults.vcpus), defaults.maxVcpus),
    memoryMib: Math.max(memoryMib, defaults.memoryMib),
  };
}

interface Wants {
  readonly cpus: number;
  readonly bytes: number;
}

function podWants(annotations: Readonly<Record<string, string>>): Wants {
  const quota = numberOf(annotations[CPU_QUOTA]);
  const period = numberOf(annotations[CPU_PERIOD]);
  const shares = numberOf(annotations[CPU_SHARES]);
  const cpus =
    quota > 0 && period > 0 ? quota / period : quota < 0 && shares > 0 ? Math.ceil(shares / SHARES_PER_CPU) : 0;
  return { cpus, bytes: numberOf(annotations[MEMORY]) };
}

function ownWants({ cpuQuota, cpuPeriod, memoryLimit }: SpecView['resources']): Wants {
  return { cpus: cpuQuota > 0 && cpuPeriod > 0 ? cpuQuota / cpuPeriod : 0, bytes: memoryLimit };
}

/** 0 for what is no whole number. */
function numberOf(text: string | undefined): number {
  return text !== undefined && /^-?[0-9]{1,15}$/.test(text) ? Number(text) : 0;
}
