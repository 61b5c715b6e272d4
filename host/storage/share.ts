/** The seam by which a container's root file system reaches the guest. */
import type { ContainerType } from '../oci/rules.ts';
import type { Init } from '../proto/codec.ts';
import type { Device, Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import type { BlockRequest } from './block-volumes.ts';

/** Where the guest mounts the shared file system; fixed by the agent protocol. */
export const GUEST_SHARED = '/run/kata-containers/shared/containers/';
/** The tag under which the guest finds it. */
export const SHARE_TAG = 'kataShared';

export interface GuestRootfs {
  /** Path of the root file system inside the guest, for `root.path` of the spec. */
  readonly path: string;
  /** What the agent has to mount first. */
  readonly storages: readonly Init<Storage>[];
}

/** Of which image a container is made, for a guest that pulls it by itself. */
export interface ImageOrigin {
  readonly containerType: ContainerType;
  /** Of the container's spec. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** How a volume looks in the guest. */
export interface GuestVolume {
  /** The mount as the container's spec in the guest has it; undefined: it has none, a device stands in for it. */
  readonly mount: Init<SpecMount> | undefined;
  /** What the agent has to mount first. */
  readonly storages: readonly Init<Storage>[];
  /** What the agent has to put into the container as a device. */
  readonly devices?: readonly Init<Device>[] | undefined;
  /** What the container may miss, a line each, for the log. */
  readonly warnings?: readonly string[] | undefined;
}

/** A direct-assigned volume that the guest has. */
export interface DirectVolume {
  /** Where the guest has it mounted. */
  readonly guestPath: string;
  /**
   * Makes the guest see that its device has grown on the host.
   * @param size bytes that the volume is to have
   * @throws KataError `failed_precondition` where the device is smaller than that
   */
  grow(size: number): Promise<void>;
}

export interface RootfsShare {
  /** By the path of the volume on the host, its device, or its path in the guest. Absent: there are none. */
  directVolume?(path: string): DirectVolume | undefined;
  /** Whether volumes are copies: what containers write into them stays in the guest. Absent: they are not. */
  readonly copies?: boolean;
  /**
   * Gets ready what needs no VM yet (directories, mounts, virtiofsd), so that it runs beside the boot. Idempotent.
   */
  prepare(): Promise<void>;
  /** Plugs what has to be plugged once the VM is up; storages that CreateSandbox mounts. */
  attach(): Promise<readonly Init<Storage>[]>;
  /**
   * Makes a container's root file system available.
   * @param id container id, validated by the caller
   * @param mounts containerd's rootfs mounts in order; empty: `rootPath` is used as it is
   * @param rootPath absolute path of `root.path` of the spec
   * @param origin absent: no guest pulls it
   * @throws KataError `invalid_argument` (bad mount), `not_found` (rootfs missing); nothing is left behind
   */
  addRootfs(id: string, mounts: readonly Mount[], rootPath: string, origin?: ImageOrigin): Promise<GuestRootfs>;
  /**
   * Makes a file or directory of the host that a container's spec binds available in the guest.
   * @param id of the container: `removeRootfs` undoes its volumes too
   * @param spec encoded grpc.Spec the mount is of; huge pages are sized by it
   * @returns undefined: the guest has it already, the mount is sent as it is
   * @throws KataError `not_found` (source missing), `invalid_argument`; nothing is left behind
   */
  addVolume(id: string, mount: SpecMount, spec?: Uint8Array): Promise<GuestVolume | undefined>;
  /**
   * Gives the guest a block device that a container's spec names; `removeRootfs` takes it away. Absent: there are none.
   * @returns undefined: the configuration allows none
   * @throws KataError `not_found`, `failed_precondition` (in use read-only), `resource_exhausted`; nothing is left behind
   */
  addBlockDevice?(id: string, request: BlockRequest): Promise<Init<Device> | undefined>;
  /** Undoes `addRootfs` and the container's `addVolume`s. Idempotent; works with a dead VM. */
  removeRootfs(id: string): Promise<void>;
  /** Undoes everything. Idempotent. */
  close(): Promise<void>;
}
