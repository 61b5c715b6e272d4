/**
 * Output of containers: an agent that is an ordinary process beside containerd-shim-runc-v2 of containerd 1.6, and a virtual machine
 * beside its bare channel. Every stream is read from its FIFO by the same program.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Containerd, startContainerd } from '../setup/containerd.ts';
import { type ContainerdVersion, containerdPrograms } from '../setup/containerd-packages.ts';
import { buildImage } from '../setup/image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES } from '../setup/paths.ts';
import { markedProcesses } from '../setup/processes.ts';
import { Containers } from '../test/harness/containers.ts';
import { remoteConfiguration, startRemotePeer } from '../test/harness/remote-peer.ts';
import { ShellGuest } from '../test/harness/shell-guest.ts';
import { memoryOf } from './memory.ts';
import { ShimExec } from './shim-exec.ts';
import { type Chatter, chatter, pour } from './shim-stdout.ts';
import { median, RUNS } from './statistics.ts';
import { against, head, line } from './table.ts';

const VERSION: ContainerdVersion = '1.6';
const KATA = 'io.containerd.kata.v2';
const RUNC = 'io.containerd.runc.v2';
/** MiB of one measurement, without a virtual machine and through one that is emulated. */
const OUTPUT_MIB = 1024;
const VM_OUTPUT_MIB = 256;
/** As issue and README promise: times runc's rate and MB/s; of the channel's rate; MiB more than idle; ms more than idle. */
const RATE_GOAL = 1.5;
const RATE_GOAL_MB = 1000;
const CHANNEL_GOAL = 0.8;
const MEMORY_GOAL_MIB = 4;
const STATE_GOAL_MS = 5;
/** Milliseconds after which a shim counts as idle. */
const IDLE_MS = 3000;
/** State calls of a percentile, and the pause between two, ms. */
const STATES = 400;
const STATE_PAUSE_MS = 2;

const MB_OF_MIB = 1.048576;

export async function section(): Promise<void> {
  const programs = await containerdPrograms(VERSION, CONTAINERD, DEBIAN_CACHE, () => {});
  const daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image: await buildImage(IMAGES) });
  try {
    line(`containerd ${daemon.version}; FIFOs read by dd`);
    await processes(daemon);
    await machines(daemon);
  } finally {
    await daemon.stop();
  }
}

