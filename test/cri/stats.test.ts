/** What a pod uses, what it may use, and what becomes of one that uses more. */
import * as assert from 'uvu/assert';
import { until } from '../harness/containers.ts';
import { codeOf } from '../harness/cri/client.ts';
import type { ContainerStats } from '../harness/cri/messages.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const MIB = 1024 * 1024;
const UNIMPLEMENTED = 12;
const HELD_BYTES = 20_000_000;
/** Nanoseconds of CPU after which a busy container has proved itself. */
const BUSY_NS = 200_000_000;
const SIGKILL_CODE = 137;
/** A shell that holds memory; the text is made in one go. */
const HOLD = `x=$(head -c ${HELD_BYTES} /dev/zero | tr "\\0" x); echo held; while :; do sleep 1; done`;

eachCri('stats', (test, flavor) => {
  let pod: Pod;
  let idle: Container;

  test('a pod', async ({ pods }) => {
    pod = await pods.run();
    idle = await pod.container({ name: 'idle' });
  });

  test('a container’s memory is what it holds', async ({ pods }) => {
    const holder = await pod.container({ name: 'holder', command: ['sh', '-c', HOLD] });
    await until('it holds', () => holder.logged('stdout').includes('held'));
    const stats = await statsOf(holder);
    assert.is(stats.attributes.metadata.name, 'holder');
    const { working_set_bytes, usage_bytes, rss_bytes, timestamp } = stats.memory ?? {};
    for (const field of [working_set_bytes, usage_bytes, rss_bytes]) {
      assert.ok((field?.value ?? 0) > HELD_BYTES, `${JSON.stringify(stats.memory)}`);
      assert.ok((field?.value ?? 0) < 10 * HELD_BYTES, `${JSON.stringify(stats.memory)}`);
    }
    assert.ok((timestamp ?? 0) > 0);
    assert.ok(((await statsOf(idle)).memory?.working_set_bytes?.value ?? 0) < HELD_BYTES);
    const { stats: all } = await pods.call('ListContainerStats', {});
    assert.equal(all.map(({ attributes }) => attributes.metadata.name).sort(), ['holder', 'idle']);
    await holder.stop();
    await holder.remove();
  });

  test('a busy container’s CPU time grows, an idle one’s does not', async () => {
    const busy = await pod.container({ name: 'busy', command: ['sh', '-c', 'while :; do :; done'] });
    const cpu = async (of: Container) => (await statsOf(of)).cpu?.usage_core_nano_seconds?.value ?? 0;
    const [then, idleThen] = [await cpu(busy), await cpu(idle)];
    await until('it has used some', async () => (await cpu(busy)) > then + BUSY_NS);
    assert.ok((await cpu(idle)) - idleThen < BUSY_NS);
    await busy.stop();
    await busy.remove();
  });

  test('a pod’s stats have its containers, processes and network', async ({ pods }) => {
    const [address = ''] = await pod.addresses();
    await idle.sh(`ping -c 1 -W 10 ${address}; ping -c 3 -W 10 198.18.0.1`);
    const answer = await pods.call('ListPodSandboxStats', {}).catch((error: unknown) => error as Error);
    if (answer instanceof Error) {
      assert.equal([codeOf(answer), flavor.version], [UNIMPLEMENTED, '1.6']);
      return;
    }
    const [stats] = answer.stats;
    assert.is(stats?.attributes.id, pod.id);
    const linux = stats?.linux;
    assert.ok((linux?.memory?.working_set_bytes?.value ?? 0) > 0);
    assert.ok((linux?.cpu?.usage_core_nano_seconds?.value ?? 0) > 0);
    assert.ok((linux?.process?.process_count?.value ?? 0) > 0);
    assert.is(linux?.network?.default_interface?.name, 'eth0');
    assert.ok((linux?.network?.default_interface?.rx_bytes?.value ?? 0) > 0);
    assert.ok((linux?.network?.default_interface?.tx_bytes?.value ?? 0) > 0);
    assert.equal(
      linux?.containers.map(({ attributes }) => attributes.metadata.name),
      ['idle'],
    );
  });

  test('limits are changed while it runs', async ({ pods }) => {
    const resources = { memory_limit_in_bytes: 64 * MIB, cpu_period: 100_000, cpu_quota: 50_000 };
    const container = await pod.container({ resources });
    assert.equal(await limits(container), [64 * MIB, 50_000]);
    const linux = { memory_limit_in_bytes: 96 * MIB, cpu_period: 100_000, cpu_quota: 80_000 };
    await pods.call('UpdateContainerResources', { container_id: container.id, linux });
    assert.equal(await limits(container), [96 * MIB, 80_000]);
    assert.is(await container.sh('echo still here'), 'still here\n');
    await container.stop();
    await container.remove();
  });

  test('a container that takes more memory than it may is OOMKilled, and no other', async () => {
    const greedy = await pod.container({
      command: ['sh', '-c', 'x=$(head -c 100000000 /dev/zero | tr "\\0" x); echo never'],
      resources: { memory_limit_in_bytes: 24 * MIB, memory_swap_limit_in_bytes: 24 * MIB },
    });
    const { exit_code, reason } = await greedy.exited();
    assert.equal([exit_code, reason], [SIGKILL_CODE, 'OOMKilled']);
    await greedy.remove();
    assert.is(await idle.sh('echo still here'), 'still here\n');
  });

  test('a stopped container’s and a removed pod’s stats are an error or absent', async ({ pods, daemon }) => {
    await idle.stop();
    const { stats } = await pods.call('ListContainerStats', {});
    assert.equal(
      stats.filter(({ attributes, memory }) => attributes.id === idle.id && memory !== null),
      [],
    );
    await pod.remove();
    assert.instance(await pods.call('ContainerStats', { container_id: idle.id }).catch((error) => error), Error);
    assert.equal(await daemon.leftovers(), []);
  });
});

async function statsOf(container: Container): Promise<ContainerStats> {
  return (await container.pods.call('ContainerStats', { container_id: container.id })).stats;
}

/** Memory limit in bytes and CPU quota in microseconds, by cgroups of version 2 or 1. */
async function limits(container: Container): Promise<number[]> {
  const script = `cd /sys/fs/cgroup
    if [ -e memory.max ]; then cat memory.max; cut -d " " -f 1 cpu.max
    else cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us; fi`;
  return (await container.sh(script)).trim().split('\n').map(Number);
}
