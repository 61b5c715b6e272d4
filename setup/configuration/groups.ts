/** The keys of configuration.toml in the order and under the titles by which an operator looks for them. */
import { AGENT, MEM_AGENT } from '../../host/config/schema/agent.ts';
import { EDGE } from '../../host/config/schema/edge.ts';
import { FACTORY, GO_FACTORY } from '../../host/config/schema/factory.ts';
import { QEMU_DEVICES } from '../../host/config/schema/qemu-devices.ts';
import { QEMU_GUEST } from '../../host/config/schema/qemu-guest.ts';
import { QEMU_PROTECTION } from '../../host/config/schema/qemu-protection.ts';
import { QEMU_SHARING } from '../../host/config/schema/qemu-sharing.ts';
import { QEMU_SIZES } from '../../host/config/schema/qemu-sizes.ts';
import { REMOTE_TABLE } from '../../host/config/schema/remote.ts';
import { RUNTIME } from '../../host/config/schema/runtime.ts';
import type { Key, TableSchema } from '../../host/config/schema/schema.ts';

export interface Group {
  readonly title: string;
  readonly table: string;
  readonly keys: TableSchema;
}

export const GROUPS: readonly Group[] = [
  { title: 'Size of a virtual machine', table: 'hypervisor.qemu', keys: QEMU_SIZES },
  { title: 'Programs, guest, machine, annotations', table: 'hypervisor.qemu', keys: QEMU_GUEST },
  { title: 'Files of the host and disks', table: 'hypervisor.qemu', keys: QEMU_SHARING },
  { title: 'Network and devices', table: 'hypervisor.qemu', keys: QEMU_DEVICES },
  { title: 'Protection and debugging', table: 'hypervisor.qemu', keys: QEMU_PROTECTION },
  { title: 'Templates, as runtime-rs places them', table: 'hypervisor.qemu.factory', keys: FACTORY },
  { title: 'Templates', table: 'factory', keys: GO_FACTORY },
  { title: 'The agent in the guest', table: 'agent.kata', keys: AGENT },
  { title: 'Memory in the guest, of runtime-rs', table: 'agent.kata.mem_agent', keys: MEM_AGENT },
  { title: 'The shim: resources, network, volumes, logs', table: 'runtime', keys: RUNTIME },
  { title: 'Keys of our own', table: 'edge', keys: EDGE },
  { title: 'Machines made by a service elsewhere', table: 'hypervisor.remote', keys: REMOTE_TABLE },
];

/** Keys of a group, of one effect. */
export function keysOf(group: Group, effect: Key['effect']): [name: string, key: Key][] {
  return Object.entries(group.keys).filter(([, key]) => key.effect === effect);
}
