/** Kernel modules, from the list the image was built with. */
import { errnoOf, reasonOf } from './error.ts';
import type { Sys } from './sys.ts';

/** One line each: `PATH` or `PATH VIRTIO-ID`, in load order; with an id, only where such a device exists. */
export const MODULE_LIST = '/etc/kata-modules';
const VIRTIO_DEVICES = '/sys/bus/virtio/devices';
const MAX_LIST_BYTES = 16 * 1024;
const MAX_ID_BYTES = 32;

/** Loads every module of the list; one that fails is logged, since the pod may do without. */
export function loadModules(sys: Sys): void {
  const list = new TextDecoder().decode(sys.readFile(MODULE_LIST, MAX_LIST_BYTES));
  let devices: Set<number> | undefined;
  for (const line of list.split('\n')) {
    const [path, id] = line.split(' ');
    if (!path) continue;
    if (id !== undefined) {
      // Looked up here, not before: the list's first modules are those that find the devices.
      devices ??= virtioDevices(sys);
      if (!devices.has(Number(id))) continue;
    }
    try {
      sys.loadModule(path, '');
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') sys.log(`agent: ${reasonOf(error)}`);
    }
  }
}

/** Device ids (virtio 1.2, section 5) of all virtio devices. */
function virtioDevices(sys: Sys): Set<number> {
  const ids = new Set<number>();
  for (const name of sys.readdir(VIRTIO_DEVICES)) {
    const text = new TextDecoder().decode(sys.readFile(`${VIRTIO_DEVICES}/${name}/device`, MAX_ID_BYTES));
    ids.add(Number(text.trim()));
  }
  return ids;
}
