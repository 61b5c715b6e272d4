/** A container's limits, as far as they name things of the host: fitted to this guest, and applied beyond what crun does. */
import type { LinuxResources } from '../../host/proto/messages/oci.ts';
import { type Disk, onGuestDisks, updateBlockIo } from './block-io.ts';
import type { Cgroup } from './cgroup.ts';
import { fitCpus, fitMems } from './cpuset.ts';
import { AgentError } from './error.ts';
import { readTextIfAny } from './files.ts';
import type { Guest } from './options.ts';

/** Most entries of `unified`. */
export const MAX_UNIFIED = 256;
/** A file of a controller; `cgroup.` files are the agent's: freezing, killing, moving. */
const UNIFIED_FILE = /^(?!cgroup\.)[a-z0-9_]+\.[A-Za-z0-9_.]+$/;

/**
 * The resources with processors and memory nodes of this guest.
 * @throws AgentError invalid_argument for what is no list
 */
export function fitResources(guest: Guest, wanted: LinuxResources): LinuxResources {
  const resources = guest.options.leaveOutLimits ? possible(guest, wanted) : wanted;
  const { CPU: cpu } = resources;
  if (!cpu || (cpu.Cpus === '' && cpu.Mems === '')) return resources;
  return {
    ...resources,
    CPU: { ...cpu, Cpus: guestCpus(guest, cpu.Cpus), Mems: fitMems(cpu.Mems, online(guest, 'mems')) },
  };
}

/** The resources without those of controllers that this machine has not. */
function possible({ sys, options }: Guest, resources: LinuxResources): LinuxResources {
  const controllers = (readTextIfAny(sys, `${options.cgroupRoot}/cgroup.controllers`) ?? '').trim().split(/\s+/);
  const has = (name: string): boolean => controllers.includes(name);
  const { CPU: cpu } = resources;
  const nothing = { Shares: 0, Quota: 0, Period: 0, RealtimeRuntime: 0, RealtimePeriod: 0, Burst: 0, Idle: undefined };
  return {
    ...resources,
    CPU: cpu && { ...cpu, ...(has('cpu') ? {} : nothing), ...(has('cpuset') ? {} : { Cpus: '', Mems: '' }) },
    Memory: has('memory') ? resources.Memory : undefined,
    Pids: has('pids') ? resources.Pids : undefined,
    BlockIO: has('io') ? resources.BlockIO : undefined,
    HugepageLimits: has('hugetlb') ? resources.HugepageLimits : [],
  };
}

/** The processors of this guest for those the host named. */
export function guestCpus(guest: Guest, wanted: string): string {
  return fitCpus(wanted, online(guest, 'cpus'));
}

/**
 * Applies what crun does not: bursts, huge pages, block I/O, and unified last, since it is the most exact.
 * What this guest has no controller for is logged and left out: it must not keep a container from running.
 * @throws AgentError invalid_argument, internal where the kernel refuses a value
 */
export function applyExtras(guest: Guest, cgroup: Cgroup, resources: LinuxResources, disks: readonly Disk[]): void {
  cgroup.updateOptional(resources);
  const left = resources.BlockIO ? updateBlockIo(cgroup, resources.BlockIO, disks) : [];
  left.push(...applyUnified(guest, cgroup, resources.Unified, disks));
  for (const line of left) guest.sys.log(`${cgroup.directory}: left out: ${line}`);
}

function applyUnified(
  guest: Guest,
  cgroup: Cgroup,
  unified: Readonly<Record<string, string>>,
  disks: readonly Disk[],
): string[] {
  const entries = Object.entries(unified);
  if (entries.length > MAX_UNIFIED) {
    throw new AgentError('invalid_argument', `unified has ${entries.length} entries; at most ${MAX_UNIFIED}`);
  }
  const left: string[] = [];
  for (const [file, value] of entries) {
    if (!UNIFIED_FILE.test(file)) {
      throw new AgentError('invalid_argument', `unified: ${JSON.stringify(file)} is no file of a controller`);
    }
    if (!cgroup.has(file)) left.push(`unified ${file}: this guest has no such file`);
    else for (const line of fitted(guest, file, value, disks)) cgroup.write(file, line);
  }
  return left;
}

function fitted(guest: Guest, file: string, value: string, disks: readonly Disk[]): string[] {
  if (file === 'cpuset.cpus') return [guestCpus(guest, value)];
  if (file === 'cpuset.mems') return [fitMems(value, online(guest, 'mems'))];
  return file.startsWith('io.') ? onGuestDisks(value, disks) : [value];
}

/** What a container without limits may use. */
function online({ sys, options }: Guest, what: 'cpus' | 'mems'): string {
  return readTextIfAny(sys, `${options.cgroupRoot}/cpuset.${what}.effective`) ?? '';
}
