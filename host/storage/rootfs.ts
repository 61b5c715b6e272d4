/**
 * Chooses how each root file system and volume reaches the guest: as a disk, in the guest's memory, shared over virtio-fs, copied, or
 * pulled by the guest itself.
 */
import type { ChildExit } from '../child.ts';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Init } from '../proto/codec.ts';
import type { Device, Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import { BlockRootfs } from './block-rootfs.ts';
import { type BlockRequest, BlockVolumes } from './block-volumes.ts';
import { CopyRootfs } from './copy-rootfs.ts';
import { CopyShare, type CopyShareOptions } from './copy-share.ts';
import { DirectDisks } from './direct-disks.ts';
import { localEmptyDir, memoryEmptyDir } from './empty-dir.ts';
import { EmptyDirDisks } from './empty-dir-disk.ts';
import { ImageRootfs } from './image-rootfs.ts';
import { parseOptions } from './mounts.ts';
import type { DirectVolume, GuestRootfs, GuestVolume, ImageOrigin, RootfsShare } from './share.ts';
import { VirtioFsShare } from './virtio-fs-share.ts';
import type { VirtiofsdConfig } from './virtiofsd.ts';
import { forcedPull, guestPull } from './virtual-volume.ts';
import { VolumeSource } from './volume-source.ts';

/** MS_RDONLY of mount(2). */
const RDONLY = 1;

/** What `shared_fs` of the configuration may be; Kata knows others, which QEMU guests of ours have not. */
export const SHARED_FS = ['virtio-fs', 'none'] as const;
export type SharedFs = (typeof SHARED_FS)[number];

export interface RootfsConfig extends VirtiofsdConfig {
  /** `disable_block_device_use`: everything goes over virtio-fs. */
  readonly disableBlockDeviceUse: boolean;
  /** `shared_fs`; absent or empty: virtio-fs. */
  readonly sharedFs?: string | undefined;
  /** `disable_guest_empty_dir = false`: emptyDirs of the default medium are directories in the guest, which is its memory. */
  readonly guestEmptyDir?: boolean | undefined;
  /** `emptydir_mode = "block-plain"`: emptyDirs of the default medium are disks. */
  readonly blockEmptyDir?: boolean | undefined;
  /** Whether the guest pulls every image by itself. */
  readonly forceGuestPull?: boolean | undefined;
  /** Whether nothing can be plugged into the guest: what would be a disk is copied, or refused. */
  readonly noDisks?: boolean | undefined;
  /** Of the sandbox; absent: direct-assigned volumes are mounts like others. */
  readonly sandboxId?: string | undefined;
  /** Where direct-assigned volumes are recorded; tests have their own. */
  readonly directVolumes?: string | undefined;
}

export class Rootfs implements RootfsShare {
  readonly #virtioFs: VirtioFsShare | undefined;
  readonly #share: VirtioFsShare | CopyShare;
  readonly #block: BlockRootfs;
  readonly #volumes: BlockVolumes;
  readonly #direct: DirectDisks | undefined;
  readonly #useBlock: boolean;
  readonly #noDisks: boolean;
  readonly #forceGuestPull: boolean;
  readonly #guestEmptyDir: boolean;
  readonly #emptyDisks: EmptyDirDisks | undefined;
  readonly #sandboxMounts: boolean;
  readonly #hostNamespace: string | undefined;
  #expectShare = true;

  /**
   * @param directory the sandbox's private directory (0700)
   * @param hypervisor of the sandbox's VM
   * @param copying for `shared_fs = "none"`, which copies files into the guest through its agent
   * @throws KataError `invalid_argument` for another `shared_fs`
   */
  constructor(
    directory: string,
    config: RootfsConfig,
    hypervisor: Pick<Hypervisor, 'plugVirtioFs' | 'plugBlock' | 'unplug' | 'resizeBlock'>,
    copying?: CopyShareOptions,
  ) {
    this.#block = new BlockRootfs(hypervisor);
    this.#volumes = new BlockVolumes(hypervisor);
    this.#guestEmptyDir = config.guestEmptyDir ?? false;
    if (config.blockEmptyDir) this.#emptyDisks = new EmptyDirDisks(directory, hypervisor);
    this.#hostNamespace = config.hostNamespace;
    this.#noDisks = config.noDisks ?? false;
    this.#forceGuestPull = config.forceGuestPull ?? false;
    this.#sandboxMounts = (config.sandboxMounts?.length ?? 0) > 0;
    if (sharedFs(config.sharedFs) === 'none') {
      if (!copying) throw new KataError('internal', 'shared_fs = "none" needs an agent to copy files with');
      const rootfs = this.#noDisks
        ? new CopyRootfs(directory, copying)
        : new ImageRootfs(directory, this.#block, copying.imageDirectory);
      this.#share = new CopyShare(rootfs, copying);
      // There is no other way for a disk to get in.
      this.#useBlock = !this.#noDisks;
    } else {
      this.#virtioFs = new VirtioFsShare(directory, config, hypervisor);
      this.#share = this.#virtioFs;
      this.#useBlock = !config.disableBlockDeviceUse;
    }
    const { sandboxId, directVolumes: root } = config;
    if (sandboxId !== undefined) {
      this.#direct = new DirectDisks(hypervisor, { sandboxId, root, refusal: this.#refusal() });
    }
  }

  get copies(): boolean {
    return this.#virtioFs === undefined;
  }

  /** virtiofsd, for the state file; undefined while nothing is shared. */
  get daemon(): ProcessIdentity | undefined {
    return this.#virtioFs?.daemon;
  }

  /** Settles when virtiofsd has ended, which outside `close` means that containers have lost their files. */
  get daemonExited(): Promise<ChildExit> {
    return this.#virtioFs?.daemonExited ?? new Promise(() => {});
  }

  /**
   * Tells of the first container's mounts before `prepare`: if they need no share, none is started until one does.
   * @param volumes those of its spec that will be given to `addVolume`
   */
  expect(mounts: readonly Mount[], volumes: readonly SpecMount[] = []): void {
    this.#expectShare = !this.#isBlock(mounts) || volumes.length > 0 || this.#sandboxMounts;
  }

  async prepare(): Promise<void> {
    if (this.#expectShare) await this.#share.prepare();
  }

  async attach(): Promise<readonly Init<Storage>[]> {
    return this.#expectShare ? this.#share.attach() : [];
  }

  async addRootfs(id: string, mounts: readonly Mount[], rootPath: string, origin?: ImageOrigin): Promise<GuestRootfs> {
    const pulled = this.#forceGuestPull ? forcedPull(id, origin) : guestPull(id, mounts, origin);
    if (pulled) return pulled;
    const [first] = mounts;
    if (first && this.#isBlock(mounts)) return this.#block.add(id, first);
    return this.#late(id, await this.#share.addRootfs(id, mounts, rootPath));
  }

  async addVolume(id: string, mount: SpecMount, spec?: Uint8Array): Promise<GuestVolume | undefined> {
    // Before anything looks at the source: on the host it may be nothing at all.
    const direct = await this.#direct?.add(id, mount);
    if (direct) return direct;
    const source = await VolumeSource.open(id, mount, this.#hostNamespace);
    try {
      if (source.kind === 'block' && this.#useBlock) return await this.#addBlockMount(id, mount, source);
      if (source.kind === 'block' && this.#noDisks) throw noDisk(id, mount.source);
      const inMemory = await memoryEmptyDir(mount, source, spec);
      if (inMemory) return inMemory;
      const disk = await this.#emptyDisks?.add(id, mount, source);
      if (disk) return disk;
      const local = this.#guestEmptyDir ? localEmptyDir(mount, source) : undefined;
      return local ?? (await this.#late(id, await this.#share.addSource(id, mount, source)));
    } finally {
      await source.close();
    }
  }

  async addBlockDevice(id: string, request: BlockRequest): Promise<Init<Device> | undefined> {
    if (this.#noDisks) throw noDisk(id, request.containerPath);
    return this.#useBlock ? this.#volumes.add(id, request) : undefined;
  }

  directVolume(path: string): DirectVolume | undefined {
    return this.#direct?.find(path);
  }

  async removeRootfs(id: string): Promise<void> {
    await this.#direct?.remove(id);
    await this.#volumes.remove(id);
    await this.#block.remove(id);
    await this.#share.removeRootfs(id);
  }

  /** After `Hypervisor.stop`: plugged devices have gone with the VM. */
  async close(): Promise<void> {
    this.#direct?.close();
    await this.#share.close();
  }

  /** Where the share comes late, with a container, this one and all that follow have it mounted: the guest does so once. */
  async #late<Added extends GuestRootfs | GuestVolume>(id: string, added: Added): Promise<Added> {
    if (this.#expectShare) return added;
    try {
      const storages = (await this.#share.attach()).map((storage) => ({ ...storage, shared: true }));
      return { ...added, storages: [...storages, ...added.storages] };
    } catch (thrown) {
      await this.#share.removeRootfs(id);
      throw thrown;
    }
  }

  /** A device's node that is bound into the container becomes a device of the container at that path. */
  async #addBlockMount(id: string, { destination, options }: SpecMount, source: VolumeSource): Promise<GuestVolume> {
    const readOnly = (parseOptions(options).flags & RDONLY) !== 0;
    const device = await this.#volumes.add(id, { ...source.device, readOnly, containerPath: destination });
    return { mount: undefined, storages: [], devices: [device] };
  }

  /** Why disks cannot be plugged. */
  #refusal(): string | undefined {
    if (this.#noDisks) return 'a machine of hypervisor.remote is elsewhere and takes no disks of this node';
    if (!this.#useBlock) return 'disable_block_device_use = true in configuration.toml forbids disks';
    return undefined;
  }

  #isBlock(mounts: readonly Mount[]): boolean {
    return this.#useBlock && BlockRootfs.takes(mounts);
  }
}

function noDisk(id: string, path: string): KataError {
  return new KataError(
    'failed_precondition',
    `container ${id}: the block device ${path} cannot be had by a machine of hypervisor.remote, which is elsewhere; use a volume of files`,
  );
}

function sharedFs(configured: string | undefined): SharedFs {
  if (!configured) return 'virtio-fs';
  const found = SHARED_FS.find((known) => known === configured);
  if (found) return found;
  throw new KataError(
    'invalid_argument',
    `hypervisor.qemu.shared_fs: "${configured}" is unknown; use ${SHARED_FS.join(' or ')}`,
  );
}
