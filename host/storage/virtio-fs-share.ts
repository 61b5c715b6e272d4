/**
 * Root file systems shared over virtio-fs. Everything is mounted below `mounts`, in this process's own namespace;
 * `shared`, its slave, read-only at the top, is all that the daemon and the guest can see.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_SOCKET_PATH_BYTES } from '../agent/transport.ts';
import type { ChildExit } from '../child.ts';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { MS, native } from '../native.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import { type MountRequest, makeDirectory, mountAll, removeDirectory, unmount, unmountAll } from './mounts.ts';
import { GUEST_SHARED, type GuestRootfs, type RootfsShare, SHARE_TAG } from './share.ts';
import { Virtiofsd, type VirtiofsdConfig } from './virtiofsd.ts';

/** The daemon must never open a device the guest has made, nor the host honour a set-uid bit it has set. */
const SAFE = MS.NODEV | MS.NOSUID;

export class VirtioFsShare implements RootfsShare {
  readonly #directory: string;
  readonly #config: VirtiofsdConfig;
  readonly #hypervisor: Pick<Hypervisor, 'plugVirtioFs'>;
  readonly #mounts: string;
  readonly #shared: string;
  /** Mounts on `mounts/<id>/rootfs`, by container. */
  readonly #containers = new Map<string, number>();
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
    this.#attached ??= this.#plug();
    await this.#attached;
    return [
      { driver: 'virtio-fs', source: SHARE_TAG, fstype: 'virtiofs', mount_point: GUEST_SHARED, options: ['nodev'] },
    ];
  }

  async addRootfs(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    await this.prepare();
    this.#serving();
    if (this.#containers.has(id))
      throw new KataError('already_exists', `container ${id} has a root file system already`);

    const container = join(this.#mounts, id);
    const rootfs = join(container, 'rootfs');
    this.#containers.set(id, 0);
    try {
      makeDirectory(container);
      makeDirectory(rootfs);
      this.#containers.set(id, mountAll(mounts.length > 0 ? mounts : [bindOf(rootPath)], rootfs, SAFE));
    } catch (thrown) {
      await this.removeRootfs(id);
      throw thrown;
    }
    return { path: join(GUEST_SHARED, id, 'rootfs'), storages: [] };
  }

  async removeRootfs(id: string): Promise<void> {
    const count = this.#containers.get(id);
    if (count === undefined) return;
    const container = join(this.#mounts, id);
    const rootfs = join(container, 'rootfs');
    unmountAll(rootfs, count);
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
    native().mount('none', this.#mounts, '', MS.SHARED, '', '');
    native().mount(this.#mounts, this.#shared, '', MS.BIND | MS.REC, '', '');
    native().mount('none', this.#shared, '', MS.SLAVE | MS.REC, '', '');
    native().mount('none', this.#shared, '', MS.BIND | MS.REMOUNT | MS.RDONLY | SAFE, '', '');
  }

  #removeDirectories(): void {
    unmount(this.#shared);
    unmount(this.#mounts);
    removeDirectory(this.#shared);
    removeDirectory(this.#mounts);
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
