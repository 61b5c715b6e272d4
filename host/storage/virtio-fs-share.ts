/**
 * Root file systems shared over virtio-fs. Everything is mounted below `mounts`, in this process's own namespace;
 * `shared`, its slave, read-only at the top, is all that the daemon and the guest can see.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_SOCKET_PATH_BYTES } from '../agent/transport.ts';
import type { ChildExit } from '../child.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { MS, native } from '../native.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import { bindOptions, bindVolume, isWithin } from './bind-volume.ts';
import { type MountRequest, makeDirectory, mountAll, removeDirectory, unmount, unmountAll } from './mounts.ts';
import { makePlace, type PlaceKind, removePlace } from './place.ts';
import { GUEST_SHARED, type GuestRootfs, type GuestVolume, SHARE_TAG } from './share.ts';
import { Virtiofsd, type VirtiofsdConfig } from './virtiofsd.ts';
import { VolumeSource } from './volume-source.ts';
import { isWatchable, warningsOf } from './watchable.ts';

/** Most volumes of one container. */
export const MAX_VOLUMES = 1024;
/** Where the guest finds `sandbox_bind_mounts`. */
const SANDBOX_MOUNTS = 'sandbox-mounts';
/** Directory of a container's volumes, beside its rootfs. */
const VOLUMES = 'volumes';
/** Where the guest keeps copies of volumes that it watches; the agent mounts something of its own there. */
const WATCHABLE = 'watchable';
/** The daemon must never open a device the guest has made, nor the host honour a set-uid bit it has set. */
const SAFE = MS.NODEV | MS.NOSUID;

/** What a container has in the share. */
interface Shared {
  /** Mounts on its rootfs; undefined: it has none here. */
  rootfs: number | undefined;
  /** Kinds of its volumes, by number. */
  readonly volumes: PlaceKind[];
}

export class VirtioFsShare {
  readonly #directory: string;
  readonly #config: VirtiofsdConfig;
  readonly #hypervisor: Pick<Hypervisor, 'plugVirtioFs'>;
  readonly #mounts: string;
  readonly #shared: string;
  /** Where volumes are put together: private, so that nothing in it propagates. */
  readonly #staging: string;
  readonly #containers = new Map<string, Shared>();
  /** By path of their places. */
  readonly #sandboxMounts = new Map<string, PlaceKind>();
  #prepared: Promise<void> | undefined;
  #attached: Promise<void> | undefined;
  #daemon: Virtiofsd | undefined;
  #closed = false;
  #gone = false;

  /**
   * @param directory the sandbox's private directory; `mounts`, `shared` and the daemon's socket are made in it
   * @param config the daemon's keys of the configuration
   * @param hypervisor of the VM that gets the device
   */
  constructor(directory: string, config: VirtiofsdConfig, hypervisor: Pick<Hypervisor, 'plugVirtioFs'>) {
    this.#directory = directory;
    this.#config = config;
    this.#hypervisor = hypervisor;
    this.#mounts = join(directory, 'mounts');
    this.#shared = join(directory, 'shared');
    this.#staging = join(directory, 'staging');
    this.daemonExited = new Promise((resolve) => {
      this.#settleDaemonExited = resolve;
    });
  }

  /** The daemon's, for the state file; undefined while it does not run. */
  get daemon(): ProcessIdentity | undefined {
    return this.#daemon?.identity;
  }

  /** Settles when the daemon has ended, with what it said; never before it was started. */
  readonly daemonExited: Promise<ChildExit>;
  #settleDaemonExited: (exit: ChildExit) => void = () => {};

  /** Whether `prepare` has been called. */
  get started(): boolean {
    return this.#prepared !== undefined;
  }

  prepare(): Promise<void> {
    this.#prepared ??= this.#prepare();
    return this.#prepared;
  }

