/** How disks of the host are given to a guest: `block_device_*`, iothreads and queues. */
import { QEMU, show, type Values } from './values.ts';

/** Spellings of both of Kata's runtimes. */
const DRIVERS = ['virtio-blk', 'virtio-blk-pci', 'virtio-scsi'] as const;
/** Why others are not taken, by driver. */
const REFUSED: Readonly<Record<string, string>> = {
  nvdimm: 'a guest could write what it has mapped (CVE-2026-24834); use "virtio-blk"',
  'virtio-pmem': 'a guest could write what it has mapped (CVE-2026-24834); use "virtio-blk"',
  'virtio-mmio': 'machines q35 and virt have PCI devices; use "virtio-blk"',
  'virtio-blk-mmio': 'machines q35 and virt have PCI devices; use "virtio-blk"',
  'virtio-blk-ccw': 'it is for s390x; use "virtio-blk"',
};
const AIO = ['io_uring', 'native', 'threads'] as const;
export type BlockAio = (typeof AIO)[number];

/** Sector sizes, bytes. Logical ones beyond a page are refused by the guest's kernel. */
export const MIN_SECTOR_BYTES = 512;
export const MAX_LOGICAL_SECTOR_BYTES = 4096;
export const MAX_PHYSICAL_SECTOR_BYTES = 65_536;
/** Entries of a virtio-blk queue: QEMU takes powers of two, and more than two. */
export const MIN_BLOCK_QUEUE_SIZE = 4;
export const MAX_BLOCK_QUEUE_SIZE = 1024;
/** Most queues of one disk. */
export const MAX_BLOCK_QUEUES = 256;
/** Most iothreads of a machine. */
export const MAX_IOTHREADS = 50;

export interface BlockSettings {
  /** As configured; every disk is plugged as virtio-blk. */
  readonly driver: (typeof DRIVERS)[number];
  /** How QEMU reads and writes; undefined: as it does by itself, by threads. */
  readonly aio: BlockAio | undefined;
  /** undefined: through the host's page cache, flushes as the guest asks. */
  readonly cache: { readonly direct: boolean; readonly noFlush: boolean } | undefined;
  /** Bytes; 0: the disk's own. */
  readonly logicalSectorBytes: number;
  readonly physicalSectorBytes: number;
  /** Threads that serve disks beside QEMU's main loop; 0: none. Disks are dealt to them in turn. */
  readonly ioThreads: number;
  /** Entries of a queue; 0: QEMU's own choice. */
  readonly queueSize: number;
  /** Queues of a disk; 0: one a vCPU. */
  readonly queues: number;
}

/** @throws KataError `invalid_argument` naming file and key */
export function blockOf(values: Values): BlockSettings {
  const aio = values.choice(QEMU, 'block_device_aio', [...AIO, ''] as const, '') || undefined;
  return {
    driver: driverOf(values),
    aio,
    cache: cacheOf(values, aio),
    ...sectorsOf(values),
    ioThreads: ioThreadsOf(values),
    queueSize: queueSizeOf(values),
    queues: within(values, 'num_queues', MAX_BLOCK_QUEUES),
  };
}

function driverOf(values: Values): BlockSettings['driver'] {
  const word = values.string(QEMU, 'block_device_driver', '');
  const reason = Object.hasOwn(REFUSED, word) ? REFUSED[word] : undefined;
  if (reason !== undefined) throw values.invalid(QEMU, 'block_device_driver', `is ${show(word)}: ${reason}`);
  return values.choice(QEMU, 'block_device_driver', DRIVERS, 'virtio-blk');
}

/** Native requests are made past the page cache, or not at all. */
function cacheOf(values: Values, aio: BlockAio | undefined): BlockSettings['cache'] {
  const direct = values.boolean(QEMU, 'block_device_cache_direct', false);
  const noFlush = values.boolean(QEMU, 'block_device_cache_noflush', false);
  const native = aio === 'native';
  if (!values.boolean(QEMU, 'block_device_cache_set', false)) {
    return native ? { direct: true, noFlush: false } : undefined;
  }
  if (native && !direct) {
    throw values.invalid(
      QEMU,
      'block_device_aio',
      'is "native", which needs block_device_cache_direct = true; set that, or use "io_uring"',
    );
  }
  return { direct, noFlush };
}

function sectorsOf(values: Values): Pick<BlockSettings, 'logicalSectorBytes' | 'physicalSectorBytes'> {
  const logical = sectorOf(values, 'block_device_logical_sector_size', MAX_LOGICAL_SECTOR_BYTES);
  const physical = sectorOf(values, 'block_device_physical_sector_size', MAX_PHYSICAL_SECTOR_BYTES);
  // QEMU's own physical size is 512: it must not be below the logical one.
  return { logicalSectorBytes: logical, physicalSectorBytes: physical || logical };
}

function sectorOf(values: Values, key: string, most: number): number {
  const bytes = values.number(QEMU, key, 0);
  if (bytes === 0 || (isPowerOfTwo(bytes) && bytes >= MIN_SECTOR_BYTES && bytes <= most)) return bytes;
  throw values.invalid(QEMU, key, `is ${bytes}; it must be 0, or a power of two from ${MIN_SECTOR_BYTES} to ${most}`);
}

function ioThreadsOf(values: Values): number {
  const independent = within(values, 'indep_iothreads', MAX_IOTHREADS);
  return independent || (values.boolean(QEMU, 'enable_iothreads', false) ? 1 : 0);
}

function queueSizeOf(values: Values): number {
  const size = values.number(QEMU, 'queue_size', 0);
  if (size === 0 || (isPowerOfTwo(size) && size >= MIN_BLOCK_QUEUE_SIZE && size <= MAX_BLOCK_QUEUE_SIZE)) return size;
  throw values.invalid(
    QEMU,
    'queue_size',
    `is ${size}; it must be 0, or a power of two from ${MIN_BLOCK_QUEUE_SIZE} to ${MAX_BLOCK_QUEUE_SIZE}`,
  );
}

function within(values: Values, key: string, most: number): number {
  const number = values.number(QEMU, key, 0);
  if (number >= 0 && number <= most) return number;
  throw values.invalid(QEMU, key, `is ${number}; it must be 0 to ${most}`);
}

function isPowerOfTwo(number: number): boolean {
  return number > 0 && Number.isInteger(Math.log2(number));
}
