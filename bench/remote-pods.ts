/** ExecSync of the CRI to pods without a virtual machine, ours and runc's in turns. */
import { FLAVORS } from '../test/harness/cri/flavors.ts';
import type { Container } from '../test/harness/cri/pods.ts';
import { startCri } from '../test/harness/cri/suite.ts';
import { type RemotePeer, remoteConfiguration } from '../test/harness/remote-peer.ts';
import type { Both } from './both.ts';

/** Execs before the measurement, and in it. */
const WARM = 10;
const EXECS = 50;

/** @returns milliseconds of each `true` */
export async function measureExecSync(version: string, peer: RemotePeer): Promise<Both<number[]>> {
  const flavor = FLAVORS.find(({ name }) => name === version);
  if (!flavor) throw new Error(`there is no CRI flavor ${version}`);
  const { pods, daemon } = await startCri(flavor);
  try {
    remoteConfiguration(daemon.directory, peer);
    const container = async (handler: string) => (await pods.run({}, handler)).container();
    const both = { kata: await container('kata-config'), runc: await container('runc') };
    const times: Both<number[]> = { kata: [], runc: [] };
    for (let run = -WARM; run < EXECS; run++) {
      for (const side of ['kata', 'runc'] as const) {
        const ms = await timed(both[side]);
        if (run >= 0) times[side].push(ms);
      }
    }
    return times;
  } finally {
    await pods.removeAll().catch(() => {});
    pods.close();
    await daemon.stop();
  }
}

async function timed(container: Container): Promise<number> {
  const since = performance.now();
  const { code, stderr } = await container.run(['true']);
  if (code !== 0) throw new Error(`ExecSync true: ${stderr}`);
  return performance.now() - since;
}
