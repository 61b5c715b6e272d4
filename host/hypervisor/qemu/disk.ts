/** Disks as QMP has them: the node that reads and writes, and the device in front of it. */
import type { BlockAio, BlockSettings } from '../../config/block.ts';
import { KataError } from '../../error.ts';
import { ioThread } from './devices.ts';

/** A disk that is to be plugged. */
export interface Disk {
  /** QEMU's name of what reads and writes. */
  readonly node: string;
  /** Path of a block device or an image file, or `/dev/fdset/<n>`. */
  readonly path: string;
  readonly blockDevice: boolean;
  readonly readOnly: boolean;
  /** Counts disks, so that iothreads are taken in turn. */
  readonly index: number;
}

/** Arguments of `blockdev-add`. */
export function blockNode(
  disk: Disk,
  aio: BlockAio | undefined,
  cache: BlockSettings['cache'],
): Record<string, unknown> {
  const file = {
    driver: disk.blockDevice ? 'host_device' : 'file',
    filename: disk.path,
    'read-only': disk.readOnly,
    ...(aio && { aio }),
  };
  // The file below takes over what is said of the cache.
  const cached = cache && { cache: { direct: cache.direct, 'no-flush': cache.noFlush } };
  return { driver: 'raw', 'node-name': disk.node, 'read-only': disk.readOnly, ...cached, file };
}

/** Arguments of `device_add`, but for its place. */
export function diskDevice(
  { node, readOnly, index }: Disk,
  settings: BlockSettings | undefined,
  iommuPlatform: boolean,
): Record<string, unknown> {
  const { logicalSectorBytes = 0, physicalSectorBytes = 0, ioThreads = 0, queueSize = 0, queues = 0 } = settings ?? {};
  return {
    driver: 'virtio-blk-pci',
    drive: node,
    'share-rw': readOnly,
    'disable-legacy': 'on',
    ...(logicalSectorBytes > 0 && { logical_block_size: logicalSectorBytes }),
    ...(physicalSectorBytes > 0 && { physical_block_size: physicalSectorBytes }),
    ...(ioThreads > 0 && { iothread: ioThread(index % ioThreads) }),
    ...(queueSize > 0 && { 'queue-size': queueSize }),
    ...(queues > 0 && { 'num-queues': queues }),
    ...(iommuPlatform && { iommu_platform: true }),
  };
}

/** Whether a disk was refused because this QEMU, or this host's kernel, has no io_uring. */
export function lacksIoUring(thrown: unknown): boolean {
  return thrown instanceof KataError && thrown.code === 'internal' && thrown.message.includes('io_uring');
}
