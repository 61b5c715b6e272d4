/** Finding the node of a disk the host has plugged in. */
import { O_NONBLOCK } from './beneath.ts';
import { AgentError, errnoOf } from './error.ts';
import { exists, list } from './files.ts';
import type { Guest } from './options.ts';

/** Between two looks for a device, ms. */
const STEP_MS = 20;
/** One element of a PCI path: slot, or bus and slot below the root, hex; a function may follow. */
const PCI_PATH = /^[0-9a-f]{2}(?:\.[0-7])?(?:\/[0-9a-f]{2}(?:\.[0-7])?){0,15}$/i;

/**
 * Waits for a disk named by `/dev/…` or by its PCI path (`02/00`: slot 02 of the root bus, slot 00 behind that bridge).
 * @returns its node's path
 * @throws AgentError invalid_argument for other names, deadline_exceeded if it does not appear
 */
export async function blockDevice(guest: Guest, name: string): Promise<string> {
  const { devRoot, hotplugTimeoutMs } = guest.options;
  if (!name.startsWith('/dev/') && !PCI_PATH.test(name)) {
    throw new AgentError(
      'invalid_argument',
      `device ${JSON.stringify(name)} is neither /dev/… nor a PCI path such as 02/00`,
    );
  }
  if (name.startsWith('/dev/') && name.split('/').includes('..')) {
    throw new AgentError('invalid_argument', `device ${JSON.stringify(name)} leads out of /dev`);
  }
  guest.options.needModules?.();
  const find = (): string | undefined => {
    const node = name.startsWith('/dev/') ? devRoot + name.slice('/dev'.length) : diskAt(guest, name);
    return node !== undefined && opens(guest, node) ? node : undefined;
  };
  for (let waited = 0; ; waited += STEP_MS) {
    const node = find();
    if (node !== undefined) return node;
    if (waited >= hotplugTimeoutMs) {
      throw new AgentError('deadline_exceeded', `disk ${name} has not appeared within ${hotplugTimeoutMs} ms`);
    }
    await guest.loop.sleep(STEP_MS);
  }
}

/** The kernel makes a disk's node a moment before the disk can be used: until then opening it gives ENXIO. */
function opens({ sys }: Guest, node: string): boolean {
  try {
    sys.close(sys.open(node, O_NONBLOCK));
    return true;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENXIO') return false;
    return exists(sys, node);
  }
}

/** The directory of a PCI function in sysfs, walking bridges; undefined while it is not there. */
export function pciDirectory(guest: Guest, path: string): string | undefined {
  const { sys, options } = guest;
  let directory: string | undefined;
  for (const element of path.toLowerCase().split('/')) {
    const [slot, fn = '0'] = element.split('.');
    if (directory === undefined) {
      directory = `${options.sysRoot}/bus/pci/devices/0000:00:${slot}.${fn}`;
      if (!exists(sys, directory)) return undefined;
      continue;
    }
    // Behind a bridge the bus has a number of its own: the bridge's directory tells it.
    const behind: string | undefined = list(sys, directory).find((name) => {
      const match = /^[0-9a-f]{4}:[0-9a-f]{2}:([0-9a-f]{2})\.([0-7])$/.exec(name);
      return match !== null && match[1] === slot && match[2] === fn;
    });
    if (behind === undefined) return undefined;
    directory = `${directory}/${behind}`;
  }
  return directory;
}

/** virtio-blk: `<function>/virtioN/block/vdX`. */
function diskAt(guest: Guest, path: string): string | undefined {
  const directory = pciDirectory(guest, path);
  if (directory === undefined) return undefined;
  for (const virtio of list(guest.sys, directory).filter((name) => /^virtio[0-9]+$/.test(name))) {
    const disk = list(guest.sys, `${directory}/${virtio}/block`)[0];
    if (disk !== undefined) return `${guest.options.devRoot}/${disk}`;
  }
  return undefined;
}
