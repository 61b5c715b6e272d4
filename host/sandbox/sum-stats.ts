/** What a pod uses: the sum of what its containers use. */
import type { Int64 } from '../proto/codec.ts';
import type { MemoryData, StatsContainerResponse } from '../proto/messages/agent.ts';

/**
 * Sums processors, memory and processes. The network is the virtual machine's, the same in every container's answer.
 * Limits do not add up and stay 0.
 * @param answers undefined: that container could not be measured
 */
export function sumStats(answers: readonly (StatsContainerResponse | undefined)[]): StatsContainerResponse {
  const cgroups = answers.map((answer) => answer?.cgroup_stats).filter((stats) => stats !== undefined);
  const cpu = cgroups.map(({ cpu_stats }) => cpu_stats?.cpu_usage);
  const memory = cgroups.map(({ memory_stats }) => memory_stats);
  return {
    cgroup_stats: {
      cpu_stats: {
        cpu_usage: {
          total_usage: sum(cpu.map((usage) => usage?.total_usage)),
          usage_in_kernelmode: sum(cpu.map((usage) => usage?.usage_in_kernelmode)),
          usage_in_usermode: sum(cpu.map((usage) => usage?.usage_in_usermode)),
          percpu_usage: [],
        },
        throttling_data: undefined,
      },
      memory_stats: {
        cache: sum(memory.map((stats) => stats?.cache)),
        usage: sumMemory(memory.map((stats) => stats?.usage)),
        swap_usage: sumMemory(memory.map((stats) => stats?.swap_usage)),
        kernel_usage: sumMemory(memory.map((stats) => stats?.kernel_usage)),
        use_hierarchy: true,
        stats: sumRecords(memory.map((stats) => stats?.stats ?? {})),
      },
      pids_stats: { current: sum(cgroups.map(({ pids_stats }) => pids_stats?.current)), limit: 0 },
      blkio_stats: undefined,
      hugetlb_stats: {},
    },
    network_stats: answers.find((answer) => (answer?.network_stats.length ?? 0) > 0)?.network_stats ?? [],
  };
}

function sumMemory(parts: readonly (MemoryData | undefined)[]): MemoryData {
  return {
    usage: sum(parts.map((part) => part?.usage)),
    max_usage: sum(parts.map((part) => part?.max_usage)),
    failcnt: sum(parts.map((part) => part?.failcnt)),
    limit: 0,
  };
}

function sumRecords(records: readonly Readonly<Record<string, Int64>>[]): Record<string, Int64> {
  const total: Record<string, Int64> = Object.create(null);
  for (const record of records) {
    for (const [key, value] of Object.entries(record)) total[key] = sum([total[key], value]);
  }
  return total;
}

/** The guest's numbers may be anything of 64 bits, and so may what comes of them. */
function sum(parts: readonly (Int64 | undefined)[]): bigint {
  return BigInt.asUintN(
    64,
    parts.reduce<bigint>((total, part) => total + BigInt.asUintN(64, BigInt(part ?? 0)), 0n),
  );
}
