/**
 * Limits of block I/O. They name disks of the host; those the host attached for this container are known by other numbers
 * here. A disk that is none of them lies below what the container uses, so its limit holds for each of the container's disks.
 */
import type { LinuxBlockIO, LinuxThrottleDevice } from '../../host/proto/messages/oci.ts';
import type { Cgroup } from './cgroup.ts';
import type { Guest } from './options.ts';

// v1's weights, 10 to 1000, on v2's scale, 1 to 10000.
const LEAST_WEIGHT = 10;
const WEIGHT_SPAN = 990;
const V2_WEIGHT_SPAN = 9999;

/** A disk of the guest that a container uses. */
export interface Disk {
  /** `major:minor` in the guest. */
  readonly guest: string;
  /** On the host, where the spec named it. */
  readonly host?: string | undefined;
}

/** The disks on which the file systems at some paths lie; shared and memory file systems have none. */
export function mountedDisks({ sys }: Guest, paths: readonly string[]): Disk[] {
  const found = new Set<string>();
  for (const path of paths) {
    let device: number;
    try {
      device = sys.stat(path).dev;
    } catch {
      continue;
    }
    const { major, minor } = numbersOf(BigInt(device));
    if (major > 0) found.add(`${major}:${minor}`);
  }
  return [...found].map((guest) => ({ guest }));
}

/** makedev(3) the other way round: major in bits 8-19 and 44-63, minor in bits 0-7 and 20-43. */
function numbersOf(device: bigint): { major: number; minor: number } {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** Disks of the guest that a limit for `major:minor` of the host holds for. */
export function disksFor(host: string, disks: readonly Disk[]): string[] {
  const same = disks.filter((disk) => disk.host === host);
  const meant = same.length > 0 ? same : disks.filter((disk) => disk.host === undefined);
  return [...new Set(meant.map((disk) => disk.guest))];
}

/** `value` of an `io.` file with the host's leading `major:minor` replaced, a line for each disk. */
export function onGuestDisks(value: string, disks: readonly Disk[]): string[] {
  return value.split('\n').flatMap((line) => {
    const match = /^(\d+:\d+)(\s.*)$/.exec(line);
    if (!match) return line.trim() === '' ? [] : [line];
    return disksFor(match[1] as string, disks).map((disk) => disk + match[2]);
  });
}

/**
 * Sets weights and throttles as far as the guest has disks and controllers for them.
 * @returns what could not be set, a line each
 * @throws AgentError internal where the kernel refuses a value
 */
export function updateBlockIo(cgroup: Cgroup, io: LinuxBlockIO, disks: readonly Disk[]): string[] {
  const left: string[] = [];
  const weights = [
    ...(io.Weight > 0 ? [['default', io.Weight] as const] : []),
    ...io.WeightDevice.filter(({ Weight }) => Weight > 0).flatMap(({ Major, Minor, Weight }) =>
      disksFor(`${Major}:${Minor}`, disks).map((disk) => [disk, Weight] as const),
    ),
  ];
  const bfq = cgroup.has('io.bfq.weight');
  if (weights.length > 0 && !bfq && !cgroup.has('io.weight'))
    left.push('blockIO.weight: this guest schedules no disk by weight');
  else for (const [disk, weight] of weights) setWeight(cgroup, bfq, disk, weight);
  const throttles: readonly (readonly [string, readonly LinuxThrottleDevice[]])[] = [
    ['rbps', io.ThrottleReadBpsDevice],
    ['wbps', io.ThrottleWriteBpsDevice],
    ['riops', io.ThrottleReadIOPSDevice],
    ['wiops', io.ThrottleWriteIOPSDevice],
  ];
  for (const [key, entries] of throttles) {
    for (const { Major, Minor, Rate } of entries) {
      const meant = cgroup.has('io.max') ? disksFor(`${Major}:${Minor}`, disks) : [];
      if (meant.length === 0) left.push(`blockIO ${key} of ${Major}:${Minor}: the container has no disk in this guest`);
      for (const disk of meant) cgroup.write('io.max', `${disk} ${key}=${Number(Rate) > 0 ? Rate : 'max'}`);
    }
  }
  return left;
}

function setWeight(cgroup: Cgroup, bfq: boolean, disk: string, weight: number): void {
  if (bfq) cgroup.write('io.bfq.weight', `${disk} ${weight}`);
  else {
    const scaled = 1 + Math.trunc(((Math.max(weight, LEAST_WEIGHT) - LEAST_WEIGHT) * V2_WEIGHT_SPAN) / WEIGHT_SPAN);
    cgroup.write('io.weight', `${disk} ${scaled}`);
  }
}
