/** `GET /metrics`: what Prometheus is told. */
import { Collector, type MetricsSource, type Pids } from '../metrics/collect.ts';
import { Durations } from '../metrics/durations.ts';
import type { ContainersUsage } from '../metrics/overhead.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { sumStats } from '../sandbox/sum-stats.ts';
import type { Managed } from '../shim/boot.ts';
import type { Route } from './route.ts';

/** Prometheus' text format. */
const TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function metricsRoute({ sandbox, calls }: Managed): Route {
  const collector = new Collector(sourceOf(sandbox, calls ?? new Durations()));
  return {
    method: 'GET',
    path: '/metrics',
    what: 'metrics of the shim, QEMU, virtiofsd, the guest and its agent, for Prometheus',
    act: async () => ({ type: TYPE, body: await collector.collect() }),
  };
}

function sourceOf(sandbox: () => Sandbox, calls: Durations): MetricsSource {
  return {
    pids: () => pidsOf(sandbox()),
    timeline: () => sandbox().machine.state.timeline,
    calls,
    agentCalls: () => sandbox().machine.liveAgent?.durations,
    guestText: async (timeoutMs) => sandbox().machine.agent.metrics(timeoutMs),
    containers: () => usageOf(sandbox()),
  };
}

function pidsOf(sandbox: Sandbox): Pids {
  const { shim, children } = sandbox.machine.state;
  const pidOf = (name: string): number | undefined => children.find((child) => child.name === name)?.pid;
  return { shim: shim.pid, qemu: pidOf('qemu'), virtiofsd: pidOf('virtiofsd') };
}

async function usageOf(sandbox: Sandbox): Promise<ContainersUsage> {
  const running = [...sandbox.containers.values()].filter(({ state }) => state !== 'stopped');
  const { cgroup_stats } = sumStats(await Promise.all(running.map((container) => sandbox.stats(container))));
  return {
    cpu: Number(cgroup_stats?.cpu_stats?.cpu_usage?.total_usage ?? 0),
    memory: Number(cgroup_stats?.memory_stats?.usage?.usage ?? 0),
  };
}
