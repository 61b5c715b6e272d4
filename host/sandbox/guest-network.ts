/** Tells a guest of its network: interfaces first, then the routes over them, then who else is there. */
import type { AgentClient } from '../agent/client.ts';
import { KataError } from '../error.ts';
import type { GuestNetwork } from '../network/network.ts';
import type { Init } from '../proto/codec.ts';
import type { Interface } from '../proto/messages/types.ts';
import { firstFailure } from './steps.ts';

/** How long the guest's kernel may take to find a NIC that was plugged, ms: Kata's agent does not wait for it. */
export const LINK_WAIT_MS = 5000;
/** How often it is asked again, ms. */
const LINK_RETRY_MS = 20;
/** How agents say that a NIC is not there yet. */
const NO_LINK = /link not found/i;

type NetworkCalls = Pick<AgentClient, 'updateInterface' | 'updateRoutes' | 'addArpNeighbors'>;

/**
 * @param inOrder whether the agent does what it is asked in the order it is asked: it is then asked for everything at once
 * @throws KataError what the agent says; the sandbox is of no use then
 */
export async function tellGuest(agent: NetworkCalls, network: GuestNetwork, inOrder: boolean): Promise<void> {
  const steps = network.interfaces.map(
    (description) => () => updateInterface(agent, description, inOrder ? 0 : LINK_WAIT_MS),
  );
  if (network.interfaces.length > 0) steps.push(() => agent.updateRoutes(network.routes));
  if (network.neighbors.length > 0) steps.push(() => agent.addArpNeighbors(network.neighbors));
  if (inOrder) await firstFailure(steps.map((step) => step()));
  else for (const step of steps) await step();
}

/** @param waitMs how long the guest's kernel may take, where its agent does not wait by itself */
async function updateInterface(agent: NetworkCalls, description: Init<Interface>, waitMs: number): Promise<void> {
  const end = performance.now() + waitMs;
  for (;;) {
    try {
      await agent.updateInterface(description);
      return;
    } catch (thrown) {
      if (!(thrown instanceof KataError)) throw thrown;
      if (!NO_LINK.test(thrown.message) || performance.now() >= end) {
        throw new KataError(thrown.code, `interface ${description.name}: ${thrown.message}`, { cause: thrown });
      }
      await new Promise((resolve) => setTimeout(resolve, LINK_RETRY_MS));
    }
  }
}
