/**
 * Root file systems shared over virtio-fs. Everything is mounted below `mounts`, in this process's own namespace;
 * `shared`, its slave, read-only at the top, is all that the daemon and the guest can see.
 */
import { closeSync, constants, openSync, rmSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
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
import { GUEST_SHARED, type GuestRootfs, type GuestVolume, SHARE_TAG } from './share.ts';
import { Virtiofsd, type VirtiofsdConfig } from './virtiofsd.ts';
import type { VolumeSource } from './volume-source.ts';

/** Most volumes of one container. */
export const MAX_VOLUMES = 1024;
/** Directory of a container's volumes, beside its rootfs. */
const VOLUMES = 'volumes';
/** Where the guest keeps copies of volumes that it watches; the agent mounts something of its own there. */
const WATCHABLE = 'watchable';
/** kubelet's directories of volumes whose changes programs wait for by inotify, which virtio-fs does not pass on. */
const WATCHABLE_VOLUMES = ['kubernetes.io~configmap', 'kubernetes.io~secret'];
/** Most files of a volume that is watched: the agent copies it. */
export const MAX_WATCHABLE_FILES = 8;
/** The daemon must never open a device the guest has made, nor the host honour a set-uid bit it has set. */
const SAFE = MS.NODEV | MS.NOSUID;

/** What a container has in the share. */
interface Shared {
  /** Mounts on its rootfs; undefined: it has none here. */
  rootfs: number | undefined;
  /** Kinds of its volumes, by number. */
  readonly volumes: ('file' | 'directory')[];
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
    removeDirectory(container);
    this.#containers.delete(id);
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
    const { realPath } = source;
    if ([this.#mounts, this.#shared, this.#staging].some((own) => isWithin(realPath, own))) {
      throw new KataError('invalid_argument', `${what} lies in the sandbox's own share; mount something else`);
    }
    const shared = this.#containers.get(id) ?? { rootfs: undefined, volumes: [] };
    if (shared.volumes.length >= MAX_VOLUMES) {
      throw new KataError('resource_exhausted', `container ${id} has ${MAX_VOLUMES} volumes; that is the limit`);
    }
    const kind = source.kind === 'directory' ? 'directory' : 'file';
    const name = `${shared.volumes.length}`;
    const target = join(this.#mounts, id, VOLUMES, name);
    this.#containers.set(id, shared);
    makeDirectory(join(this.#mounts, id));
    makeDirectory(join(this.#mounts, id, VOLUMES));
    makePlace(target, kind);
    const place = { staging: join(this.#staging, kind), target, hidden: this.#directory };
    try {
      bindVolume(source.path, realPath, kind === 'directory', place, bindOptions(mount.options));
    } catch (thrown) {
      removePlace(target, kind);
      throw new KataError('invalid_argument', `${what} cannot be shared: ${reasonOf(thrown)}`, { cause: thrown });
    }
    shared.volumes.push(kind);
    return name;
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
      await this.#hypervisor.plugVirtioFs(SHARE_TAG, daemon.socketPath);
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

/** Something empty to mount on, in a directory of ours; one that is there already is an error, or a link would lead a mount elsewhere. */
function makePlace(path: string, kind: 'file' | 'directory'): void {
  if (kind === 'directory') makeDirectory(path);
  else
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600));
}

/** Undoes what is mounted there and removes the place itself: what was mounted is never touched. */
function removePlace(path: string, kind: 'file' | 'directory'): void {
  unmount(path);
  if (kind === 'directory') removeDirectory(path);
  else rmSync(path, { force: true });
}

async function isWatchable(mount: SpecMount, source: VolumeSource): Promise<boolean> {
  if (source.kind !== 'directory' || !WATCHABLE_VOLUMES.some((name) => mount.source.includes(`/${name}/`)))
    return false;
  const files = (await readdir(source.path)).filter((name) => !name.startsWith('..'));
  return files.length > 0 && files.length <= MAX_WATCHABLE_FILES;
}

function warningsOf({ source, destination, options }: SpecMount, { kind }: VolumeSource): string[] {
  const what = `mount ${destination} of ${source}`;
  const warnings: string[] = [];
  if (kind === 'socket' || kind === 'fifo') warnings.push(`${what}: a ${kind} connects nobody across two kernels`);
  if (kind === 'char') warnings.push(`${what}: a device node outside /dev cannot be opened in the guest`);
  if (bindOptions(options).bidirectional) {
    warnings.push(`${what}: what the container mounts there does not reach the host (Bidirectional, rshared)`);
  }
  return warnings;
}
