/** Pods through CRI, as a kubelet runs them: the same for every handler, on one daemon. */
import type { CriBench } from '../test/harness/cri/suite.ts';
import { type Parts, partsOf, timelineOf } from './parts.ts';
import { repeat } from './statistics.ts';

/** ExecSyncs per pod. */
const EXECS = 5;

export interface PodTimes {
  /** Milliseconds of RunPodSandbox. */
  readonly sandbox: number[];
  /** Milliseconds of CreateContainer and StartContainer in a pod that runs. */
  readonly container: number[];
  /** Both together: from nothing to a running container. */
  readonly running: number[];
  /** Milliseconds of ExecSync of `true`. */
  readonly exec: number[];
  /** Milliseconds of StopPodSandbox with a running container. */
  readonly stop: number[];
  /** Milliseconds of RemovePodSandbox. */
  readonly remove: number[];
  /** Where the time of each pod's start went, milliseconds; none for runtimes that do not say. */
  readonly parts: Parts[];
}

/** Runs pods one after the other, and measures all but the first. */
export async function measurePods({ pods }: CriBench, handler: string): Promise<PodTimes> {
  const times: PodTimes = { sandbox: [], container: [], running: [], exec: [], stop: [], remove: [], parts: [] };
  await repeat(async (run) => {
    const since = performance.now();
    const pod = await pods.run({}, handler);
    const sandbox = performance.now() - since;
    const container = await pod.container();
    const running = performance.now() - since;
    const execs: number[] = [];
    for (let i = 0; i < EXECS; i++) execs.push(await timed(() => container.sh('true')));
    const timeline = timelineOf(pod.id);
    const stop = await timed(() => pod.stop());
    const remove = await timed(() => pod.remove());
    if (run >= 0) {
      times.sandbox.push(sandbox);
      times.container.push(running - sandbox);
      times.running.push(running);
      times.exec.push(...execs);
      times.stop.push(stop);
      times.remove.push(remove);
      if (timeline) times.parts.push(partsOf(timeline));
    }
    return running;
  });
  return times;
}

async function timed(step: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await step();
  return performance.now() - since;
}
