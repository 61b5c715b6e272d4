/**
 * `emptydir_mode = "block-plain"`: an emptyDir of the default medium as a disk of the guest's own. Its image is a file in the
 * emptyDir itself, where kubelet counts what it takes and removes it; it is sparse, and of the size of the host's file system.
 */
import { constants, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { chmod, chown, open, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Child } from '../child.ts';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Mount } from '../proto/messages/oci.ts';
import { oneLine } from '../tail.ts';
import { isEmptyDir } from './empty-dir.ts';
import { MAKE_IMAGE_MS, MKE2FS_PATHS } from './image-rootfs.ts';
import type { GuestVolume } from './share.ts';
import type { VolumeSource } from './volume-source.ts';

/** Most of one sandbox: each takes a slot of the machine. */
export const MAX_EMPTY_DISKS = 16;
/** Largest image, bytes: what ext4 holds with blocks of 4 KiB. */
export const MAX_IMAGE_BYTES = 16 * 1024 ** 4;
/** Smallest, bytes: below it ext4 has no journal. */
export const MIN_IMAGE_BYTES = 16 * 1024 ** 2;
/** The image's name in an emptyDir, as Kata's. */
export const IMAGE_NAME = 'disk.img';
/** Where the guest mounts them. */
const GUEST_DISKS = '/run/kata-containers/sandbox/empty-dirs';
/** The directory in the image that containers see: of the emptyDir's owner and mode, which a root directory cannot be given. */
const DATA = 'data';
/** Where kubelet binds subPaths: `<pod>/volume-subpaths/<volume>/<container>/<number>`. */
const SUB_PATH = /^(.*)\/volume-subpaths\/([^/]+)\/[^/]+\/[^/]+$/;
const EMPTY_DIRS = 'volumes/kubernetes.io~empty-dir';

export class EmptyDirDisks {
  readonly #hypervisor: Pick<Hypervisor, 'plugBlock'>;
  readonly #directory: string;
  /** Addresses of the disks, by path of their emptyDirs. */
  readonly #disks = new Map<string, Promise<string>>();

  /** @param directory the sandbox's private directory, for what is made on the way */
  constructor(directory: string, hypervisor: Pick<Hypervisor, 'plugBlock'>) {
    this.#directory = directory;
    this.#hypervisor = hypervisor;
  }

  /**
   * The same disk for every container of the pod; it stays until the sandbox ends. Needs a running VM.
   * @param source `mount`'s, opened
   * @returns undefined for what is no emptyDir
   * @throws KataError `failed_precondition` without mke2fs, and for a subPath of one; `resource_exhausted`; of the hypervisor
   */
  async add(id: string, mount: Mount, source: VolumeSource): Promise<GuestVolume | undefined> {
    if (source.kind !== 'directory') return undefined;
    refuseSubPath(id, mount);
    if (!isEmptyDir(mount)) return undefined;
    const path = mount.source.replace(/\/+$/, '');
    const number = [...this.#disks.keys()].indexOf(path);
    const at = number < 0 ? this.#disks.size : number;
    let address = this.#disks.get(path);
    if (!address) {
      if (this.#disks.size >= MAX_EMPTY_DISKS) {
        throw new KataError(
          'resource_exhausted',
          `container ${id}: the pod has ${MAX_EMPTY_DISKS} emptyDirs that are disks already; set emptydir_mode = "shared-fs"`,
        );
      }
      address = this.#plug(`empty-dir-${at}`, source);
      this.#disks.set(path, address);
      address.catch(() => this.#disks.delete(path));
    }
    const mountPoint = `${GUEST_DISKS}/${basename(path)}`;
    const storage = {
      driver: 'blk',
      source: await address,
      fstype: 'ext4',
      options: ['nosuid', 'nodev'],
      mount_point: mountPoint,
      shared: true,
    };
    return { mount: { ...mount, source: `${mountPoint}/${DATA}` }, storages: [storage] };
  }

  async #plug(name: string, source: VolumeSource): Promise<string> {
    const image = join(source.realPath, IMAGE_NAME);
    // One that is there is of this emptyDir's earlier sandbox, with what its containers have left.
    if (!existsSync(image)) await makeImage(image, source, this.#directory);
    else if (!lstatSync(image).isFile()) {
      throw new KataError('failed_precondition', `${image} is no regular file; remove it, or the pod`);
    }
    return this.#hypervisor.plugBlock(name, image, false);
  }
}

/** kubelet binds a directory of the host's, which is not what the guest's disk holds. */
function refuseSubPath(id: string, { source }: Mount): void {
  const [, pod, volume] = SUB_PATH.exec(source) ?? [];
  if (pod === undefined || volume === undefined || !existsSync(join(pod, EMPTY_DIRS, volume))) return;
  throw new KataError(
    'failed_precondition',
    `container ${id}: ${JSON.stringify(source)} is a subPath of an emptyDir, and runtime.emptydir_mode is "block-plain": the disk has no such directory; mount the whole volume, or set emptydir_mode = "shared-fs"`,
  );
}

/** It has its name when it is complete. */
async function makeImage(image: string, source: VolumeSource, directory: string): Promise<void> {
  const mke2fs = MKE2FS_PATHS.find((path) => existsSync(path));
  if (mke2fs === undefined) {
    throw new KataError(
      'failed_precondition',
      'runtime.emptydir_mode is "block-plain": install the package e2fsprogs, which makes disks, or set "shared-fs"',
    );
  }
  const { bsize, blocks } = await statfs(dirname(image));
  const bytes = Math.min(Math.max(bsize * blocks, MIN_IMAGE_BYTES), MAX_IMAGE_BYTES);
  const unfinished = `${image}.new`;
  const model = mkdtempSync(join(directory, 'empty-dir-'));
  try {
    const data = join(model, DATA);
    mkdirSync(data);
    await chown(data, source.stat.uid, source.stat.gid);
    await chmod(data, source.stat.mode & 0o7777);
    await rm(unfinished, { force: true });
    await (await open(unfinished, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600)).close();
    await run(mke2fs, model, unfinished, Math.floor(bytes / 1024));
    await rename(unfinished, image);
  } finally {
    rmSync(model, { recursive: true, force: true });
    await rm(unfinished, { force: true });
  }
}

async function run(mke2fs: string, model: string, image: string, kibibytes: number): Promise<void> {
  const layout = ['-t', 'ext4', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard'];
  const args = ['-q', '-F', ...layout, '-d', model, image, `${kibibytes}k`];
  const child = await Child.spawn(mke2fs, args, { descriptors: [], dropCapabilities: false });
  const timer = setTimeout(() => void child.kill(), MAKE_IMAGE_MS);
  const { code, signal, stderr } = await child.exited;
  clearTimeout(timer);
  if (code === 0) return;
  const how = signal === null ? `status ${code}` : `${signal}, perhaps after ${MAKE_IMAGE_MS / 1000} s`;
  throw new KataError('resource_exhausted', `mke2fs cannot make ${image} (${how}): ${oneLine(stderr)}`);
}
