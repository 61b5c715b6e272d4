/** Which way of managing cgroups this machine and a sandbox's path ask for; and removing what is left of any. */
import type { Log } from '../sandbox/log.ts';
import { CgroupDirectories, type DirectoryOptions } from './cgroup-directories.ts';
import { type CgroupHost, thisHost } from './cgroup-host.ts';
import { placeOf } from './cgroup-path.ts';
import { SystemdScope, scopePlace, UNIT_TRACE } from './cgroup-systemd.ts';
import { isOwn, REMOVE_WAIT_MS, removeCgroup } from './cgroup-tree.ts';
import { CgroupV1 } from './cgroup-v1.ts';
import { CgroupV2 } from './cgroup-v2.ts';
import type { HostCgroup } from './host-cgroup.ts';
import { NoCgroup } from './no-cgroup.ts';

/** Most traces taken from a state file. */
export const MAX_TRACES = 1024;

export interface HostCgroupOptions extends Omit<DirectoryOptions, 'place'> {
  /** `linux.cgroupsPath` of the sandbox's spec: directories, or `slice:prefix:name`. */
  readonly cgroupsPath: string;
  readonly sandboxId: string;
  /** For tests; this machine otherwise. */
  readonly host?: CgroupHost | undefined;
}

/**
 * @throws KataError `invalid_argument` for a path that is none
 */
export function chooseHostCgroup(options: HostCgroupOptions): HostCgroup {
  const { cgroupsPath, sandboxId, sandboxCgroupOnly, log, host = thisHost() } = options;
  const place = placeOf(cgroupsPath, sandboxId);
  const { unit } = place;
  // A machine may mount version 2 beside version 1, with no controller in it.
  const isV1 = host.hierarchies.some(({ version, controllers }) => version === 1 && controllers[0] !== 'name=systemd');
  if (!isV1 && !host.hierarchies.some(({ version }) => version === 2)) {
    log.warn('no cgroup hierarchy is mounted: the sandbox is not limited by the host');
    return new NoCgroup();
  }
  const systemd = host.systemd && unit !== undefined;
  const version = isV1 ? new CgroupV1(host, log) : new CgroupV2(host, log, !systemd);
  if (systemd && sandboxCgroupOnly) {
    const directories = new CgroupDirectories(version, host, { ...options, place: scopePlace(place, unit) });
    return new SystemdScope(unit, sandboxId, host, directories);
  }
  if (unit) {
    log.info(
      "a systemd cgroup path is taken as directories: a cgroup of threads is no unit, or systemd is not this machine's init",
      {
        path: cgroupsPath,
        directory: place.sandbox,
      },
    );
  }
  return new CgroupDirectories(version, host, { ...options, place });
}

/**
 * Removes what a sandbox left, from the traces in its state file alone. Idempotent; empty directories only, below a
 * hierarchy's mount point only.
 * @param host for tests; this machine otherwise
 */
export async function cleanUpCgroups(
  traces: readonly string[],
  log: Log,
  host: CgroupHost = thisHost(),
): Promise<void> {
  const end = performance.now() + REMOVE_WAIT_MS;
  for (const trace of traces.slice(0, MAX_TRACES)) {
    if (trace.startsWith(UNIT_TRACE)) continue;
    const below = host.hierarchies.some(({ point }) => trace.startsWith(`${point}/`));
    if (
      !below ||
      trace
        .split('/')
        .slice(1)
        .some((name) => name === '' || name === '.' || name === '..')
    ) {
      log.warn('no cgroup: left alone', { path: trace.slice(0, 200) });
      continue;
    }
    const own = isOwn(trace);
    const reason = await removeCgroup(host.files, trace, own ? end : 0);
    if (reason !== undefined && own) log.error('cgroup cannot be removed', { directory: trace, reason });
  }
}
