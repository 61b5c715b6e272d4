/** A file or directory of the host that a container's spec binds, held open so that nobody can exchange it. */
import { close, constants, fstat, open, readlinkSync, type Stats } from 'node:fs';
import { promisify } from 'node:util';
import { KataError, reasonOf } from '../error.ts';
import { native, O_PATH } from '../native.ts';
import type { Mount } from '../proto/messages/oci.ts';
import { bindOptions } from './bind-volume.ts';

export type SourceKind = 'file' | 'directory' | 'socket' | 'fifo' | 'char' | 'block';

export class VolumeSource {
  private constructor(
    readonly fd: number,
    readonly kind: SourceKind,
    readonly stat: Stats,
    /** A copy of what is mounted there, where it was opened in another mount namespace. */
    readonly tree: number | undefined,
  ) {}

  /**
   * Opens a mount's source. The path is the node's own, so links in it are followed, but only this once.
   * @param id of the container, for error messages
   * @param namespace of the mounts in which the path counts; absent: this process's own
   * @throws KataError `not_found` when it does not exist, `invalid_argument` when it cannot be opened
   */
  static async open(id: string, mount: Mount, namespace?: string): Promise<VolumeSource> {
    const { source, destination } = mount;
    const what = `container ${id}: ${JSON.stringify(source)}, to be mounted at ${destination},`;
    if (!source.startsWith('/')) {
      throw new KataError('invalid_argument', `${what} is no absolute path; correct the mount's source`);
    }
    let [fd, tree]: [number, number | undefined] = [-1, undefined];
    try {
      // In a thread: a network file system whose server is gone must not stop everything else.
      if (namespace === undefined) fd = await promisify(open)(source, O_PATH | constants.O_NONBLOCK);
      else ({ place: fd, tree } = await native().copyMount(namespace, source, bindOptions(mount.options).recursive));
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') {
        throw new KataError('not_found', `${what} does not exist on the host; create it, or leave the mount out`);
      }
      throw new KataError('invalid_argument', `${what} cannot be opened: ${reasonOf(thrown)}`, { cause: thrown });
    }
    try {
      const stat = await promisify(fstat)(fd);
      return new VolumeSource(fd, kindOf(stat), stat, tree);
    } catch (thrown) {
      await promisify(close)(fd);
      if (tree !== undefined) await promisify(close)(tree);
      throw new KataError('invalid_argument', `${what} cannot be examined: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }

  /** A path that leads to it whatever has become of its name. */
  get path(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  /** Numbers of the device it is the node of. */
  get device(): { major: number; minor: number } {
    // makedev(3) of glibc: bits 8 to 19 and from 44 on are the major; above 2^32 bit operations would cut them off.
    const { rdev } = this.stat;
    const high = Math.floor(rdev / 2 ** 32);
    return { major: ((rdev >>> 8) & 0xfff) | (high & ~0xfff), minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
  }

  /** Where it lies now, links resolved. */
  get realPath(): string {
    return readlinkSync(this.path);
  }

  async close(): Promise<void> {
    await promisify(close)(this.fd);
    // What was attached nowhere goes with its descriptor.
    if (this.tree !== undefined) await promisify(close)(this.tree);
  }
}

function kindOf(stat: Stats): SourceKind {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSocket()) return 'socket';
  if (stat.isFIFO()) return 'fifo';
  if (stat.isCharacterDevice()) return 'char';
  return stat.isBlockDevice() ? 'block' : 'file';
}
