/** A root file system as an ext4 image, for guests that share no file system with the host: made from what is mounted, then the VM's alone. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../child.ts';
import { KataError } from '../error.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import { oneLine } from '../tail.ts';
import type { BlockRootfs } from './block-rootfs.ts';
import { makeDirectory, mountAll, removeDirectory, unmountAll } from './mounts.ts';
import type { GuestRootfs } from './share.ts';

/** Size of the image, bytes: what a container can hold. The file is sparse and takes what is written. */
export const IMAGE_BYTES = 16 * 1024 ** 3;
/** How long making one may take, ms. */
export const MAKE_IMAGE_MS = 120_000;
/** Where images are made: a disk, unlike /run. */
export const IMAGE_DIRECTORY = '/var/lib/kata-containers';
/** Where e2fsprogs puts it. */
export const MKE2FS_PATHS = ['/usr/sbin/mke2fs', '/sbin/mke2fs', '/usr/bin/mke2fs'] as const;

export class ImageRootfs {
  readonly #directory: string;
  readonly #imageDirectory: string;
  readonly #block: BlockRootfs;

  /**
   * @param directory the sandbox's private directory
   * @param block plugs and unplugs the image
   */
  constructor(directory: string, block: BlockRootfs, imageDirectory: string = IMAGE_DIRECTORY) {
    this.#directory = directory;
    this.#imageDirectory = imageDirectory;
    this.#block = block;
  }

  /**
   * Makes an image of what the mounts show and plugs it. `BlockRootfs.remove` undoes it.
   * @throws KataError `failed_precondition` (no mke2fs), `resource_exhausted` (does not fit), of `mountAll`
   */
  async add(id: string, mounts: readonly Mount[], rootPath: string): Promise<GuestRootfs> {
    const mke2fs = MKE2FS_PATHS.find((path) => existsSync(path));
    if (mke2fs === undefined) {
      throw new KataError(
        'failed_precondition',
        'hypervisor.qemu.shared_fs is "none" and the root file system is no block device: install the package e2fsprogs, or use a block snapshotter',
      );
    }
    mkdirSync(this.#imageDirectory, { recursive: true, mode: 0o700 });
    const image = join(this.#imageDirectory, `${id}-${process.pid}.ext4`);
    const place = join(this.#directory, `image-${id}`);
    let count = 0;
    try {
      makeDirectory(place);
      try {
        count = mountAll(mounts, place);
        await makeImage(mke2fs, mounts.length > 0 ? place : rootPath, image);
      } finally {
        unmountAll(place, count);
        removeDirectory(place);
      }
      return await this.#block.add(id, { type: 'ext4', source: image, target: '', options: ['rw'] });
    } finally {
      // The VMM holds it open; without a name it goes with the VM, however that ends.
      rmSync(image, { force: true });
    }
  }
}

async function makeImage(mke2fs: string, from: string, image: string): Promise<void> {
  const layout = ['-t', 'ext4', '-m', '0', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard,root_owner=0:0'];
  const args = ['-q', '-F', ...layout, '-d', from, image, `${IMAGE_BYTES / 1024}k`];
  const child = await Child.spawn(mke2fs, args, { descriptors: [], dropCapabilities: false });
  const timer = setTimeout(() => void child.kill(), MAKE_IMAGE_MS);
  const { code, signal, stderr } = await child.exited;
  clearTimeout(timer);
  if (code === 0) return;
  const how = signal === null ? `status ${code}` : `${signal}, perhaps after ${MAKE_IMAGE_MS / 1000} s`;
  throw new KataError(
    'resource_exhausted',
    `mke2fs cannot make an image of the root file system ${from} (${how}): ${oneLine(stderr)}`,
  );
}
