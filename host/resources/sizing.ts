/** How large a virtual machine has to be: static, from what is known when it is created. */
import { MIN_MEMORY_MIB, type Sizes } from '../config/sizes.ts';
import { KataError } from '../error.ts';
import type { Accelerator, VmConfig } from '../hypervisor/hypervisor.ts';
import type { SpecView } from '../oci/rewrite.ts';
import type { MemoryNeed } from './memory-need.ts';

/** Annotations by which CRI tells a pod's sum of limits. */
const CPU_PERIOD = 'io.kubernetes.cri.sandbox-cpu-period';
const CPU_QUOTA = 'io.kubernetes.cri.sandbox-cpu-quota';
const CPU_SHARES = 'io.kubernetes.cri.sandbox-cpu-shares';
const MEMORY = 'io.kubernetes.cri.sandbox-memory';

const MIB = 1024 * 1024;
/** Shares of one CPU. */
const SHARES_PER_CPU = 1024;
/** Most shares the kernel knows. */
export const MAX_SHARES = 262_144;
/** Longest period the kernel knows, µs. */
export const MAX_PERIOD_US = 1_000_000;
/** Most CPUs a limit may come to: what Linux can be built for. */
export const MAX_CPUS = 8192;
/** Limits of a container's spec from here on mean "none", bytes: 1 PiB. */
const UNLIMITED = 2 ** 50;
/** A machine's memory is a multiple of it, MiB: a huge page of either architecture. */
export const MEMORY_STEP_MIB = 2;
/** Parts of a CPU: anything finer comes of dividing quota by period, not of a wish. */
const PARTS_PER_CPU = 1000;
/**
 * What is charged to a sandbox's cgroup beside the guest's memory, MiB: QEMU's own memory, virtiofsd, the shim, the kernel's part.
 * An emulator keeps the code it has translated in addition: 128 MiB, as QEMU is told by `tb-size`.
 */
export const HOST_OVERHEAD_MIB: Readonly<Record<Accelerator, number>> = { kvm: 64, tcg: 192 };

export interface Size {
  readonly vcpus: number;
  readonly memoryMib: number;
}

/** A pod's limits, as `LinuxContainerResources` of the CRI has them; 0: not limited. */
export interface PodLimits {
  /** Microseconds. */
  readonly cpuPeriod: number;
  /** Microseconds per period; -1: not limited. */
  readonly cpuQuota: number;
  /** Relative weight, what CPUs are guessed from when the quota is -1. */
  readonly cpuShares: number;
  /** Bytes. */
  readonly memoryBytes: number;
}

/**
 * The size that holds a workload with its overhead, within the host's CPUs; the defaults for one without limits.
 * @param view of the container that owns the sandbox
 * @throws KataError `invalid_argument` naming annotation, value and allowed range
 */
export function sizeOf(view: Pick<SpecView, 'containerType' | 'annotations' | 'resources'>, defaults: Sizes): Size {
  if (view.containerType === 'pod_sandbox') return sizeOfPod(annotated(view.annotations), defaults, ANNOTATIONS);
  const { memoryLimit, cpuQuota, cpuPeriod } = view.resources;
  // In a container's own spec anything negative or huge is a way to say "none".
  const limits = {
    cpuPeriod: Math.max(cpuPeriod, 0),
    cpuQuota: Math.max(cpuQuota, 0),
    cpuShares: 0,
    memoryBytes: memoryLimit > 0 && memoryLimit < UNLIMITED ? memoryLimit : 0,
  };
  return sizeOfPod(limits, defaults, OCI_FIELDS);
}

/**
 * Likewise by numbers, as the Sandbox API has them: `PodSandboxConfig.linux.resources`. Its `overhead` is not to be added: it
 * is the scheduler's estimate of what overhead_memory and the processes of the host take.
 * @throws KataError `invalid_argument` naming field, value and allowed range
 */
export function sizeOfPod(limits: PodLimits, defaults: Sizes, names: Names = CRI_FIELDS): Size {
  checkLimits(limits, names);
  const { vcpus, maxVcpus, memoryMib, overheadVcpus, overheadMemoryMib, staticSizing } = defaults;
  const cpus = cpusOf(limits);
  const memory = limits.memoryBytes / MIB;
  // Without static sizing the defaults stand for the overhead.
  const baseCpus = staticSizing ? overheadVcpus : vcpus;
  const baseMib = staticSizing ? overheadMemoryMib : memoryMib;
  const wantedCpus = cpus === 0 ? vcpus : baseCpus + cpus;
  const wantedMib = memory === 0 ? memoryMib : Math.max(baseMib + memory, MIN_MEMORY_MIB);
  return {
    vcpus: Math.min(Math.max(roundUp(wantedCpus), 1), maxVcpus),
    memoryMib: memorySize(wantedMib, baseMib, limits, defaults, names),
  };
}

