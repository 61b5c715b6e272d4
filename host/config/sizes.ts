/** How large a virtual machine is, or may become. */
import type { Machine } from './machine.ts';
import { REMOTE, type Values } from './values.ts';

/** Least memory a guest of ours runs in, MiB. */
export const MIN_MEMORY_MIB = 64;
/** Most vCPUs of a guest. */
export const MAX_VCPUS = 240;
/** Most memory a configuration may speak of, MiB: 64 TiB, beyond what an x86 CPU addresses. */
export const MAX_MEMORY_MIB = 64 * 1024 * 1024;
/** Most vCPUs that may be added to a workload's. */
export const MAX_OVERHEAD_VCPUS = 64;
/** Defaults where the configuration is silent, MiB. */
export const DEFAULT_MEMORY_MIB = 256;
/** As Kata's shipped configuration: the machines of a cloud are no smaller. */
export const DEFAULT_REMOTE_MEMORY_MIB = 2048;
export const DEFAULT_OVERHEAD_MEMORY_MIB = 128;

export interface Sizes {
  /** default_vcpus, may be a fraction: for a workload that asks for none. */
  readonly vcpus: number;
  /** default_maxvcpus, within the host's. */
  readonly maxVcpus: number;
  /** default_memory: for a workload that asks for none. */
  readonly memoryMib: number;
  /** default_maxmemory, within the host's. */
  readonly maxMemoryMib: number;
  /** Added to what a workload asks for. */
  readonly overheadVcpus: number;
  readonly overheadMemoryMib: number;
  /**
   * static_sandbox_resource_mgmt: a VM has the workload's limits and the overhead. Where it is off, Kata boots the defaults and
   * plugs the limits in addition: the VM is then made as large as that from the start.
   */
  readonly staticSizing: boolean;
}

/** @throws KataError `invalid_argument` naming file and key */
export function sizesOf(values: Values, { cpus, memoryMib: hostMib }: Machine): Sizes {
  const { hypervisor } = values;
  const remote = hypervisor === REMOTE;
  const wanted = values.number(hypervisor, 'default_vcpus', 1);
  if (remote && wanted < 0) {
    throw values.invalid(
      hypervisor,
      'default_vcpus',
      `is ${wanted}, all of this host; name the number the peer is to give`,
    );
  }
  const vcpus = bootVcpus(wanted, cpus);
  const maxVcpus = clampVcpus(values.number(hypervisor, 'default_maxvcpus', 0), cpus);
  const memoryMib = memoryOf(values, 'default_memory', remote ? DEFAULT_REMOTE_MEMORY_MIB : DEFAULT_MEMORY_MIB);
  if (memoryMib < MIN_MEMORY_MIB) {
    throw values.invalid(hypervisor, 'default_memory', `is ${memoryMib} MiB; a guest needs ${MIN_MEMORY_MIB} at least`);
  }
  const maxMemoryMib = memoryOf(values, 'default_maxmemory', 0) || hostMib;
  const overheadVcpus = values.number(hypervisor, 'overhead_vcpus', 0);
  if (overheadVcpus < 0 || overheadVcpus > MAX_OVERHEAD_VCPUS) {
    throw values.invalid(hypervisor, 'overhead_vcpus', `is ${overheadVcpus}; it must be 0 to ${MAX_OVERHEAD_VCPUS}`);
  }
  return {
    vcpus,
    maxVcpus: Math.max(maxVcpus, Math.ceil(vcpus)),
    memoryMib,
    maxMemoryMib: Math.min(maxMemoryMib, hostMib),
    overheadVcpus,
    overheadMemoryMib: memoryOf(values, 'overhead_memory', DEFAULT_OVERHEAD_MEMORY_MIB),
    staticSizing: values.boolean('runtime', 'static_sandbox_resource_mgmt', true),
  };
}

/** Kata's rules: 0 is 1, a negative number all of the host's, which are the most. */
export function bootVcpus(wanted: number, cpus: number): number {
  if (wanted < 0) return Math.min(cpus, MAX_VCPUS);
  return Math.min(wanted || 1, cpus, MAX_VCPUS);
}

/** 0: as many as the host has. */
function clampVcpus(wanted: number, cpus: number): number {
  return Math.max(1, Math.min(wanted === 0 ? cpus : wanted, cpus, MAX_VCPUS));
}

function memoryOf(values: Values, key: string, fallback: number): number {
  const mib = values.number(values.hypervisor, key, fallback);
  if (mib <= MAX_MEMORY_MIB) return mib;
  throw values.invalid(values.hypervisor, key, `is ${mib} MiB; at most ${MAX_MEMORY_MIB} MiB make sense`);
}
