/** All volumes of a container at once, as `rewriteSpec` and CreateContainer need them. */
import type { Init } from '../proto/codec.ts';
import type { Device, Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/oci.ts';
import type { RootfsShare } from './share.ts';

export interface Volumes {
  /** For `GuestView.mounts`. */
  readonly mounts: ReadonlyMap<Mount, Init<Mount> | 'drop'>;
  /** For CreateContainer, after those of the root file system. */
  readonly storages: readonly Init<Storage>[];
  /** For CreateContainer. */
  readonly devices: readonly Init<Device>[];
  /** What the container may miss, a line each, for the log. */
  readonly warnings: readonly string[];
}

/**
 * Makes a container's volumes available in the guest.
 * @param mounts those of its spec that `sharedMounts` names
 * @throws KataError of `RootfsShare.addVolume`; then `removeRootfs` undoes those that were made before
 */
export async function addVolumes(
  share: Pick<RootfsShare, 'addVolume'>,
  id: string,
  mounts: readonly Mount[],
): Promise<Volumes> {
  const replaced = new Map<Mount, Init<Mount> | 'drop'>();
  // A file system that several volumes lie in is mounted once for the container.
  const storages = new Map<string | undefined, Init<Storage>>();
  const devices: Init<Device>[] = [];
  const warnings: string[] = [];
  for (const mount of mounts) {
    const volume = await share.addVolume(id, mount);
    if (!volume) continue;
    replaced.set(mount, volume.mount ?? 'drop');
    for (const storage of volume.storages) storages.set(storage.mount_point, storage);
    devices.push(...(volume.devices ?? []));
    warnings.push(...(volume.warnings ?? []));
  }
  return { mounts: replaced, storages: [...storages.values()], devices, warnings };
}
