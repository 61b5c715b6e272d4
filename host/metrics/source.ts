/** A sandbox as the collector sees it. */
import { KataError } from '../error.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { MetricsSource, Pids } from './collect.ts';
import { Durations } from './durations.ts';
import type { ContainersUsage } from './overhead.ts';

/** What of a sandbox is measured. */
export type Measured = Pick<Sandbox, 'containers' | 'machine' | 'state'>;

/** @param calls of containerd to the shim; absent: nobody counts them */
export function sourceOf(sandbox: () => Measured, calls: Durations = new Durations()): MetricsSource {
  return {
    calls,
    pids: () => pidsOf(sandbox()),
    timeline: () => sandbox().machine.state.timeline,
    agentCalls: () => sandbox().machine.liveAgent?.durations,
    guestText: async (timeoutMs) => sandbox().machine.agent.metrics(timeoutMs),
    containers: (timeoutMs) => usage(sandbox(), timeoutMs),
  };
}

function pidsOf({ machine, state }: Measured): Pids {
  // Pids of what has ended may be others' by now.
  if (state === 'stopped') return { shim: process.pid };
  const { hypervisor, share } = machine;
  return {
    shim: process.pid,
    qemu: hypervisor.kind === 'qemu' ? hypervisor.pid : 0,
    virtiofsd: share.daemon?.pid,
  };
}

/** One that cannot be measured, since it has just ended, counts nothing; if none can, the sum is not known. */
async function usage({ containers, machine }: Measured, timeoutMs: number): Promise<ContainersUsage> {
  const { agent } = machine;
  const asked = await Promise.allSettled([...containers.keys()].map((id) => agent.stats(id, timeoutMs)));
  const answers = asked.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value.cgroup_stats);
  if (answers.length === 0 && asked.length > 0) {
    throw new KataError('unavailable', 'the guest measures none of its containers');
  }
  const sum = (values: readonly (number | bigint | undefined)[]): number =>
    values.reduce<number>((total, value) => total + Number(value ?? 0), 0);
  return {
    cpu: sum(answers.map((stats) => stats?.cpu_stats?.cpu_usage?.total_usage)),
    memory: sum(answers.map((stats) => stats?.memory_stats?.usage?.usage)),
  };
}
