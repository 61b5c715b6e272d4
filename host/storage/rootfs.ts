/** Chooses for each container: its block device as it is, or the file system shared over virtio-fs. */
import type { ChildExit } from '../child.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import { BlockRootfs } from './block-rootfs.ts';
import type { GuestRootfs, GuestVolume, RootfsShare } from './share.ts';
import { VirtioFsShare } from './virtio-fs-share.ts';
import type { VirtiofsdConfig } from './virtiofsd.ts';

export interface RootfsConfig extends VirtiofsdConfig {
  /** `disable_block_device_use`: everything goes over virtio-fs. */
  readonly disableBlockDeviceUse: boolean;
}

export class Rootfs implements RootfsShare {
  readonly #share: VirtioFsShare;
  readonly #block: BlockRootfs;
  readonly #useBlock: boolean;
  #expectShare = true;

  /**
   * @param directory the sandbox's private directory (0700)
   * @param hypervisor of the sandbox's VM
   */
  constructor(
    directory: string,
    config: RootfsConfig,
    hypervisor: Pick<Hypervisor, 'plugVirtioFs' | 'plugBlock' | 'unplug'>,
  ) {
    this.#share = new VirtioFsShare(directory, config, hypervisor);
    this.#block = new BlockRootfs(hypervisor);
    this.#useBlock = !config.disableBlockDeviceUse;
  }

  /** virtiofsd, for the state file; undefined while nothing is shared. */
  get daemon(): ProcessIdentity | undefined {
    return this.#share.daemon;
  }

  /** Settles when virtiofsd has ended, which outside `close` means that containers have lost their files. */
  get daemonExited(): Promise<ChildExit> {
    return this.#share.daemonExited;
  }

  /**
   * Tells of the first container's mounts before `prepare`: if they need no share, none is started until one does.
   * @param volumes those of its spec that will be given to `addVolume`
   */
  expect(mounts: readonly Mount[], volumes: readonly SpecMount[] = []): void {
    this.#expectShare = !this.#isBlock(mounts) || volumes.length > 0;
  }

  async prepare(): Promise<void> {
    if (this.#expectShare) await this.#share.prepare();
  }

  async attach(): Promise<readonly Init<Storage>[]> {
    if (!this.#expectShare) return [];
    return this.#share.attach();
  }

  async addRootfs(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    const [first] = mounts;
    if (first && this.#isBlock(mounts)) return this.#block.add(id, first);
    return this.#late(id, await this.#share.addRootfs(id, mounts, rootPath));
  }

  async addVolume(id: string, mount: SpecMount): Promise<GuestVolume | undefined> {
    return this.#late(id, await this.#share.addVolume(id, mount));
  }

  async removeRootfs(id: string): Promise<void> {
    await this.#block.remove(id);
    await this.#share.removeRootfs(id);
  }

  /** After `Hypervisor.stop`: plugged devices have gone with the VM. */
  async close(): Promise<void> {
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

  #isBlock(mounts: readonly Mount[]): boolean {
    return this.#useBlock && BlockRootfs.takes(mounts);
  }
}
