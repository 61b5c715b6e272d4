/** Has the file system of a mounted disk fill what the disk has grown by. */
import { AgentError, reasonOf } from './error.ts';
import { readTextIfAny } from './files.ts';
import { checkPath } from './mount.ts';
import type { Guest } from './options.ts';

/** Between two looks whether the kernel knows of the disk's new size, ms. */
const STEP_MS = 20;
/** What sysfs counts sizes in, bytes. */
const SECTOR = 512;
/** File systems of the ext4 driver, which grows them itself while they are mounted. */
const GROWABLE: readonly string[] = ['ext4', 'ext3'];

/**
 * @param path where it is mounted
 * @param size bytes
 * @throws AgentError not_found, unimplemented for other file systems, failed_precondition for a disk that stays smaller, invalid_argument
 */
export async function resizeVolume(guest: Guest, path: string, size: number): Promise<void> {
  const { sys, options } = guest;
  const { device, type } = mountAt(guest, checkPath(path, 'volume_guest_path'));
  if (!GROWABLE.includes(type)) {
    throw new AgentError('unimplemented', `volume ${path}: this guest grows ext4, not ${type}`);
  }
  const disk = device.slice(device.lastIndexOf('/') + 1);
  for (let waited = 0; bytesOf(guest, disk) < size; waited += STEP_MS) {
    if (waited >= options.hotplugTimeoutMs) {
      throw new AgentError(
        'failed_precondition',
        `volume ${path}: ${device} has ${bytesOf(guest, disk)} bytes, not ${size}`,
      );
    }
    await guest.loop.sleep(STEP_MS);
  }
  const { blockSize, blocks: present } = sys.statfs(path);
  const blocks = Math.floor(size / blockSize);
  try {
    if (blocks < present) throw new Error(`it has ${present * blockSize} already, and does not shrink`);
    sys.resizeExt4(path, blocks);
  } catch (thrown) {
    throw new AgentError('invalid_argument', `volume ${path} cannot have ${size} bytes: ${reasonOf(thrown)}`);
  }
}

/** The one mounted there last. */
function mountAt({ sys, options }: Guest, path: string): { device: string; type: string } {
  const lines = (readTextIfAny(sys, `${options.procRoot}/self/mounts`) ?? '')
    .split('\n')
    .map((line) => line.split(' '));
  const [device, , type] = lines.filter(([, target]) => target === path).at(-1) ?? [];
  if (!device?.startsWith('/dev/') || !type)
    throw new AgentError('not_found', `volume ${path}: no disk is mounted there`);
  return { device, type };
}

function bytesOf({ sys, options }: Guest, disk: string): number {
  return Number(readTextIfAny(sys, `${options.sysRoot}/class/block/${disk}/size`) ?? 0) * SECTOR;
}
