/** Devices the host has attached for a container: their node in the guest replaces the host's numbers in the spec. */
import { decode } from '../../host/proto/codec.ts';
import type { Device } from '../../host/proto/messages/agent.ts';
import {
  Linux,
  type LinuxDevice,
  type LinuxDeviceCgroup,
  LinuxResources,
  type Spec,
} from '../../host/proto/messages/oci.ts';
import { blockDevice } from './block-device.ts';
import type { Disk } from './block-io.ts';
import { AgentError } from './error.ts';
import type { Guest } from './options.ts';

/** Device types that are disks with a node of their own. */
const DISKS = ['blk', 'mmioblk', 'nvdimm'];
/** For GetGuestDetails. */
export const DEVICE_HANDLERS: readonly string[] = DISKS;

/**
 * Waits for each device and puts its numbers into `spec`, with a cgroup rule where the spec has rules.
 * @returns the disks, with the numbers they have on the host
 * @throws AgentError invalid_argument for incomplete devices, unimplemented for other types, deadline_exceeded
 */
export async function patchDevices(guest: Guest, spec: Spec, devices: readonly Device[]): Promise<Disk[]> {
  const disks: Disk[] = [];
  for (const device of devices) {
    const { type, id, vm_path: vmPath, container_path: path } = device;
    if (type === '' || (id === '' && vmPath === '') || path === '') {
      const text = `device of type ${JSON.stringify(type)}: type, container_path and one of id and vm_path are needed`;
      throw new AgentError('invalid_argument', text);
    }
    if (!DISKS.includes(type)) {
      throw new AgentError('unimplemented', `device type ${JSON.stringify(type)} is not one of ${DISKS.join(', ')}`);
    }
    const source = await blockDevice(guest, vmPath || id);
    const node = guest.sys.stat(source);
    const linux = linuxOf(spec);
    const entry = linux.Devices.find((each) => each.Path === path) ?? added(linux, path);
    if (!path.startsWith('/dev/')) {
      // A node made elsewhere would lie in the root file system, which opens none: the guest's own is bound there.
      linux.Devices = linux.Devices.filter((each) => each !== entry);
      spec.Mounts.push({ destination: path, type: 'bind', source, options: ['bind'] });
      linux.Resources ??= decode(LinuxResources, new Uint8Array(0));
      if (linux.Resources.Devices.length === 0) linux.Resources.Devices.push(ruleFor(node.rdevMajor, node.rdevMinor));
    }
    const [hostMajor, hostMinor] = [Number(entry.Major), Number(entry.Minor)];
    Object.assign(entry, { Type: 'b', Major: node.rdevMajor, Minor: node.rdevMinor });
    allow(linux.Resources, [hostMajor, hostMinor], [node.rdevMajor, node.rdevMinor]);
    const host = hostMajor > 0 ? `${hostMajor}:${hostMinor}` : undefined;
    disks.push({ guest: `${node.rdevMajor}:${node.rdevMinor}`, host });
  }
  return disks;
}

function linuxOf(spec: Spec): Linux {
  spec.Linux ??= decode(Linux, new Uint8Array(0));
  return spec.Linux;
}

function added(linux: Linux, path: string): LinuxDevice {
  const entry: LinuxDevice = { Path: path, Type: 'b', Major: 0, Minor: 0, FileMode: 0, UID: 0, GID: 0 };
  linux.Devices.push(entry);
  return entry;
}

/** A rule for the host's numbers becomes one for the guest's; without any rules the defaults cover the spec's devices. */
function allow(resources: LinuxResources | undefined, host: readonly number[], guest: readonly [number, number]): void {
  if (!resources || resources.Devices.length === 0) return;
  const rule = resources.Devices.find(
    (each) => each.Type === 'b' && Number(each.Major) === host[0] && Number(each.Minor) === host[1],
  );
  if (rule) Object.assign(rule, { Major: guest[0], Minor: guest[1] });
  else resources.Devices.push(ruleFor(...guest));
}

function ruleFor(Major: number, Minor: number): LinuxDeviceCgroup {
  return { Allow: true, Type: 'b', Major, Minor, Access: 'rwm' };
}