  async attach(): Promise<readonly Init<Storage>[]> {
    await this.prepare();
    this.#attached ??= this.#plug().catch((thrown) => {
      this.#attached = undefined;
      throw thrown;
    });
    await this.#attached;
    return [
      { driver: 'virtio-fs', source: SHARE_TAG, fstype: 'virtiofs', mount_point: GUEST_SHARED, options: ['nodev'] },
    ];
  }

  async addRootfs(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    await this.prepare();
    this.#serving();
    const shared = this.#containers.get(id) ?? { rootfs: undefined, volumes: [] };
    if (shared.rootfs !== undefined) {
      throw new KataError('already_exists', `container ${id} has a root file system already`);
    }
    const container = join(this.#mounts, id);
    const rootfs = join(container, 'rootfs');
    this.#containers.set(id, shared);
    shared.rootfs = 0;
    try {
      makeDirectory(container);
      makeDirectory(rootfs);
      shared.rootfs = mountAll(mounts.length > 0 ? mounts : [bindOf(rootPath)], rootfs, SAFE);
    } catch (thrown) {
      await this.removeRootfs(id);
      throw thrown;
    }
    return { path: join(GUEST_SHARED, id, 'rootfs'), storages: [] };
  }

  /**
   * Makes a volume available. Volumes may come before or after the container's root file system, or without one.
   * @param source `mount`'s, opened
   * @throws KataError `invalid_argument`, `resource_exhausted`, `unavailable`; nothing is left behind
   */
  async addSource(id: string, mount: SpecMount, source: VolumeSource): Promise<GuestVolume> {
    await this.prepare();
    this.#serving();
    const watchable = await isWatchable(mount, source);
    this.#serving();
    const name = this.#bind(id, mount, source);
    const guestPath = join(GUEST_SHARED, id, VOLUMES, name);
    const warnings = warningsOf(mount, source);
    if (!watchable) return { mount: { ...mount, source: guestPath }, storages: [], warnings };
    const copy = join(GUEST_SHARED, WATCHABLE, `${id}-${name}`);
    const { options } = mount;
    const storage = { driver: 'watchable-bind', source: guestPath, fstype: 'bind', options, mount_point: copy };
    return { mount: { ...mount, source: copy }, storages: [storage], warnings };
  }

  async removeRootfs(id: string): Promise<void> {
    const shared = this.#containers.get(id);
    if (!shared) return;
    const container = join(this.#mounts, id);
    for (const [number, kind] of shared.volumes.entries()) removePlace(join(container, VOLUMES, `${number}`), kind);
    removeDirectory(join(container, VOLUMES));
    const rootfs = join(container, 'rootfs');
    unmountAll(rootfs, shared.rootfs ?? 0);
    removeDirectory(rootfs);
    this.#forget(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#prepared?.catch(() => {});
    await this.#daemon?.stop();
    for (const id of [...this.#containers.keys()]) await this.removeRootfs(id);
    this.#removeDirectories();
  }

  async #prepare(): Promise<void> {
    const socketPath = join(this.#directory, 'virtiofs.sock');
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
      throw new KataError('invalid_argument', `socket path ${socketPath} exceeds ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    if (this.#closed) throw new KataError('unavailable', 'the shared file system was closed');
    try {
      this.#makeDirectories();
      await this.#bindSandboxMounts();
      this.#daemon = await Virtiofsd.start(this.#config, socketPath, this.#shared);
      void this.#daemon.exited.then((exit) => {
        this.#gone = true;
        this.#settleDaemonExited(exit);
      });
    } catch (thrown) {
      this.#removeDirectories();
      throw thrown;
    }
  }

  /** What is mounted below `mounts` later appears below `shared`, and in the daemon's namespace, by propagation. */
  #makeDirectories(): void {
    makeDirectory(this.#mounts);
    makeDirectory(this.#shared);
    native().mount(this.#mounts, this.#mounts, '', MS.BIND, '', '');
    // Private first: a peer of the mount it is made from would repeat there, and in all copies of that, what is mounted in it.
    native().mount('none', this.#mounts, '', MS.PRIVATE, '', '');
    native().mount('none', this.#mounts, '', MS.SHARED, '', '');
    makeDirectory(join(this.#mounts, WATCHABLE));
    native().mount(this.#mounts, this.#shared, '', MS.BIND | MS.REC, '', '');
    native().mount('none', this.#shared, '', MS.SLAVE | MS.REC, '', '');
    native().mount('none', this.#shared, '', MS.BIND | MS.REMOUNT | MS.RDONLY | SAFE, '', '');
    makeDirectory(this.#staging);
    native().mount(this.#staging, this.#staging, '', MS.BIND, '', '');
    native().mount('none', this.#staging, '', MS.PRIVATE, '', '');
    makePlace(join(this.#staging, 'directory'), 'directory');
    makePlace(join(this.#staging, 'file'), 'file');
  }

  #removeDirectories(): void {
    for (const [path, kind] of this.#sandboxMounts) removePlace(path, kind);
    this.#sandboxMounts.clear();
    removeDirectory(join(this.#mounts, SANDBOX_MOUNTS));
    for (const kind of ['directory', 'file'] as const) removePlace(join(this.#staging, kind), kind);
    unmount(this.#staging);
    removeDirectory(this.#staging);
    unmount(this.#shared);
    removeDirectory(join(this.#mounts, WATCHABLE));
    unmount(this.#mounts);
    removeDirectory(this.#shared);
    removeDirectory(this.#mounts);
  }

  /** Binds a volume and remembers it; the name of its place. Not interrupted by anything: it is all system calls. */
  #bind(id: string, mount: SpecMount, source: VolumeSource): string {
    const what = `container ${id}: ${mount.source}, to be mounted at ${mount.destination},`;
    const shared = this.#containers.get(id) ?? { rootfs: undefined, volumes: [] };
    if (shared.volumes.length >= MAX_VOLUMES) {
      throw new KataError('resource_exhausted', `container ${id} has ${MAX_VOLUMES} volumes; that is the limit`);
    }
    const name = `${shared.volumes.length}`;
    this.#containers.set(id, shared);
    makeDirectory(join(this.#mounts, id));
    makeDirectory(join(this.#mounts, id, VOLUMES));
    try {
      shared.volumes.push(this.#bindAt(join(this.#mounts, id, VOLUMES, name), source, mount.options, what));
    } catch (thrown) {
      if (shared.volumes.length === 0) removeDirectory(join(this.#mounts, id, VOLUMES));
      if (shared.volumes.length === 0 && shared.rootfs === undefined) this.#forget(id);
      throw thrown;
    }
    return name;
  }

  #forget(id: string): void {
    removeDirectory(join(this.#mounts, id));
    this.#containers.delete(id);
  }

  /** Binds a source at a place made for it. Nothing is left if that fails. */
  #bindAt(target: string, source: VolumeSource, options: readonly string[], what: string): PlaceKind {
    const { realPath } = source;
    if ([this.#mounts, this.#shared, this.#staging].some((own) => isWithin(realPath, own))) {
      throw new KataError('invalid_argument', `${what} lies in the sandbox's own share; mount something else`);
    }
    const kind = source.kind === 'directory' ? 'directory' : 'file';
    makePlace(target, kind);
    const place = { staging: join(this.#staging, kind), target, hidden: this.#directory };
    try {
      bindVolume(source, place, bindOptions(options));
    } catch (thrown) {
      removePlace(target, kind);
      throw new KataError('invalid_argument', `${what} cannot be shared: ${reasonOf(thrown)}`, { cause: thrown });
    }
    return kind;
  }

  /** `sandbox_bind_mounts` of the configuration. */
  async #bindSandboxMounts(): Promise<void> {
    const directory = join(this.#mounts, SANDBOX_MOUNTS);
    const mounts = this.#config.sandboxMounts ?? [];
    if (mounts.length > 0) makeDirectory(directory);
    for (const { path, name, readOnly } of mounts) {
      const destination = join(GUEST_SHARED, SANDBOX_MOUNTS, name);
      const mount = { source: path, destination, type: 'bind', options: ['rbind', readOnly ? 'ro' : 'rw'] };
      const source = await VolumeSource.open('sandbox_bind_mounts', mount, this.#config.hostNamespace);
      try {
        this.#sandboxMounts.set(
          join(directory, name),
          this.#bindAt(join(directory, name), source, mount.options, path),
        );
      } finally {
        await source.close();
      }
    }
  }

  /** @throws KataError `unavailable` */
  #serving(): Virtiofsd {
    const daemon = this.#daemon;
    if (!daemon || this.#closed) throw new KataError('unavailable', 'the shared file system was closed');
    if (this.#gone) throw new KataError('unavailable', `virtiofsd has ended: ${daemon.lastWords()}`);
    return daemon;
  }

  async #plug(): Promise<void> {
    const daemon = this.#serving();
    try {
      await this.#hypervisor.plugVirtioFs(SHARE_TAG, daemon.socketPath, this.#config.queueSize);
    } catch (thrown) {
      const words = daemon.lastWords();
      if (words === '' || !(thrown instanceof KataError)) throw thrown;
      throw new KataError(thrown.code, `${thrown.message}; virtiofsd: ${words}`, { cause: thrown });
    }
  }
}

function bindOf(rootPath: string): MountRequest {
  if (!statSync(rootPath, { throwIfNoEntry: false })?.isDirectory()) {
    throw new KataError('not_found', `root file system ${rootPath} does not exist or is not a directory`);
  }
  return { type: 'bind', source: rootPath, target: '', options: ['rbind'] };
}