/**
 * The one sum that a pod's limit has to hold.
 * @param accelerator of `chooseAccelerator`; absent: the one that needs least
 * @returns what `HostCgroup` is given, bytes
 */
export function needOf(
  { memoryMib, memory }: Pick<VmConfig, 'memoryMib' | 'memory'>,
  accelerator: Accelerator = 'kvm',
): MemoryNeed {
  // Reserved huge pages are counted apart, by limits of their own.
  const charged = memory?.hugePages === 'hugetlbfs' ? 0 : memoryMib;
  return { vmMemoryBytes: charged * MIB, overheadBytes: HOST_OVERHEAD_MIB[accelerator] * MIB };
}

/** What limits are called in messages. */
type Names = Readonly<Record<keyof PodLimits, string>>;

const ANNOTATIONS: Names = {
  cpuPeriod: `annotation ${CPU_PERIOD}`,
  cpuQuota: `annotation ${CPU_QUOTA}`,
  cpuShares: `annotation ${CPU_SHARES}`,
  memoryBytes: `annotation ${MEMORY}`,
};
const OCI_FIELDS: Names = {
  cpuPeriod: 'linux.resources.cpu.period',
  cpuQuota: 'linux.resources.cpu.quota',
  cpuShares: 'linux.resources.cpu.shares',
  memoryBytes: 'linux.resources.memory.limit',
};
const CRI_FIELDS: Names = {
  cpuPeriod: 'linux.resources.cpu_period',
  cpuQuota: 'linux.resources.cpu_quota',
  cpuShares: 'linux.resources.cpu_shares',
  memoryBytes: 'linux.resources.memory_limit_in_bytes',
};

function annotated(annotations: Readonly<Record<string, string>>): PodLimits {
  const read = (key: string): number => {
    const text = Object.hasOwn(annotations, key) ? (annotations[key] ?? '') : '0';
    // Nothing but a whole number: not `1e9`, not `0x10`, not an empty text.
    if (/^-?[0-9]{1,16}$/.test(text)) return Number(text);
    throw new KataError('invalid_argument', `annotation ${key} is ${show(text)}; it must be a whole number`);
  };
  return {
    cpuPeriod: read(CPU_PERIOD),
    cpuQuota: read(CPU_QUOTA),
    cpuShares: read(CPU_SHARES),
    memoryBytes: read(MEMORY),
  };
}

function checkLimits(limits: PodLimits, names: Names): void {
  const check = (name: keyof PodLimits, least: number, most: number, unit: string): void => {
    const value = limits[name];
    if (value >= least && value <= most) return;
    throw new KataError('invalid_argument', `${names[name]} is ${value}; it must be ${least} to ${most} ${unit}`);
  };
  check('cpuPeriod', 0, MAX_PERIOD_US, 'µs');
  check('cpuQuota', -1, MAX_CPUS * (limits.cpuPeriod || MAX_PERIOD_US), 'µs');
  check('cpuShares', 0, MAX_SHARES, 'shares');
  // The upper end is the host's and told in MiB, see below.
  check('memoryBytes', 0, Number.MAX_SAFE_INTEGER, 'bytes');
}

function cpusOf({ cpuPeriod, cpuQuota, cpuShares }: PodLimits): number {
  if (cpuQuota > 0 && cpuPeriod > 0) return cpuQuota / cpuPeriod;
  return cpuQuota < 0 && cpuShares > 0 ? Math.ceil(cpuShares / SHARES_PER_CPU) : 0;
}

/** Whole CPUs; after the sum, so that fractions of workload and overhead share one. */
function roundUp(cpus: number): number {
  return Math.ceil(Math.round(cpus * PARTS_PER_CPU) / PARTS_PER_CPU);
}

function memorySize(wanted: number, base: number, limits: PodLimits, defaults: Sizes, names: Names): number {
  const size = Math.ceil(wanted / MEMORY_STEP_MIB) * MEMORY_STEP_MIB;
  if (size <= defaults.maxMemoryMib) return size;
  const most = Math.max(0, Math.floor(defaults.maxMemoryMib) - base);
  const what =
    limits.memoryBytes > 0
      ? `${names.memoryBytes} is ${limits.memoryBytes}; it must be 0 to ${most * MIB} bytes (${most} MiB)`
      : `hypervisor.qemu.default_memory is ${defaults.memoryMib} MiB`;
  throw new KataError(
    'invalid_argument',
    `${what}: the virtual machine would have ${size} MiB, and at most ${defaults.maxMemoryMib} MiB can be given`,
  );
}

function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
