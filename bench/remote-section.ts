/**
 * The shim without a virtual machine: an agent that is an ordinary process behind `[hypervisor.remote]`, beside
 * containerd-shim-runc-v2 of the same containerd, in turns.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { type Containerd, startContainerd } from '../setup/containerd.ts';
import { type ContainerdVersion, containerdPrograms } from '../setup/containerd-packages.ts';
import { buildImage } from '../setup/image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES } from '../setup/paths.ts';
import { Containers } from '../test/harness/containers.ts';
import { remoteConfiguration, startRemotePeer } from '../test/harness/remote-peer.ts';
import { measureExecSync } from './remote-pods.ts';
import { ShimExec } from './shim-exec.ts';
import { RUNS } from './statistics.ts';
import { against, head, line } from './table.ts';

const VERSION: ContainerdVersion = '1.6';
/** Execs before the measurement, until compilers and caches have seen them, and in it. */
const WARM = 20;
const EXECS = 100;
/** As issue and README promise. */
const EXEC_GOAL = 2;

export async function section(): Promise<void> {
  const directory = mkdtempSync('/tmp/ke-peer-');
  const peer = await startRemotePeer(directory);
  const flags = ['--runtime-config-path', remoteConfiguration(directory, peer)];
  const programs = await containerdPrograms(VERSION, CONTAINERD, DEBIAN_CACHE, () => {});
  const daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image: await buildImage(IMAGES) });
  try {
    line(`containerd ${daemon.version}; agent and containers as processes, no virtual machine on either side`);
    head('runc');
    const ours = { containers: new Containers(daemon, 'io.containerd.kata.v2'), flags };
    const control = { containers: new Containers(daemon, 'io.containerd.runc.v2'), flags: [] };
    await execs(daemon, ours, control);
    await runs(ours, control);
    const execSync = await measureExecSync(VERSION, peer);
    row('ExecSync true, by the CRI', [execSync.kata, execSync.runc], EXEC_GOAL);
  } finally {
    await daemon.stop();
    await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Side {
  readonly containers: Containers;
  readonly flags: readonly string[];
}

async function execs(daemon: Containerd, ...sides: [Side, Side]): Promise<void> {
  const shims: ShimExec[] = [];
  const direct: number[][] = [[], []];
  const ctr: number[][] = [[], []];
  const ids: string[] = [];
  for (const { containers, flags } of sides) {
    const id = await containers.detached(['sleep', '100000'], { id: `exec-${ids.length}`, flags });
    ids.push(id);
    shims.push(await ShimExec.connect(daemon, id));
  }
  for (let run = -WARM; run < EXECS; run++) {
    for (const [side, shim] of shims.entries()) {
      const ms = await shim.run(['true']);
      if (run >= 0) direct[side]?.push(ms);
    }
  }
  for (let run = 0; run < RUNS; run++) {
    for (const [side, { containers }] of sides.entries()) {
      const done = await containers.exec(ids[side] ?? '', ['true']);
      ctr[side]?.push(done.ms);
    }
  }
  for (const shim of shims) shim.close();
  for (const [side, { containers }] of sides.entries()) await containers.remove(ids[side] ?? '');
  row('exec true, the calls to the shim alone', direct, EXEC_GOAL);
  row('exec true, by ctr', ctr);
}

function row(what: string, [ours = [], control = []]: readonly number[][], goal?: number): void {
  against({ what, unit: 'ms', ours, control, better: 'less', digits: 2, ...(goal ? { goal } : {}) });
}

async function runs(...sides: [Side, Side]): Promise<void> {
  const times: number[][] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    for (const [side, { containers, flags }] of sides.entries()) {
      const done = await containers.run(['true'], { id: `run-${side}-${run}`, flags });
      if (done.code !== 0) throw new Error(`ctr run true: ${done.stderr}`);
      times[side]?.push(done.ms);
    }
  }
  row('run true and exit, by ctr', times);
}
