/** What can be asked of a container that lives in the guest. */
import { KataError } from '../error.ts';
import { decode } from '../proto/codec.ts';
import type { StatsContainerResponse } from '../proto/messages/agent.ts';
import { LinuxResources } from '../proto/messages/oci.ts';
import type { Container } from './container.ts';
import type { Vm } from './vm.ts';

/** Its agent throws `unavailable` once the virtual machine is gone. */
type Agents = Pick<Vm, 'agent' | 'liveAgent'>;

/** @throws KataError `failed_precondition` unless it runs */
export async function pause(vm: Agents, container: Container): Promise<void> {
  if (container.state !== 'running') throw notRunning(container, 'paused');
  await vm.agent.pause(container.id);
  container.paused = true;
}

/** @throws KataError `failed_precondition` unless it is paused */
export async function resume(vm: Agents, container: Container): Promise<void> {
  if (container.state !== 'paused') {
    throw new KataError('failed_precondition', `container ${container.id} is ${container.state}, not paused`);
  }
  await vm.agent.resume(container.id);
  container.paused = false;
}

/**
 * @param resources an encoded `grpc.LinuxResources`
 * @throws KataError `failed_precondition` when it has ended
 */
export async function update(vm: Agents, container: Container, resources: Uint8Array): Promise<void> {
  if (container.state === 'stopped') throw notRunning(container, 'updated');
  await vm.agent.updateContainer(container.id, decode(LinuxResources, resources));
}

/**
 * A container that has ended is measured until it is deleted: whether it ran out of memory is told so as well.
 * @throws KataError `failed_precondition` when there is nothing to measure
 */
export async function stats(vm: Agents, container: Container): Promise<StatsContainerResponse> {
  if (container.state === 'stopped' && !(container.inGuest && vm.liveAgent)) throw notRunning(container, 'measured');
  return vm.agent.stats(container.id);
}

function notRunning(container: Container, what: string): KataError {
  return new KataError('failed_precondition', `container ${container.id} is ${container.state} and cannot be ${what}`);
}
