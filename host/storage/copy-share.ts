/**
 * `shared_fs = "none"`: nothing of the host is visible in the guest. Root file systems are disks, or copies where there can be no
 * disk, volumes are copies, made once for all containers of a pod; what Kubernetes exchanges as a whole (ConfigMaps, Secrets, projected volumes) is copied again.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import { copyTree, type FileCopier } from './copy-tree.ts';
import { localEmptyDir } from './empty-dir.ts';
import { GUEST_SHARED, type GuestRootfs, type GuestVolume } from './share.ts';
import type { VolumeSource } from './volume-source.ts';

/** Most volumes of a sandbox. */
export const MAX_COPIES = 1024;
/** From the first sign of a change until the volume is copied again, ms: kubelet makes several changes in a row. */
export const SETTLE_MS = 200;
/** The link by whose exchange kubelet publishes a new state. */
const DATA_LINK = '..data';
/** Longest part of a source's name in the guest's, characters. */
const MAX_NAME_PART = 48;

export interface CopyShareOptions {
  /** The agent; throws while there is none. */
  readonly agent: () => FileCopier;
  /** Told of copies that could not be brought up to date. */
  readonly warn: (message: string) => void;
  /** Where images of root file systems are made. */
  readonly imageDirectory?: string | undefined;
}

/** How root file systems get into the guest. */
export interface RootfsMaker {
  /** @throws KataError; nothing is left behind on the host */
  add(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs>;
}

/** A source that was copied. */
interface Copy {
  readonly done: Promise<GuestVolume['warnings']>;
  readonly target: string;
  watcher: FSWatcher | undefined;
  timer: NodeJS.Timeout | undefined;
  /** The copy under way, and whether another one is due. */
  running: boolean;
  again: boolean;
}

export class CopyShare {
  readonly #options: CopyShareOptions;
  readonly #rootfs: RootfsMaker;
  readonly #copies = new Map<string, Copy>();
  #count = 0;
  #closed = false;

  constructor(rootfs: RootfsMaker, options: CopyShareOptions) {
    this.#options = options;
    this.#rootfs = rootfs;
  }

  async prepare(): Promise<void> {}

  async attach(): Promise<readonly Init<Storage>[]> {
    return [];
  }

  addRootfs(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    return this.#rootfs.add(id, mounts, rootPath);
  }

  /**
   * Copies a volume, unless another container of the pod has it. Sockets, fifos and devices are left out with a warning.
   * @param source `mount`'s, opened
   */
  async addSource(id: string, mount: SpecMount, source: VolumeSource): Promise<GuestVolume> {
    const local = localEmptyDir(mount, source);
    if (local) return local;
    const { destination } = mount;
    if (source.kind !== 'file' && source.kind !== 'directory') {
      const warning = `mount ${destination} of ${mount.source}: a ${source.kind} cannot be copied into the guest (shared_fs = "none")`;
      return { mount: undefined, storages: [], warnings: [warning] };
    }
    if (this.#closed) throw new KataError('unavailable', 'the sandbox is being removed');
    const path = source.realPath;
    let copy = this.#copies.get(path);
    if (!copy) {
      if (this.#copies.size >= MAX_COPIES) {
        throw new KataError(
          'resource_exhausted',
          `container ${id}: the pod has ${MAX_COPIES} volumes; that is the limit`,
        );
      }
      const target = `${GUEST_SHARED}sandbox-${this.#count++}-${basename(path).slice(0, MAX_NAME_PART)}`;
      const done = this.#copyFirst(source, mount, target);
      copy = { done, target, watcher: undefined, timer: undefined, running: false, again: false };
      this.#copies.set(path, copy);
    }
    let warnings: GuestVolume['warnings'];
    try {
      warnings = await copy.done;
    } catch (thrown) {
      this.#drop(path, copy);
      throw thrown;
    }
    if (source.kind === 'directory') await this.#follow(path, copy, source);
    return { mount: { ...mount, source: copy.target }, storages: [], warnings };
  }

  /** Copies stay in the guest: another container of the pod may come for them, as after a restart. */
  async removeRootfs(): Promise<void> {}

  async close(): Promise<void> {
    this.#closed = true;
    for (const [path, copy] of [...this.#copies]) this.#drop(path, copy);
  }

  async #copyFirst(source: VolumeSource, mount: SpecMount, target: string): Promise<string[]> {
    const what = `volume ${mount.source}, to be mounted at ${mount.destination},`;
    const { skipped } = await copyTree(this.#options.agent(), source.path, target, what);
    if (skipped.length === 0) return [];
    return [
      `${what} is copied without ${skipped.length} sockets, fifos and devices: ${skipped.slice(0, 5).join(', ')}`,
    ];
  }

  /** Watches a directory that Kubernetes exchanges as a whole. A change between copying and watching is seen by its link. */
  async #follow(path: string, copy: Copy, source: VolumeSource): Promise<void> {
    if (copy.watcher || this.#closed) return;
    const state = await readlink(`${source.path}/${DATA_LINK}`).catch(() => undefined);
    if (state === undefined || copy.watcher || this.#closed) return;
    try {
      copy.watcher = watch(path, { persistent: false }, (_, name) => {
        if (name === null || name === DATA_LINK) this.#changed(path, copy);
      });
      copy.watcher.on('error', () => copy.watcher?.close());
      this.#changed(path, copy);
    } catch (thrown) {
      this.#options.warn(`volume ${path} cannot be watched, changes will not reach the guest: ${reasonOf(thrown)}`);
    }
  }

  #changed(path: string, copy: Copy): void {
    if (this.#closed || copy.timer) return;
    copy.timer = setTimeout(() => {
      copy.timer = undefined;
      void this.#copyAgain(path, copy);
    }, SETTLE_MS);
    copy.timer.unref();
  }

  /** One copy at a time of each volume: two would mix their states. */
  async #copyAgain(path: string, copy: Copy): Promise<void> {
    if (copy.running) {
      copy.again = true;
      return;
    }
    copy.running = true;
    try {
      await copyTree(this.#options.agent(), path, copy.target, `volume ${path}`);
    } catch (thrown) {
      if (!this.#closed) this.#options.warn(`volume ${path} could not be copied again: ${reasonOf(thrown)}`);
    } finally {
      copy.running = false;
    }
    if (copy.again) {
      copy.again = false;
      this.#changed(path, copy);
    }
  }

  #drop(path: string, copy: Copy): void {
    clearTimeout(copy.timer);
    copy.watcher?.close();
    if (this.#copies.get(path) === copy) this.#copies.delete(path);
  }
}
