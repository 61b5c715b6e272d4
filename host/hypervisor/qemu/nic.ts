/** NICs as QMP has them: the tap behind, and the device in front of it. */
import { closeSync } from 'node:fs';
import { KataError } from '../../error.ts';
import { native } from '../../native.ts';
import type { NicBackend } from '../hypervisor.ts';
import type { Qmp } from './qmp.ts';

export interface TapOptions extends NicBackend {
  /** QEMU's name of it. */
  readonly netdev: string;
  /** Path of the network namespace it is in; empty or absent: this process's. */
  readonly namespace: string | undefined;
  /** Whether QEMU may not open it by itself. */
  readonly handed: boolean;
}

/**
 * What `netdev_add` is told of a tap device: QEMU, which is in its namespace, opens it, or has it handed over open, once for
 * each of its queues.
 * @throws KataError `invalid_argument` for descriptors that are not one a queue
 */
export async function tapOptions(qmp: Qmp, options: TapOptions): Promise<Readonly<Record<string, unknown>>> {
  const { netdev, device, fds = [], queues = 1, namespace, handed } = options;
  if (fds.length === 0 && !handed) {
    return { ifname: device, script: 'no', downscript: 'no', ...(queues > 1 && { queues }) };
  }
  if (fds.length > 0 && fds.length !== queues) {
    throw new KataError(
      'invalid_argument',
      `NIC on ${device}: ${fds.length} descriptors for ${queues} queues; each queue has one`,
    );
  }
  const own = fds.length === 0 ? openQueues(namespace, device, queues) : [];
  try {
    const names: string[] = [];
    for (const [index, fd] of [...fds, ...own].entries()) {
      const fdname = `${netdev}-${index}`;
      await qmp.execute('getfd', { fdname }, undefined, fd);
      names.push(fdname);
    }
    return names.length === 1 ? { fd: names[0] } : { fds: names.join(':') };
  } finally {
    for (const fd of own) closeSync(fd);
  }
}

/** Arguments of `device_add`, but for its place. */
export function nicDevice(
  netdev: string,
  { mac, queues = 1 }: NicBackend,
  iommuPlatform: boolean,
): Readonly<Record<string, unknown>> {
  return {
    driver: 'virtio-net-pci',
    netdev,
    mac,
    mq: queues > 1,
    // Without its boot ROM, which nothing would run.
    romfile: '',
    'disable-legacy': 'on',
    // Two for each pair of queues, one for changes, one for control.
    ...(queues > 1 && { vectors: 2 * queues + 2 }),
    ...(iommuPlatform && { iommu_platform: true }),
  };
}

/** The queues of a tap device. @throws Error with `code`, as node:fs; none stays open */
function openQueues(namespace: string | undefined, device: string, count: number): number[] {
  const queues: number[] = [];
  const all = (): number[] => {
    while (queues.length < count) queues.push(native().openTap(device, count > 1));
    return queues;
  };
  try {
    return namespace ? native().inNetworkNamespace(namespace, all) : all();
  } catch (thrown) {
    for (const fd of queues) closeSync(fd);
    throw thrown;
  }
}
