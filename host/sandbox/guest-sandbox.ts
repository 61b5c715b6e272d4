/** The sandbox in the guest: its clock, its randomness, its shared namespaces and files. */
import { randomBytes } from 'node:crypto';
import type { AgentClient } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Init } from '../proto/codec.ts';
import type { KernelModule, Storage } from '../proto/messages/agent.ts';
import type { Container } from './container.ts';
import type { Log } from './log.ts';
import type { SandboxSpec } from './sandbox-spec.ts';

/** How long DestroySandbox may take where disks have to be written out, ms. */
export const DESTROY_TIMEOUT_MS = 10_000;
/** Bytes of entropy the guest is given: two seeds of its generator. */
const SEED_BYTES = 64;

export interface GuestSandboxOptions {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly guestHookPath: string;
  /** A line each: name, then parameters. */
  readonly kernelModules: readonly string[];
  readonly storages: readonly Init<Storage>[];
}

/**
 * Clock and entropy, which a guest just started (or restored) may lack. Never rejects: a guest of somebody's may do without.
 * A machine elsewhere has its own, and need not be in this one's hands.
 */
export async function settleGuest(agent: AgentClient, { kind }: Hypervisor, log: Log): Promise<void> {
  if (kind !== 'qemu') return;
  const steps = [agent.setDateTime(Date.now()), agent.reseedRandom(randomBytes(SEED_BYTES))];
  for (const result of await Promise.allSettled(steps)) {
    if (result.status === 'rejected') {
      log.warn('the guest did not take its clock or entropy', { error: reasonOf(result.reason) });
    }
  }
}

/** A guest with disks of its own has to write them out; a shared file system is the host's already. Never rejects. */
export async function writeOut(
  agent: AgentClient | undefined,
  containers: Iterable<Container>,
  log: Log,
): Promise<void> {
  if (!agent || ![...containers].some((container) => container.hasDisks)) return;
  await agent.destroySandbox(DESTROY_TIMEOUT_MS).catch((thrown) => {
    log.warn('the guest did not end its sandbox', { error: reasonOf(thrown) });
  });
}

/** @throws KataError what the agent says */
export async function createGuestSandbox(agent: AgentClient, options: GuestSandboxOptions): Promise<void> {
  const { id, spec, guestHookPath, kernelModules, storages } = options;
  await agent.createSandbox({
    hostname: spec.hostname,
    dns: [...spec.dns],
    storages: [...storages],
    sandbox_pidns: spec.sharedPids,
    sandbox_id: id,
    guest_hook_path: guestHookPath,
    kernel_modules: kernelModules.map(moduleOf),
  });
}

function moduleOf(line: string): KernelModule {
  const [name = '', ...parameters] = line.split(/\s+/);
  return { name, parameters };
}
