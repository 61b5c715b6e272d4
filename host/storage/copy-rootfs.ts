/** A root file system as a copy, for a machine that can be given no disk: file by file through its agent, which keeps it in its own. */
import { join } from 'node:path';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { CopyShareOptions, RootfsMaker } from './copy-share.ts';
import { type CopyLimits, copyTree } from './copy-tree.ts';
import { makeDirectory, mountAll, removeDirectory, unmountAll } from './mounts.ts';
import { GUEST_SHARED, type GuestRootfs } from './share.ts';

/** What an image may have; larger ones are for guests that pull them. */
export const ROOTFS_LIMITS: CopyLimits = {
  bytes: 1024 ** 3,
  entries: 100_000,
  depth: 256,
  parallel: 16,
  // 4 MiB under way: half of what may wait for the agent, the other half is for everybody else.
  chunkBytes: 256 * 1024,
};
/** Paths of what is left out that a warning names. */
const NAMED = 5;

export class CopyRootfs implements RootfsMaker {
  readonly #directory: string;
  readonly #options: Pick<CopyShareOptions, 'agent' | 'warn'>;
  /** Settles with the copy that was asked for last. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param directory the sandbox's private directory */
  constructor(directory: string, options: Pick<CopyShareOptions, 'agent' | 'warn'>) {
    this.#directory = directory;
    this.#options = options;
  }

  /**
   * Copies what the mounts show, one root file system at a time: all go over one connection. What is no file, directory or link is left
   * out, with a warning.
   * @throws KataError `resource_exhausted` beyond the limits, of `mountAll`, of the agent
   */
  add(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    const copied = this.#last.then(() => this.#copy(id, mounts, rootPath));
    this.#last = copied.catch(() => {});
    return copied;
  }

  async #copy(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    const place = join(this.#directory, `copied-${id}`);
    const target = `${GUEST_SHARED}${id}/rootfs`;
    let count = 0;
    makeDirectory(place);
    try {
      count = mountAll(mounts, place);
      const what = `the root file system of container ${id}`;
      const source = mounts.length > 0 ? place : rootPath;
      const { skipped } = await copyTree(this.#options.agent(), source, target, what, ROOTFS_LIMITS);
      if (skipped.length > 0) {
        const named = skipped.slice(0, NAMED).join(', ');
        this.#options.warn(`${what} is copied without ${skipped.length} sockets, fifos and devices: ${named}`);
      }
    } finally {
      unmountAll(place, count);
      removeDirectory(place);
    }
    return { path: target, storages: [] };
  }
}
