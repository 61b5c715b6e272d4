/** What lives in the guest's memory instead of the share: Kubernetes' emptyDirs of medium Memory, and the pod's /dev/shm. */
import { createHash } from 'node:crypto';
import { statfsSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KataError } from '../error.ts';
import { DEFAULT_SHM_BYTES, GUEST_SHM } from '../oci/rules.ts';
import { decode, type Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import { type Mount, Spec } from '../proto/messages/oci.ts';
import { mountsBelow } from './mountinfo.ts';
import type { GuestVolume } from './share.ts';
import { VolumeSource } from './volume-source.ts';

/** Where the guest mounts them, by the volume's name; fixed by the agent protocol. */
const GUEST_EPHEMERAL = '/run/kata-containers/sandbox/ephemeral';
/** Where the guest keeps those that are directories of its own. */
const GUEST_LOCAL = '/run/kata-containers/sandbox/local';
/** Where the guest binds directories that subPaths name. */
const GUEST_SUB_PATHS = '/run/kata-containers/sandbox/subpaths';
/** Option of our own agent's `bind`: the source is a directory to be made, with no link on its way from this one. */
const MAKE_BENEATH = 'io.katacontainers.edge.make_beneath';
/** kubelet's directory of a pod's emptyDirs. */
const EMPTY_DIR = 'kubernetes.io~empty-dir';
/** Where it binds subPaths: `<pod>/volume-subpaths/<volume>/<container>/<number>`. */
const SUB_PATH = /^(.*)\/volume-subpaths\/([^/]+)\/[^/]+\/[^/]+$/;

// Of statfs(2).
const TMPFS_MAGIC = 0x01021994;
const HUGETLBFS_MAGIC = 0x958458f6;

const UNITS: Readonly<Record<string, number>> = { KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

/** A sandbox's /dev/shm. */
export interface SandboxShm {
  /** For `GuestView.shmBytes`. */
  readonly bytes: number;
  /** For CreateSandbox. */
  readonly storage: Init<Storage>;
}

/** Whether a mount's source is an emptyDir as kubelet makes them. */
export function isEmptyDir({ source }: Pick<Mount, 'source'>): boolean {
  return basename(dirname(source)) === EMPTY_DIR;
}

/**
 * An emptyDir of medium Memory or HugePages, or a subPath of one, as one mount of the guest's own for all containers of the
 * pod, of the host's size, mode and group. It outlives its containers: init containers leave things in it.
 * @param source `mount`'s, opened
 * @param spec encoded grpc.Spec of the container, which tells the size of huge pages
 * @returns undefined for every other volume
 * @throws KataError `invalid_argument` for huge pages without a limit
 */
export async function memoryEmptyDir(
  mount: Mount,
  source: VolumeSource,
  spec?: Uint8Array,
): Promise<GuestVolume | undefined> {
  if (source.kind !== 'directory') return undefined;
  if (isEmptyDir(mount)) {
    const storage = await memoryStorage(mount, source, spec);
    return storage && { mount: { ...mount, source: storage.mount_point }, storages: [storage] };
  }
  return memorySubPath(mount, source, spec);
}

/** An emptyDir of the default medium as a directory of the guest's own: its root file system is memory, or the image's disk. */
export function localEmptyDir(mount: Mount, source: VolumeSource): GuestVolume | undefined {
  if (!isEmptyDir(mount) || source.kind !== 'directory') return undefined;
  const mountPoint = `${GUEST_LOCAL}/${basename(mount.source)}`;
  const options = [modeOf(source), ...groupOf(source)];
  const storage = { driver: 'local', source: 'local', fstype: 'local', options, mount_point: mountPoint, shared: true };
  return { mount: { ...mount, source: mountPoint }, storages: [storage] };
}

/**
 * The /dev/shm that all containers of a pod share, of the size containerd gave the pod's on the host.
 * @param mounts of the sandbox's spec; none where it has no spec
 */
export function sandboxShm(mounts: readonly Mount[]): SandboxShm {
  const mount = mounts.find(({ destination }) => destination.replace(/\/+$/, '') === '/dev/shm');
  const bytes = (mount && sizeOf(mount)) || DEFAULT_SHM_BYTES;
  const options = ['noexec', 'nosuid', 'nodev', 'mode=1777', `size=${bytes}`];
  return {
    bytes,
    storage: { driver: 'ephemeral', source: 'shm', fstype: 'tmpfs', options, mount_point: GUEST_SHM, shared: true },
  };
}

async function memoryStorage(
  mount: Mount,
  source: VolumeSource,
  spec: Uint8Array | undefined,
): Promise<(Init<Storage> & { mount_point: string }) | undefined> {
  const { type, bsize, blocks } = await statfs(source.path);
  const huge = type === HUGETLBFS_MAGIC;
  if (!huge && type !== TMPFS_MAGIC) return undefined;
  // kubelet's directory may itself lie in a tmpfs: then only what is mounted is of medium Memory.
  if (statSync(dirname(mount.source), { throwIfNoEntry: false })?.dev === source.stat.dev) return undefined;
  const storage: Init<Storage> = huge
    ? { source: 'nodev', fstype: 'hugetlbfs', options: [hugePages(mount, bsize, bsize * blocks, spec)] }
    : { source: 'tmpfs', fstype: 'tmpfs', options: tmpfsOptions(source, bsize * blocks) };
  const mountPoint = `${GUEST_EPHEMERAL}/${basename(mount.source)}`;
  return { ...storage, driver: 'ephemeral', mount_point: mountPoint, shared: true };
}

/**
 * kubelet binds a subPath on the host, where the volume is empty: the guest makes the same directory in its own, in which the
 * other containers of the pod find it.
 */
async function memorySubPath(mount: Mount, source: VolumeSource, spec?: Uint8Array): Promise<GuestVolume | undefined> {
  const [, pod, name] = SUB_PATH.exec(mount.source) ?? [];
  if (pod === undefined || name === undefined) return undefined;
  const whole = { ...mount, source: join(pod, 'volumes', EMPTY_DIR, name) };
  if (statSync(whole.source, { throwIfNoEntry: false })?.dev !== source.stat.dev) return undefined;
  const { realPath } = source;
  const below = mountsBelow(realPath).findLast(({ point }) => point === realPath)?.root;
  if (below === undefined) return undefined;
  const volume = await VolumeSource.open(name, whole);
  try {
    const storage = await memoryStorage(whole, volume, spec);
    if (!storage) return undefined;
    const name = createHash('sha256').update(`${storage.mount_point}\0${below}`).digest('base64url');
    const place = `${GUEST_SUB_PATHS}/${name}`;
    const directory: Init<Storage> = {
      driver: 'bind',
      // The containers own what is in the volume: the agent makes the directory and binds it without following their links.
      driver_options: [`${MAKE_BENEATH}=${storage.mount_point}`],
      source: join(storage.mount_point, below),
      fstype: 'bind',
      options: ['bind', modeOf(source), ...groupOf(source)],
      mount_point: place,
    };
    return { mount: { ...mount, source: place }, storages: [storage, directory] };
  } finally {
    await volume.close();
  }
}

/** 0: it does not tell. */
function sizeOf({ type, source, options }: Mount): number {
  if (type === 'tmpfs') {
    const size = options.map((option) => /^size=([0-9]+)([kmg]?)$/i.exec(option)).find((found) => found);
    return Number(size?.[1] ?? 0) * (UNITS[`${size?.[2]?.toUpperCase()}B`] ?? 1);
  }
  try {
    const { type: magic, bsize, blocks } = statfsSync(source);
    return magic === TMPFS_MAGIC ? bsize * blocks : 0;
  } catch {
    return 0;
  }
}

function tmpfsOptions(source: VolumeSource, bytes: number): string[] {
  return [...(bytes > 0 ? [`size=${bytes}`] : []), modeOf(source), ...groupOf(source)];
}

function modeOf({ stat }: VolumeSource): string {
  return `mode=${(stat.mode & 0o7777).toString(8).padStart(4, '0')}`;
}

/** The agent's own option: given to the group, files made in it inherit that. */
function groupOf({ stat }: VolumeSource): string[] {
  return stat.gid === 0 ? [] : [`fsgid=${stat.gid}`];
}

/** kubelet mounts huge pages without a size: then it is the container's limit. */
function hugePages({ source }: Mount, pageBytes: number, mountBytes: number, spec: Uint8Array | undefined): string {
  const limits = spec ? (decode(Spec, spec).Linux?.Resources?.HugepageLimits ?? []) : [];
  const limit = limits.find(({ Pagesize }) => bytesOf(Pagesize) === pageBytes);
  const bytes = mountBytes || Number(limit?.Limit ?? 0);
  if (bytes <= 0) {
    throw new KataError(
      'invalid_argument',
      `${source}: huge pages of ${pageBytes} bytes without a size; set the container's limit of hugepages-*`,
    );
  }
  return `pagesize=${pageBytes},size=${bytes}`;
}

/** The runtime specification's page sizes, as `2MB`. */
function bytesOf(pageSize: string): number {
  const [, count, unit = ''] = /^([0-9]+)(KB|MB|GB)$/.exec(pageSize) ?? [];
  return Number(count ?? 0) * (UNITS[unit] ?? 0);
}
