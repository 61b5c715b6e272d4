/** Kernel modules, from the list the image was built with. */
import { AgentError, errnoOf, reasonOf } from './error.ts';
import type { Sys } from './sys.ts';

/**
 * One line each: `PATH` or `PATH VIRTIO-ID`, in load order; with an id, only where such a device exists. Empty lines part
 * those the agent's channel needs, those a sandbox needs, which follow while the agent answers already, and those that only
 * containers and disks need.
 */
export const MODULE_LIST = '/etc/kata-modules';
const MODULE_DIRECTORY = '/lib/modules';
const VIRTIO_DEVICES = '/sys/bus/virtio/devices';
const MAX_LIST_BYTES = 16 * 1024;
const MAX_ID_BYTES = 32;

export interface ModuleList {
  /** Lines of the list. */
  readonly early: readonly string[];
  readonly sandbox: readonly string[];
  readonly containers: readonly string[];
}

/** @throws SysError without a list */
export function readModuleList(sys: Sys): ModuleList {
  const text = new TextDecoder().decode(sys.readFile(MODULE_LIST, MAX_LIST_BYTES));
  const [early = [], sandbox = [], containers = []] = text
    .trim()
    .split('\n\n')
    .map((part) => part.split('\n'));
  return { early, sandbox, containers };
}

/**
 * Loads one line's module; a failure is logged, since the pod may do without.
 * @param devices ids of the virtio devices there are
 */
export function loadListed(sys: Sys, line: string, devices: () => ReadonlySet<number>): void {
  const [path = '', id] = line.split(' ');
  if (id !== undefined && !devices().has(Number(id))) return;
  try {
    sys.loadModule(path, '');
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') sys.log(`agent: ${reasonOf(error)}`);
  }
}

/**
 * Loads a module of the image by name, as CreateSandbox may ask.
 * @throws AgentError `not_found` for one the image does not have; SysError
 */
export function loadNamed(sys: Sys, name: string, parameters: readonly string[]): void {
  if (!/^[A-Za-z0-9_-]+$/.test(name)) throw new AgentError('invalid_argument', `"${name}" is not a module name`);
  try {
    sys.loadModule(`${MODULE_DIRECTORY}/${name}.ko`, parameters.join(' '));
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return;
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new AgentError(
      'not_found',
      `the guest image has no kernel module ${name}; its modules are in ${MODULE_DIRECTORY}`,
    );
  }
}

/** Ids of the virtio devices there are at the first call: virtio 1.2 section 5. */
export function virtioDevices(sys: Sys): () => ReadonlySet<number> {
  let found: Set<number> | undefined;
  return () => {
    found ??= new Set(
      sys
        .readdir(VIRTIO_DEVICES)
        .map((name) =>
          Number(new TextDecoder().decode(sys.readFile(`${VIRTIO_DEVICES}/${name}/device`, MAX_ID_BYTES)).trim()),
        ),
    );
    return found;
  };
}
