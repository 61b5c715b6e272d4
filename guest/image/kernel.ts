/** The kernel file QEMU starts: on amd64 the uncompressed ELF inside the bzImage (PVH), on arm64 the Image as it is. */
import { KataError } from '../../host/error.ts';
import { decodeLz4Legacy, LZ4_LEGACY_MAGIC } from './lz4.ts';

// Offsets in a bzImage. https://www.kernel.org/doc/html/latest/arch/x86/boot.html
const SETUP_SECTS = 0x1f1;
const HEADER_MAGIC = 0x202;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR_BYTES = 512;
/** `HdrS`, little endian. */
const HDRS = 0x53726448;
/** `\x7fELF`, little endian. */
const ELF = 0x464c457f;
/** `ARM\x64` at offset 0x38 of an arm64 Image, little endian. */
const ARM64_MAGIC = 0x644d5241;
const ARM64_MAGIC_OFFSET = 0x38;
/** Largest kernel, bytes. */
const MAX_KERNEL_BYTES = 256 * 1024 * 1024;

/**
 * The vmlinux inside a bzImage.
 * @throws KataError `invalid_argument` if it is no bzImage, or compressed otherwise than by LZ4
 */
export function extractVmlinux(image: Uint8Array): Uint8Array {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 0x250 || view.getUint32(HEADER_MAGIC, true) !== HDRS) throw wrong('is not a bzImage');
  const start = ((image[SETUP_SECTS] as number) + 1) * SECTOR_BYTES + view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  if (length < 8 || start + length > image.length) throw wrong('is cut off');
  if (view.getUint32(start, true) !== LZ4_LEGACY_MAGIC) throw wrong('is not compressed by LZ4, as Debian 12 does it');
  // The kernel's build appends the uncompressed size to the compressed data.
  const size = view.getUint32(start + length - 4, true);
  if (size > MAX_KERNEL_BYTES) throw wrong(`claims to hold ${size} bytes`);
  const vmlinux = decodeLz4Legacy(image.subarray(start, start + length - 4), size);
  if (new DataView(vmlinux.buffer).getUint32(0, true) !== ELF) throw wrong('does not hold an ELF file');
  return vmlinux;
}

/** Checks that an arm64 kernel is an uncompressed Image, which QEMU starts as it is. @throws KataError `invalid_argument` */
export function checkArm64Image(image: Uint8Array): Uint8Array {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 64 || view.getUint32(ARM64_MAGIC_OFFSET, true) !== ARM64_MAGIC)
    throw wrong('is not an arm64 Image');
  return image;
}

function wrong(what: string): KataError {
  return new KataError('invalid_argument', `the kernel ${what}; use the cloud kernel package of Debian 12`);
}
