/** Pods through the CRI, beside runc's on the same containerd, and whose the time is. */
import { step } from '../setup/step.mjs';
import { FLAVORS } from '../test/harness/cri/flavors.ts';
import { startCri } from '../test/harness/cri/suite.ts';
import { type Both, inTurn, row } from './both.ts';
import { measureExecShare } from './exec-share.ts';
import { ownShare, PARTS } from './parts.ts';
import { measurePods, type PodTimes } from './pods.ts';
import { line, summary } from './table.ts';

const VERSION = '1.7';
/** Goals: our own share of a pod's start, ms; and of an ExecSync. */
const POD_GOAL_MS = 150;
const EXEC_GOAL_MS = 10;

export async function section(): Promise<void> {
  print(await pods(), await step('execs in the shim alone', measureExecShare));
}

async function pods(): Promise<Both<PodTimes>> {
  const flavor = FLAVORS.find(({ name }) => name === VERSION);
  if (!flavor) throw new Error(`there is no CRI flavor ${VERSION}`);
  const bench = await startCri(flavor);
  try {
    return await inTurn('pods', { kata: 'kata', runc: 'runc' }, (handler) => measurePods(bench, handler));
  } finally {
    await bench.pods.removeAll().catch(() => {});
    bench.pods.close();
    await bench.daemon.stop();
  }
}

function print(times: Both<PodTimes>, execShare: readonly number[]): void {
  line('', 'kata-edge', 'runc');
  row('RunPodSandbox, ms', times, ({ sandbox }) => summary(sandbox));
  row('Create- and StartContainer, ms', times, ({ container }) => summary(container));
  row('pod to running container, ms', times, ({ running }) => summary(running));
  row('ExecSync true, ms', times, ({ exec }) => summary(exec));
  line('  our own share, ms', summary(execShare, 1), `goal: at most ${EXEC_GOAL_MS}`);
  row('StopPodSandbox, ms', times, ({ stop }) => summary(stop));
  row('RemovePodSandbox, ms', times, ({ remove }) => summary(remove));
  const { parts } = times.kata;
  if (parts.length === 0) return;
  for (const part of PARTS) line(`  of kata-edge: ${part}, ms`, summary(parts.map((one) => one[part])));
  const own = parts.map(ownShare);
  line("  our own share of a pod's start, ms", summary(own), `goal: at most ${POD_GOAL_MS}`);
}
