/** Pods' cgroups, which a kubelet makes and removes; here the container runtime makes them by itself. */
import { type Dirent, existsSync, readdirSync, rmdirSync } from 'node:fs';

const CGROUPS = '/sys/fs/cgroup';

/** Removes a cgroup from all hierarchies, as far as nothing is left in it. @param path absolute, as in cgroup_parent */
export function removeCgroup(path: string): void {
  for (const root of cgroupRoots()) removeDirectory(`${root}${path}`);
}

/** The same with each one directly below `path`. */
export function removeCgroupsBelow(path: string): void {
  for (const root of cgroupRoots()) {
    for (const name of directories(`${root}${path}`)) removeDirectory(`${root}${path}/${name}`);
  }
}

/** Every hierarchy of version 1, and version 2. Where there is but the latter, it is the root itself. */
function cgroupRoots(): string[] {
  if (existsSync(`${CGROUPS}/cgroup.controllers`)) return [CGROUPS];
  return directories(CGROUPS).map((name) => `${CGROUPS}/${name}`);
}

function directories(path: string): string[] {
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch {
    // Not there.
  }
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Never made, or something is left in it: the census will tell.
  }
}
