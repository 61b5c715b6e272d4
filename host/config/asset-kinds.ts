/** Whether a file is the kernel, initial RAM file system or disk image that it is said to be: by the bytes it begins with. */
import { closeSync, openSync, readSync } from 'node:fs';
import { reasonOf } from '../error.ts';

export type AssetKind = 'kernel' | 'initrd' | 'image';

/** Bytes that are looked at: as far as the magic number of ext4, at 1024 + 56. */
const LOOKED_AT = 1088;

/** e_type of an ELF header, at byte 16, of what is not to be moved when it is loaded, and e_machine, at 18: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html */
const ELF_TYPE_AT = 16;
const ELF_EXECUTABLE = 2;
const ELF_MACHINE_AT = 18;
const ELF_MACHINES: Readonly<Record<number, string>> = {
  3: 'ia32',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
};
/** Linux, Documentation/arch/arm64/booting.rst and Documentation/arch/x86/boot.rst. */
const ARM64_MAGIC_AT = 56;
const BZIMAGE_MAGIC_AT = 0x202;
/** EFI zboot, which QEMU unpacks for arm64. */
const ZBOOT_MAGIC_AT = 4;
const BOOT_SIGNATURE_AT = 510;
const GPT_AT = 512;
const EXT4_MAGIC_AT = 1080;
const EROFS_MAGIC_AT = 1024;

const COMPRESSED: readonly (readonly [name: string, magic: readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzop', [0x89, 0x4c, 0x5a]],
];
const CPIO = ['070701', '070702', '070707'];

/**
 * @param arch Node's name of this machine's CPU
 * @returns what is wrong, after the file's name, and what to do; undefined: nothing
 */
export function kindProblem(kind: AssetKind, path: string, arch: string): string | undefined {
  let head: Buffer;
  try {
    head = headOf(path);
  } catch (thrown) {
    return `cannot be read: ${reasonOf(thrown)}`;
  }
  if (kind === 'kernel') return kernelProblem(head, arch);
  return kind === 'initrd' ? initrdProblem(head) : imageProblem(head);
}

function kernelProblem(head: Buffer, arch: string): string | undefined {
  const found = kernelArch(head);
  if (found === undefined) {
    return `is no Linux kernel that can be started; name ${arch === 'arm64' ? 'an Image' : 'a vmlinux or bzImage'}`;
  }
  // An arm64 kernel may be compressed as a whole, which says nothing of its CPU.
  if (found === arch || found === 'any') return undefined;
  return `is a kernel for ${found}, and this machine is ${arch}; name one for ${arch}`;
}

/** Node's name of the CPU a kernel is for. */
function kernelArch(head: Buffer): string | undefined {
  if (text(head, 0, 4) === '\x7fELF') {
    const half = (at: number): number => (head[5] === 2 ? head.readUInt16BE(at) : head.readUInt16LE(at));
    // Programs of distributions, and libraries, are of another type.
    if (half(ELF_TYPE_AT) !== ELF_EXECUTABLE) return undefined;
    const machine = half(ELF_MACHINE_AT);
    return ELF_MACHINES[machine] ?? `a CPU of ELF's number ${machine}`;
  }
  if (text(head, ARM64_MAGIC_AT, 4) === 'ARM\x64') return 'arm64';
  if (text(head, ARM64_MAGIC_AT, 4) === 'RSC\x05') return 'riscv64';
  if (text(head, BZIMAGE_MAGIC_AT, 4) === 'HdrS') return 'x64';
  return text(head, ZBOOT_MAGIC_AT, 4) === 'zimg' || compressionOf(head) === 'gzip' ? 'any' : undefined;
}

function initrdProblem(head: Buffer): string | undefined {
  // Zeros may come before an archive.
  const start = head.findIndex((byte) => byte !== 0);
  const rest = Buffer.concat([head.subarray(Math.max(start, 0)), Buffer.alloc(2)]);
  if (CPIO.includes(text(rest, 0, 6)) || compressionOf(rest) !== undefined) return undefined;
  // Of the old binary form, in either order of bytes.
  if ([0xc771, 0x71c7].includes(rest.readUInt16BE(0))) return undefined;
  return `is no initial RAM file system: neither a cpio archive nor compressed by gzip, xz, zstd, lz4, lzma or bzip2; name one, or set image if it is a disk image`;
}

function imageProblem(head: Buffer): string | undefined {
  if (text(head, 0, 4) === 'QFI\xfb') {
    return 'is of the format qcow2, and images are raw; convert it with `qemu-img convert -O raw`';
  }
  if (head.readUInt16BE(BOOT_SIGNATURE_AT) === 0x55aa) return undefined;
  if (text(head, GPT_AT, 8) === 'EFI PART') return undefined;
  if (isFileSystem(head)) {
    return 'is a file system without a partition table, and the root file system is looked for in the first partition; make an image with one';
  }
  const kind = CPIO.includes(text(head, 0, 6)) || compressionOf(head) !== undefined;
  return `is no disk image: it has no partition table; ${kind ? 'set initrd in place of image, or unpack it' : 'name a raw disk image'}`;
}

function isFileSystem(head: Buffer): boolean {
  if (text(head, 0, 4) === 'XFSB') return true;
  return head.readUInt16LE(EXT4_MAGIC_AT) === 0xef53 || head.readUInt32LE(EROFS_MAGIC_AT) === 0xe0f5e1e2;
}

function compressionOf(head: Buffer): string | undefined {
  return COMPRESSED.find(([, magic]) => magic.every((byte, at) => head[at] === byte))?.[0];
}

/** Every byte a character. */
function text(head: Buffer, at: number, length: number): string {
  return head.toString('latin1', at, at + length);
}

function headOf(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    // A shorter file has zeros after its end, which are no magic number.
    const head = Buffer.alloc(LOOKED_AT);
    readSync(fd, head, 0, LOOKED_AT, 0);
    return head;
  } finally {
    closeSync(fd);
  }
}
