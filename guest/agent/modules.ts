/** Kernel modules, from the list the image was built with. */
import { AgentError, errnoOf, reasonOf } from './error.ts';
import type { Sys } from './sys.ts';

/**
 * One line each: `PATH` or `PATH VIRTIO-ID`, in load order; with an id, only where such a device exists. An empty line parts
 * those the agent's channel needs from those that can follow while the agent answers already.
 */
export const MODULE_LIST = '/etc/kata-modules';
const MODULE_DIRECTORY = '/lib/modules';
const VIRTIO_DEVICES = '/sys/bus/virtio/devices';
const MAX_LIST_BYTES = 16 * 1024;
const MAX_ID_BYTES = 32;

export interface ModuleList {
  /** Lines of the list. */
  readonly early: readonly string[];
  readonly late: readonly string[];
}

/** @throws SysError without a list */
export function readModuleList(sys: Sys): ModuleList {
  const text = new TextDecoder().decode(sys.readFile(MODULE_LIST, MAX_LIST_BYTES));
  const [early = '', late = ''] = text.trim().split('\n\n');
  return { early: early.split('\n'), late: late === '' ? [] : late.split('\n') };
}

/** Loads one line's module; a failure is logged, since the pod may do without. */
export function loadListed(sys: Sys, line: string): void {
  const [path = '', id] = line.split(' ');
  if (id !== undefined && !hasVirtioDevice(sys, Number(id))) return;
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

/** By device id, virtio 1.2 section 5. */
function hasVirtioDevice(sys: Sys, id: number): boolean {
  return sys.readdir(VIRTIO_DEVICES).some((name) => {
    const text = new TextDecoder().decode(sys.readFile(`${VIRTIO_DEVICES}/${name}/device`, MAX_ID_BYTES));
    return Number(text.trim()) === id;
  });
}
