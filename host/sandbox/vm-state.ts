/** What a virtual machine's state file says of it. */
import type { AgentTransport } from '../agent/transport.ts';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Network } from '../network/network.ts';
import type { HostCgroup } from '../resources/host-cgroup.ts';
import type { Share } from './parts.ts';
import { nameProcess, type ProcessName, type SandboxState, STATE_VERSION } from './state-file.ts';
import type { VmOptions } from './vm.ts';

/** What it has by now. */
export interface VmParts {
  readonly hypervisor: Hypervisor;
  readonly share: Share;
  readonly transport: AgentTransport;
  readonly network: Network | undefined;
  readonly cgroup: HostCgroup | undefined;
}

/** @throws KataError `internal` where /proc does not tell of this process */
export function stateOf(options: VmOptions, parts: VmParts): SandboxState {
  const { identity, bundle, socket, timeline, description } = options;
  const { hypervisor, network, cgroup } = parts;
  const shim = nameProcess('shim', process.pid);
  if (!shim) throw new KataError('internal', 'cannot read the start time of this process from /proc; is it mounted?');
  const children = childrenOf(parts);
  const { remote, accelerator } = hypervisor;
  return {
    ...description,
    version: STATE_VERSION,
    id: identity.id,
    namespace: identity.namespace,
    address: identity.address,
    bundle,
    socket,
    shim,
    children,
    transport: parts.transport.kind,
    ...(network ? { network: network.traces } : {}),
    ...(cgroup ? { cgroups: cgroup.traces } : {}),
    ...(remote ? { remote } : {}),
    ...(children.length > 0 && accelerator ? { accelerator } : {}),
    timeline: timeline.fields(),
  };
}

function childrenOf({ hypervisor, share }: VmParts): ProcessName[] {
  const children: ProcessName[] = [];
  const vmm = hypervisor.kind === 'qemu' ? nameProcess('qemu', hypervisor.pid) : undefined;
  if (vmm) children.push(vmm);
  if (share.daemon) children.push({ name: 'virtiofsd', ...share.daemon });
  return children;
}
