/** Direct-assigned volumes of a sandbox: disks that are plugged into the VM once each and mounted by the guest, whoever shares them. */
import { readFileSync, statSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Init } from '../proto/codec.ts';
import type { FSGroup, Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/oci.ts';
import { FSGroupChangePolicy } from '../proto/messages/types.ts';
import {
  claimDirectVolume,
  DIRECT_VOLUMES,
  type MountInfo,
  readDirectVolume,
  releaseDirectVolume,
} from './direct-volume.ts';
import type { DirectVolume, GuestVolume } from './share.ts';

/** Most of one sandbox. */
export const MAX_DIRECT_VOLUMES = 16;
/** Where the guest mounts them, as Kata's. */
const GUEST_STORAGE = '/run/kata-containers/sandbox/storage';
/** Group ids are 32 bits, the last of which means none. */
const MAX_GROUP = 0xffff_fffe;
/** What sysfs counts sizes in, bytes. */
const SECTOR = 512;

type Plugs = Pick<Hypervisor, 'plugBlock' | 'unplug' | 'resizeBlock'>;

interface Disk {
  readonly name: string;
  readonly info: MountInfo;
  readonly readOnly: boolean;
  readonly guestPath: string;
  /** Paths under which it was recorded. */
  readonly volumePaths: Set<string>;
  readonly users: Set<string>;
  readonly address: Promise<string>;
}

export interface DirectDisksOptions {
  readonly sandboxId: string;
  /** Why disks cannot be plugged; undefined: they can. */
  readonly refusal?: string | undefined;
  /** Where the records lie; tests have their own. */
  readonly root?: string | undefined;
}

export class DirectDisks {
  readonly #hypervisor: Plugs;
  readonly #options: DirectDisksOptions;
  readonly #root: string;
  /** By device. */
  readonly #disks = new Map<string, Disk>();
  #count = 0;

  constructor(hypervisor: Plugs, options: DirectDisksOptions) {
    this.#hypervisor = hypervisor;
    this.#options = options;
    this.#root = options.root ?? DIRECT_VOLUMES;
  }

  /**
   * Gives a container a volume, if its source was recorded as one. Needs a running VM.
   * @param id of the container
   * @returns undefined: it is a mount like others
   * @throws KataError of `readDirectVolume`; `failed_precondition`, `not_found`, `resource_exhausted`
   */
  async add(id: string, mount: Mount): Promise<GuestVolume | undefined> {
    const info = readDirectVolume(mount.source, this.#root);
    if (!info) return undefined;
    const what = `container ${id}: direct-assigned volume ${mount.source} (${info.device})`;
    const { refusal } = this.#options;
    if (refusal !== undefined) throw new KataError('failed_precondition', `${what}: ${refusal}`);
    const group = groupOf(info, what);
    const disk = this.#disks.get(info.device) ?? this.#plug(info, what);
    const readOnly = info.options.includes('ro');
    if (disk.info.fsType !== info.fsType || disk.readOnly !== readOnly) {
      throw new KataError(
        'failed_precondition',
        `${what}: the pod has the device already, with other options; record it once`,
      );
    }
    disk.users.add(id);
    disk.volumePaths.add(mount.source);
    try {
      const source = await disk.address;
      this.#claim(mount.source, disk);
      return { mount: bindOf(mount, disk), storages: [storageOf(disk, source, group)] };
    } catch (thrown) {
      if (this.#disks.get(info.device) === disk) this.#disks.delete(info.device);
      throw thrown;
    }
  }

  /** By the volume's path, its device, or where the guest has it. */
  find(path: string): DirectVolume | undefined {
    for (const disk of this.#disks.values()) {
      const { guestPath, info, volumePaths } = disk;
      if (path !== guestPath && path !== info.device && !volumePaths.has(path)) continue;
      return { guestPath, grow: (size) => this.#grow(disk, size) };
    }
    return undefined;
  }

  /** Unplugs what no other container uses, if the VM still runs. Idempotent. */
  async remove(id: string): Promise<void> {
    for (const [device, disk] of [...this.#disks]) {
      if (!disk.users.delete(id) || disk.users.size > 0) continue;
      this.#disks.delete(device);
      this.#release(disk);
      try {
        await this.#hypervisor.unplug(disk.name);
      } catch (thrown) {
        // With the VM its devices are gone.
        if (!(thrown instanceof KataError) || thrown.code !== 'unavailable') throw thrown;
      }
    }
  }

  /** After the VM has ended. Idempotent. */
  close(): void {
    for (const disk of this.#disks.values()) this.#release(disk);
    this.#disks.clear();
  }

  #plug(info: MountInfo, what: string): Disk {
    if (this.#disks.size >= MAX_DIRECT_VOLUMES) {
      throw new KataError(
        'resource_exhausted',
        `${what}: the pod has ${MAX_DIRECT_VOLUMES} direct-assigned volumes already`,
      );
    }
    bytesOf(info.device, what);
    const name = `direct-${this.#count++}`;
    const readOnly = info.options.includes('ro');
    const address = this.#hypervisor.plugBlock(name, info.device, readOnly);
    const guestPath = `${GUEST_STORAGE}/${Buffer.from(info.device).toString('base64url')}`;
    const disk = { name, info, readOnly, guestPath, volumePaths: new Set<string>(), users: new Set<string>(), address };
    this.#disks.set(info.device, disk);
    return disk;
  }

  async #grow({ name, info, readOnly }: Disk, size: number): Promise<void> {
    const what = `direct-assigned volume ${info.device}`;
    if (readOnly) throw new KataError('failed_precondition', `${what} is read-only`);
    const bytes = bytesOf(info.device, what);
    if (bytes < size) {
      throw new KataError(
        'failed_precondition',
        `${what} has ${bytes} bytes, fewer than the ${size} wanted: the device has to be grown first`,
      );
    }
    await this.#hypervisor.resizeBlock(name, bytes);
  }

  /** A disk that is written to is one sandbox's: QEMU has locked it, and other names are what crashes have left. */
  #claim(volumePath: string, { readOnly }: Disk): void {
    claimDirectVolume(volumePath, this.#options.sandboxId, !readOnly, this.#root);
  }

  #release({ volumePaths }: Disk): void {
    for (const path of volumePaths) releaseDirectVolume(path, this.#options.sandboxId, this.#root);
  }
}

function bindOf({ destination, options }: Mount, { guestPath }: Disk): Init<Mount> {
  const own = options.some((option) => option === 'bind' || option === 'rbind') ? [] : ['bind'];
  return { destination, type: 'bind', source: guestPath, options: [...own, ...options] };
}

function storageOf({ info, guestPath }: Disk, source: string, group: FSGroup | undefined): Init<Storage> {
  const { fsType, options, metadata } = info;
  const driverOptions: string[] = [];
  if (metadata.encryptionKey) driverOptions.push(`encryption_key=${metadata.encryptionKey}`);
  if (metadata.createFilesystem === 'true') driverOptions.push('create_filesystem');
  return {
    driver: 'blk',
    source,
    fstype: fsType,
    // XFS refuses a second file system of the same UUID, which clones of a volume have.
    options: fsType === 'xfs' ? [...options, 'nouuid'] : [...options],
    mount_point: guestPath,
    driver_options: driverOptions,
    ...(group ? { fs_group: group } : {}),
  };
}

function groupOf({ metadata }: MountInfo, what: string): FSGroup | undefined {
  const { fsGroup, fsGroupChangePolicy: policy = '' } = metadata;
  if (fsGroup === undefined || fsGroup === '') return undefined;
  const group = Number(fsGroup);
  if (!/^\d+$/.test(fsGroup) || group > MAX_GROUP) {
    throw new KataError('invalid_argument', `${what}: metadata.fsGroup is ${JSON.stringify(fsGroup)}, no group id`);
  }
  const policies: Readonly<Record<string, number>> = {
    '': FSGroupChangePolicy.Always,
    Always: FSGroupChangePolicy.Always,
    OnRootMismatch: FSGroupChangePolicy.OnRootMismatch,
  };
  const chosen = policies[policy];
  if (chosen === undefined) {
    throw new KataError(
      'invalid_argument',
      `${what}: metadata.fsGroupChangePolicy is ${JSON.stringify(policy)}; use Always or OnRootMismatch`,
    );
  }
  return { group_id: group, group_change_policy: chosen };
}

/** Size of a block device or image file. @throws KataError `not_found`, `invalid_argument` */
function bytesOf(path: string, what: string): number {
  try {
    const found = statSync(path);
    if (found.isFile()) return found.size;
    if (found.isBlockDevice()) return sectorsOf(found.rdev) * SECTOR;
  } catch (thrown) {
    throw new KataError('not_found', `${what}: the device cannot be used: ${reasonOf(thrown)}`, { cause: thrown });
  }
  throw new KataError('invalid_argument', `${what} is neither a block device nor a file`);
}

function sectorsOf(rdev: number): number {
  // makedev(3) of glibc; majors of block devices have 12 bits.
  const [major, minor] = [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)];
  return Number(readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'latin1'));
}
