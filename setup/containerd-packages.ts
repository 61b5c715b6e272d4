/** The containerd versions we are run against, unpacked from Debian packages beside the machine's own. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { fetchPackages, type Progress, type Suite, unpack } from './debian.ts';

/** Version → the Debian suite that has it. Bookworm's runc serves all: later ones need a later libc. */
export const CONTAINERD_SUITES = { '1.6': 'bookworm', '1.7': 'trixie', '2.1': 'sid' } as const satisfies Record<
  string,
  Suite
>;

export type ContainerdVersion = keyof typeof CONTAINERD_SUITES;

export const CONTAINERD_VERSIONS = Object.keys(CONTAINERD_SUITES) as ContainerdVersion[];

const RUNC_SUITE: Suite = 'bookworm';

/** Directories with programs, as absolute paths. */
export interface ContainerdPrograms {
  /** containerd, ctr, containerd-shim-runc-v2. */
  readonly bin: string;
  /** runc. */
  readonly runcBin: string;
}

/**
 * Unpacks one version, unless it is unpacked already; then no network is needed.
 * @param directory where to, e.g. build/containerd
 * @param cache where .deb files are kept, e.g. build/cache/debian
 * @throws KataError when a package cannot be had
 */
export async function containerdPrograms(
  version: ContainerdVersion,
  directory: string,
  cache: string,
  progress: Progress,
): Promise<ContainerdPrograms> {
  const suite = CONTAINERD_SUITES[version];
  const containerd = await unpacked('containerd', suite, `${directory}/${version}`, cache, progress);
  const runc = await unpacked('runc', RUNC_SUITE, `${directory}/runc`, cache, progress);
  return { bin: `${containerd}/usr/bin`, runcBin: `${runc}/usr/sbin` };
}

/** Whether `containerdPrograms` has nothing to do. */
export function isUnpacked(version: ContainerdVersion, directory: string): boolean {
  return existsSync(`${directory}/${version}`) && existsSync(`${directory}/runc`);
}

/**
 * Unpacks a package, unless that has been done.
 * @param target where its files go, as `TARGET/usr/...`
 * @returns target
 */
export async function unpacked(
  name: string,
  suite: Suite,
  target: string,
  cache: string,
  progress: Progress,
): Promise<string> {
  if (existsSync(target)) return target;
  const [fetched] = await fetchPackages([{ suite, name }], cache, progress);
  if (fetched === undefined) throw new Error(`Debian ${suite} has no ${name}`);
  // Renamed when complete: an interrupted run leaves nothing that looks unpacked.
  const partial = `${target}.${process.pid}`;
  await unpack(fetched.file, partial);
  rmSync(target, { recursive: true, force: true });
  renameSync(partial, target);
  return target;
}
