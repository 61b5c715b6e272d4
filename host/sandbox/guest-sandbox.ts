/** The sandbox in the guest: its clock, its randomness, its shared namespaces and files. */
import { randomBytes } from 'node:crypto';
import type { AgentClient } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { KernelModule, Storage } from '../proto/messages/agent.ts';
import type { Log } from './log.ts';
import type { SandboxSpec } from './sandbox-spec.ts';

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

/** Clock and entropy, which a guest just started (or restored) may lack. Never rejects: a guest of somebody's may do without. */
export async function settleGuest(agent: AgentClient, log: Log): Promise<void> {
  const steps = [agent.setDateTime(Date.now()), agent.reseedRandom(randomBytes(SEED_BYTES))];
  for (const result of await Promise.allSettled(steps)) {
    if (result.status === 'rejected') {
      log.warn('the guest did not take its clock or entropy', { error: reasonOf(result.reason) });
    }
  }
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
