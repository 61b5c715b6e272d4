/** Whether a limit of memory holds a virtual machine and what runs around it. */
import { KataError } from '../error.ts';
import type { CgroupFiles } from './cgroup-host.ts';

const MIB = 1024 * 1024;

/** The one sum that a pod's limit has to hold. */
export interface MemoryNeed {
  /** Memory of the guest, bytes. */
  readonly vmMemoryBytes: number;
  /** What QEMU, virtiofsd and the shim need beside it, bytes. */
  readonly overheadBytes: number;
}

/**
 * Checks every limit above a sandbox's cgroup.
 * @param point where the hierarchy is mounted
 * @param path of the sandbox's cgroup below it; what is not there limits nothing
 * @param file of the limit, bytes or `max`
 * @throws KataError `failed_precondition` naming limit and need
 */
export async function checkPodLimit(
  files: CgroupFiles,
  point: string,
  path: string,
  file: string,
  need: MemoryNeed,
): Promise<void> {
  for (let parent = path.slice(0, path.lastIndexOf('/')); ; parent = parent.slice(0, parent.lastIndexOf('/'))) {
    const text = await files.read(`${point}${parent}/${file}`).catch(() => 'max');
    const limit = Number(text.trim());
    // NaN: `max`.
    if (limit >= 0) checkNeed(limit, `${file} of cgroup ${parent || '/'}:`, need);
    if (parent === '') return;
  }
}

/**
 * @param limit bytes
 * @param what the limit is, at the start of the message
 * @throws KataError `failed_precondition` naming limit and need
 */
export function checkNeed(limit: number, what: string, { vmMemoryBytes, overheadBytes }: MemoryNeed): void {
  const need = vmMemoryBytes + overheadBytes;
  if (limit >= need) return;
  throw new KataError(
    'failed_precondition',
    `${what} ${mib(limit)} of memory cannot hold the virtual machine, which needs ${mib(need)}: ${mib(vmMemoryBytes)} for the guest, ` +
      `${mib(overheadBytes)} around it; raise the pod's memory limit or overhead.podFixed.memory of its RuntimeClass, ` +
      `or lower default_memory or overhead_memory in configuration.toml`,
  );
}

function mib(bytes: number): string {
  return `${Math.floor((bytes / MIB) * 10) / 10} MiB`;
}
