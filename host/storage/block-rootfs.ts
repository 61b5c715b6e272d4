/** Root file systems on a block device or image file: plugged into the VM as they are, mounted by the guest. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import { parseOptions } from './mounts.ts';
import type { GuestRootfs } from './share.ts';

/** Where the guest mounts them: not below GUEST_SHARED, where a share that comes later would cover them. */
const GUEST_CONTAINERS = '/run/kata-containers';
/** File systems a guest kernel is expected to have. */
const BLOCK_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'erofs', 'squashfs']);
/** Options that mean something to the host's mount only. */
const HOST_OPTIONS = new Set(['loop', 'bind', 'rbind', 'defaults', 'nofail', 'auto', 'noauto']);

export class BlockRootfs {
  readonly #hypervisor: Pick<Hypervisor, 'plugBlock' | 'unplug'>;
  readonly #containers = new Set<string>();

  constructor(hypervisor: Pick<Hypervisor, 'plugBlock' | 'unplug'>) {
    this.#hypervisor = hypervisor;
  }

  /** Whether a container's mounts are one block device, or one image file of a file system. */
  static takes(mounts: readonly Mount[]): boolean {
    const [mount] = mounts;
    if (mount === undefined || mounts.length !== 1 || mount.target !== '') return false;
    const source = mount.source.startsWith('/') ? statSync(mount.source, { throwIfNoEntry: false }) : undefined;
    if (!source) return false;
    if (source.isBlockDevice()) return BLOCK_TYPES.has(mount.type);
    return source.isFile() && BLOCK_TYPES.has(mount.type);
  }

  /**
   * Plugs the device. Needs a running VM.
   * @throws KataError of the hypervisor; nothing stays plugged
   */
  async add(id: string, mount: Mount): Promise<GuestRootfs> {
    if (this.#containers.has(id))
      throw new KataError('already_exists', `container ${id} has a root file system already`);
    this.#containers.add(id);
    const options = mount.options.filter((option) => !HOST_OPTIONS.has(option));
    // XFS refuses a second file system of the same UUID, and snapshots of one image share theirs.
    if (mount.type === 'xfs') options.push('nouuid');
    try {
      const source = await this.#hypervisor.plugBlock(deviceName(id), mount.source, isReadOnly(mount));
      const mountPoint = join(GUEST_CONTAINERS, id, 'rootfs');
      return {
        path: mountPoint,
        storages: [{ driver: 'blk', source, fstype: mount.type, options, mount_point: mountPoint }],
      };
    } catch (thrown) {
      this.#containers.delete(id);
      throw thrown;
    }
  }

  /** Unplugs the device if the VM still runs. Idempotent. */
  async remove(id: string): Promise<void> {
    if (!this.#containers.delete(id)) return;
    try {
      await this.#hypervisor.unplug(deviceName(id));
    } catch (thrown) {
      // With the VM its devices are gone.
      if (!(thrown instanceof KataError) || thrown.code !== 'unavailable') throw thrown;
    }
  }

  has(id: string): boolean {
    return this.#containers.has(id);
  }
}

function deviceName(id: string): string {
  return `rootfs-${id}`;
}

function isReadOnly(mount: Mount): boolean {
  return (parseOptions(mount.options).flags & 1) !== 0 || mount.type === 'erofs' || mount.type === 'squashfs';
}