/** The agent and its containers as processes. */
async function processes(daemon: Containerd): Promise<void> {
  const directory = mkdtempSync('/tmp/ke-peer-');
  const peer = await startRemotePeer(directory);
  const ours = new Containers(daemon, KATA);
  const control = new Containers(daemon, RUNC);
  try {
    const flags = ['--runtime-config-path', remoteConfiguration(directory, peer)];
    await ours.detached(['sleep', '100000'], { id: 'stdio-kata', flags: [...flags, ...inPod('sandbox')] });
    await ours.detached(['sleep', '100000'], { id: 'stdio-beside', flags: [...flags, ...inPod('container')] });
    await control.detached(['sleep', '100000'], { id: 'stdio-runc' });
    const kata = await ShimExec.connect(daemon, 'stdio-kata');
    const runc = await ShimExec.connect(daemon, 'stdio-runc');
    const neighbour = await ShimExec.connect(daemon, 'stdio-beside');
    await sleep(IDLE_MS);
    const idle = await states(neighbour);
    const memory = memoryOfShim(daemon);
    await pour(kata, OUTPUT_MIB);
    await sleep(IDLE_MS);
    const after = memoryOfShim(daemon);
    head('runc');
    await rates(kata, runc);
    head('idle');
    goal(`host process after ${OUTPUT_MIB} MiB, private MiB`, after, memory, MEMORY_GOAL_MIB);
    const loud = await chatter(kata);
    goal("State beside a container's endless output, p99 ms", await beside(loud, neighbour), idle, STATE_GOAL_MS);
    for (const shim of [kata, neighbour, runc]) shim.close();
    await ours.remove('stdio-beside');
    await ours.remove('stdio-kata');
    await control.remove('stdio-runc');
  } finally {
    await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Flags of `ctr run` that make a container a pod's, or the pod. */
function inPod(type: 'sandbox' | 'container'): string[] {
  const pairs = [`io.kubernetes.cri.container-type=${type}`, 'io.kubernetes.cri.sandbox-id=stdio-kata'];
  return pairs.flatMap((pair) => ['--annotation', pair]);
}

async function rates(kata: ShimExec, runc: ShimExec): Promise<void> {
  const ours: number[] = [];
  const control: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    ours.push(OUTPUT_MIB / ((await pour(kata, OUTPUT_MIB)) / 1000));
    control.push(OUTPUT_MIB / ((await pour(runc, OUTPUT_MIB)) / 1000));
  }
  const what = `stdout, ${OUTPUT_MIB} MiB, agent as a process`;
  against({ what, unit: 'MiB/s', ours, control, better: 'more', goal: RATE_GOAL });
  const rate = median(ours) * MB_OF_MIB;
  line('  in MB/s', rate.toFixed(0), '', '', `${RATE_GOAL_MB}: ${rate >= RATE_GOAL_MB ? 'met' : 'MISSED'}`);
}

/** Prints a value that may be so much larger than at rest. */
function goal(what: string, value: number, idle: number, most: number): void {
  const more = value - idle;
  const verdict = `+${most}: ${more <= most ? 'met' : 'MISSED'}`;
  line(what, value.toFixed(1), idle.toFixed(1), `${more < 0 ? '' : '+'}${more.toFixed(1)}`, verdict);
}

/** Private MiB of our shim, the only Node of this daemon. */
function memoryOfShim(daemon: Containerd): number {
  const shim = markedProcesses(daemon.directory)
    .map(memoryOf)
    .find((one) => one?.name === 'node');
  if (!shim) throw new Error('the shim does not run');
  return shim.privateMib;
}

async function beside(loud: Chatter, shim: ShimExec): Promise<number> {
  try {
    return await states(shim);
  } finally {
    await loud.stop();
  }
}

/** @returns the 99th percentile of State, ms */
async function states(shim: ShimExec): Promise<number> {
  const times: number[] = [];
  for (let call = 0; call < STATES; call++) {
    times.push(await shim.state());
    await sleep(STATE_PAUSE_MS);
  }
  return times.sort((a, b) => a - b)[Math.floor(STATES * 0.99)] ?? Number.NaN;
}

/** A virtual machine, and the same with a shell in the agent's place that writes into the agent's port. */
async function machines(daemon: Containerd): Promise<void> {
  const containers = new Containers(daemon, KATA);
  const directory = mkdtempSync('/tmp/ke-raw-');
  const guest = new ShellGuest(directory);
  try {
    await guest.boot();
    await containers.detached(['sleep', '100000'], { id: 'stdio-vm' });
    const shim = await ShimExec.connect(daemon, 'stdio-vm');
    const ours: number[] = [];
    const raw: number[] = [];
    for (let run = -1; run < RUNS; run++) {
      const rate = VM_OUTPUT_MIB / ((await pour(shim, VM_OUTPUT_MIB)) / 1000);
      const { bytes, ms } = await guest.pour(`dd if=/dev/zero bs=64k count=${VM_OUTPUT_MIB * 16} 2>/dev/null`);
      // The first of each has its code translated.
      if (run < 0) continue;
      ours.push(rate);
      raw.push(bytes / 2 ** 20 / (ms / 1000));
    }
    head('bare channel');
    const what = `stdout, ${VM_OUTPUT_MIB} MiB, through a virtual machine`;
    against({ what, unit: 'MiB/s', ours, control: raw, better: 'more', goal: CHANNEL_GOAL });
    shim.close();
    await containers.remove('stdio-vm');
  } finally {
    await guest.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
