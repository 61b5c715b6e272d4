/** Writes tar archives (POSIX ustar) that depend on nothing but their entries: no time, no owner but root. */
const BLOCK_BYTES = 512;
/** Bytes of a header's name and link name fields. */
const NAME_BYTES = 100;
const LINK_OFFSET = 157;
const CHECKSUM_OFFSET = 148;
const CHECKSUM_BYTES = 8;

const TYPES = { file: '0', symlink: '2', directory: '5' } as const;

export interface TarEntry {
  /** Without a leading slash; at most 100 bytes. */
  readonly path: string;
  readonly type: keyof typeof TYPES;
  /** Permission bits; absent: 0755. */
  readonly mode?: number;
  /** A file's bytes. */
  readonly data?: Uint8Array;
  /** Where a symbolic link points; at most 100 bytes. */
  readonly target?: string;
}

/**
 * The archive of `entries` in the given order.
 * @throws Error for a path or link target that does not fit its field
 */
export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const data = entry.data ?? new Uint8Array(0);
    parts.push(header(entry, data.length), data, Buffer.alloc(-data.length & (BLOCK_BYTES - 1)));
  }
  parts.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(parts);
}

/** Fields by offset: name 0, mode 100, uid 108, gid 116, size 124, mtime 136, checksum 148, type 156, link 157, magic 257. */
function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  text(block, entry.path, 0);
  octal(block, entry.mode ?? 0o755, 100, 8);
  octal(block, 0, 108, 8);
  octal(block, 0, 116, 8);
  octal(block, size, 124, 12);
  octal(block, 0, 136, 12);
  block.fill(' ', CHECKSUM_OFFSET, CHECKSUM_OFFSET + CHECKSUM_BYTES);
  block.write(TYPES[entry.type], 156, 'latin1');
  text(block, entry.target ?? '', LINK_OFFSET);
  block.write('ustar\u000000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, CHECKSUM_OFFSET, 'latin1');
  return block;
}

function text(block: Buffer, value: string, offset: number): void {
  const bytes = Buffer.from(value);
  if (bytes.length > NAME_BYTES)
    throw new Error(`tar: "${value}" is longer than ${NAME_BYTES} bytes; use a shorter path`);
  bytes.copy(block, offset);
}

function octal(block: Buffer, value: number, offset: number, width: number): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
}
