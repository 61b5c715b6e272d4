/** containerd goes and comes back, as in an upgrade or a crash: pods go on, and whatever was half made is gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { until } from '../harness/containers.ts';
import { IS_KATA } from '../harness/cri/flavors.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { type CriBench, type DefineCri, eachCri } from '../harness/cri/suite.ts';

/** Milliseconds into the making of a pod at which containerd is killed. */
const MOMENTS_MS = [20, 150, 600, 1200];

eachCri('restarts of containerd', define, { ours });

function define(test: DefineCri): void {
  let pod: Pod;
  let counter: Container;
  let main: Container;

  test('a pod at work', async ({ pods }) => {
    pod = await pods.run();
    main = await pod.container();
    counter = await pod.container({ command: ['sh', '-c', 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done'] });
    await until('it counts', () => counts(counter).length > 5);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`pods live through ${signal}`, async (bench) => {
      await restart(bench, signal);
      for (const container of [main, counter]) assert.is((await container.status()).state, 'CONTAINER_RUNNING');
      assert.is((await pod.status()).state, 'SANDBOX_READY');
      assert.is(await main.sh('echo still here'), 'still here\n');
    });

    test(`output goes on after ${signal}, without a gap`, async () => {
      const then = counts(counter).length;
      await until('it goes on', () => counts(counter).length > then + 5);
      assert.equal(
        counts(counter),
        counts(counter).map((_, i) => i),
      );
    });
  }

  test('stats, new containers, exec and attach work', async ({ pods }) => {
    const { stats } = await pods.call('ContainerStats', { container_id: main.id });
    assert.ok((stats.memory?.working_set_bytes?.value ?? 0) > 0);
    assert.equal(await pod.runToEnd(['sh', '-c', 'echo new; exit 3']), { stdout: 'new\n', stderr: '', code: 3 });
    const done = await main.exec(['sh', '-c', 'echo exec; exit 4']);
    assert.equal([done.stdout, done.code], ['exec\n', 4]);
    const session = await counter.attach();
    await session.until('\n');
    session.close();
  });

  test('an end after the restart is noticed', async (bench) => {
    const waiting = await pod.container({
      command: ['sh', '-c', 'until [ -e /tmp/go ]; do sleep 0.1; done; echo last words; exit 7'],
    });
    await restart(bench, 'SIGTERM');
    await waiting.sh('touch /tmp/go');
    assert.is((await waiting.exited()).exit_code, 7);
    assert.is(waiting.logged('stdout'), 'last words\n');
    await waiting.remove();
  });

  test('an end while nobody was there is noticed, with its code and its words', async (bench) => {
    const ending = await pod.container({ command: ['sh', '-c', 'sleep 1; echo last words; exit 9'] });
    await restart(bench, 'SIGTERM', 3000);
    const { exit_code } = await ending.exited();
    // runc's shim has no process to show then, and containerd takes it for a leaked one.
    if (IS_KATA) assert.is(exit_code, 9);
    if (IS_KATA) assert.is(ending.logged('stdout'), 'last words\n');
    await ending.remove();
  });

  test('the pod is stopped and removed after all that', async ({ daemon }) => {
    await counter.stop(1);
    assert.is((await counter.status()).state, 'CONTAINER_EXITED');
    await pod.remove();
    assert.equal(await daemon.leftovers(), []);
  });

  test('a pod that was stopped while containerd was away is over', async (bench) => {
    const doomed = await bench.pods.run();
    const container = await doomed.container({ command: ['sh', '-c', 'sleep 1'] });
    await restart(bench, 'SIGKILL', 2500);
    const { exit_code } = await container.exited();
    if (IS_KATA) assert.is(exit_code, 0);
    await doomed.remove();
    assert.equal(ours(await bench.daemon.leftovers()), []);
  });

  for (const moment of MOMENTS_MS) {
    test(`a pod of which ${moment} ms were made leaves nothing`, async (bench) => {
      const { pods, daemon } = bench;
      const config = pods.config();
      const making = pods.call('RunPodSandbox', { config, runtime_handler: pods.handler }).catch(() => {});
      await sleep(moment);
      await restart(bench, 'SIGKILL');
      await making;
      await pods.removeAll();
      assert.equal(ours(await daemon.leftovers()), []);
    });
  }

  test('a container of which a part was made leaves nothing', async (bench) => {
    const { pods, daemon } = bench;
    const pod = await pods.run();
    const container = await pod.create();
    const starting = container.start().catch(() => {});
    await sleep(MOMENTS_MS[0] ?? 0);
    await restart(bench, 'SIGKILL');
    await starting;
    assert.equal(await pod.runToEnd(['echo', 'well']), { stdout: 'well\n', stderr: '', code: 0 });
    await pod.remove();
    assert.equal(ours(await daemon.leftovers()), []);
  });
}

/** A killed containerd forgets what it did itself before it wrote it down: the pod's network, addresses and directories. */
const OF_CONTAINERD =
  /^(mount|file) \/tmp\/ke-\w+\/(state|root)\/io\.containerd\.grpc\.v1\.cri\/|^link veth|^file .*\/ipam\/|^file \/var\/lib\/cni\//;

function ours(left: readonly string[]): string[] {
  return IS_KATA ? left.filter((line) => !OF_CONTAINERD.test(line)) : [];
}

async function restart({ daemon, pods }: CriBench, signal: NodeJS.Signals, awayMs = 0): Promise<void> {
  await daemon.end(signal);
  await sleep(awayMs);
  await daemon.start();
  await pods.ready([]);
}

/** The numbers in a counter's log. */
function counts(counter: Container): number[] {
  return counter.logged('stdout').split('\n').filter(Boolean).map(Number);
}
