/** Writes initramfs archives: cpio in the `newc` form. https://docs.kernel.org/driver-api/early-userspace/buffer-format.html */

const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const TRAILER = 'TRAILER!!!';

export type Entry =
  | { readonly type: 'dir'; readonly path: string; readonly mode?: number }
  | { readonly type: 'file'; readonly path: string; readonly mode?: number; readonly data: Uint8Array }
  | { readonly type: 'link'; readonly path: string; readonly target: string }
  | {
      readonly type: 'char';
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

/**
 * An archive that depends on the entries only: sorted by path, all owned by root, all times zero. Missing parent
 * directories are added.
 * @param entries paths without a leading slash
 */
export function cpio(entries: readonly Entry[]): Buffer {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let i = 1; i < parts.length; i++) {
      const path = parts.slice(0, i).join('/');
      if (!all.has(path)) all.set(path, { type: 'dir', path });
    }
    all.set(entry.path, entry);
  }
  // Code unit order puts a directory before what is in it.
  const sorted = [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts = sorted.flatMap((entry, index) => write(entry, index + 1));
  parts.push(...record(TRAILER, 0, 0, 1, new Uint8Array(0)));
  return Buffer.concat(parts);
}

function write(entry: Entry, inode: number): Uint8Array[] {
  const none = new Uint8Array(0);
  switch (entry.type) {
    case 'dir':
      return record(entry.path, inode, S_IFDIR | (entry.mode ?? 0o755), 2, none);
    case 'file':
      return record(entry.path, inode, S_IFREG | (entry.mode ?? 0o644), 1, entry.data);
    case 'link':
      return record(entry.path, inode, S_IFLNK | 0o777, 1, Buffer.from(entry.target));
    case 'char':
      return record(entry.path, inode, S_IFCHR | entry.mode, 1, none, entry.major, entry.minor);
  }
}

function record(
  path: string,
  inode: number,
  mode: number,
  links: number,
  data: Uint8Array,
  major = 0,
  minor = 0,
): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  // Inode, mode, uid, gid, links, mtime, size, device (2), node (2), length of the name, checksum.
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(`070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`);
  return [header, name, padding(header.length + name.length), data, padding(data.length)];
}

/** Headers and data begin at multiples of four bytes. */
function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
