/** All volumes of a container at once, as `rewriteSpec` and CreateContainer need them. */
import type { Init } from '../proto/codec.ts';
import type { Device, Storage } from '../proto/messages/agent.ts';
import type { LinuxDevice, Mount } from '../proto/messages/oci.ts';
import { blockRequests, refusePassedThrough } from './block-volumes.ts';
import type { RootfsShare } from './share.ts';

export interface Volumes {
  /** For `GuestView.mounts`. */
  readonly mounts: ReadonlyMap<Mount, Init<Mount> | 'drop'>;
  /** For CreateContainer, after those of the root file system. */
  readonly storages: readonly Init<Storage>[];
  /** For CreateContainer. */
  readonly devices: readonly Init<Device>[];
  /** For `GuestView.blockDevices`. */
  readonly blockDevices: ReadonlySet<string>;
  /** What the container may miss, a line each, for the log. */
  readonly warnings: readonly string[];
}

/** More of a container's spec, for volumes that are devices. */
export interface VolumeSpec {
  /** Encoded grpc.Spec. */
  readonly encoded: Uint8Array;
  /** What `readSpec` read in it. */
  readonly devices: readonly LinuxDevice[];
}

/**
 * Makes a container's volumes available in the guest.
 * @param mounts those of its spec that `sharedMounts` names
 * @param spec without it block devices of the spec are left out
 * @throws KataError of `refusePassedThrough` and `RootfsShare.addVolume`; then `removeRootfs` undoes those that were made before
 */
export async function addVolumes(
  share: Pick<RootfsShare, 'addVolume' | 'addBlockDevice'>,
  id: string,
  mounts: readonly Mount[],
  spec?: VolumeSpec,
): Promise<Volumes> {
  const replaced = new Map<Mount, Init<Mount> | 'drop'>();
  // A file system that several volumes lie in is mounted once for the container.
  const storages = new Map<string | undefined, Init<Storage>>();
  const devices: Init<Device>[] = [];
  const blockDevices = new Set<string>();
  const warnings: string[] = [];
  if (spec) refusePassedThrough(spec.encoded, spec.devices);
  for (const mount of mounts) {
    const volume = await share.addVolume(id, mount, spec?.encoded);
    if (!volume) continue;
    replaced.set(mount, volume.mount ?? 'drop');
    for (const storage of volume.storages) storages.set(storage.mount_point, storage);
    devices.push(...(volume.devices ?? []));
    warnings.push(...(volume.warnings ?? []));
  }
  for (const request of spec ? blockRequests(spec.encoded, spec.devices) : []) {
    const device = await share.addBlockDevice?.(id, request);
    if (!device) continue;
    devices.push(device);
    blockDevices.add(request.containerPath);
  }
  return { mounts: replaced, storages: [...storages.values()], devices, blockDevices, warnings };
}
