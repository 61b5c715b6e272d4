/** Whole containers through containerd and `ctr`, the same for every runtime. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, type Finished } from '../setup/command.ts';
import type { Containerd } from '../setup/containerd.ts';
import { markedProcesses } from '../setup/processes.ts';
import { Containers } from '../test/harness/containers.ts';
import { type Memory, memoryOf } from './memory.ts';
import { repeat } from './statistics.ts';

/** MiB that a container writes to its stdout, per measurement. */
const OUTPUT_MIB = 256;
const MIB = 1024 * 1024;
/** KiB the container writes at a time: what a FIFO takes in one piece. */
const BLOCK_KIB = 64;
/** Milliseconds after the start of a container at which it counts as idle. */
const IDLE_MS = 5000;
const OUTPUT_TIMEOUT_MS = 300_000;

export interface ContainerTimes {
  /** Milliseconds of `ctr run --rm … true`. */
  readonly run: number[];
  /** Milliseconds of `ctr task exec … true`. */
  readonly exec: number[];
  /** MiB a second of an exec's stdout, its start included. */
  readonly stdout: number[];
  /** Every process of the host that is there for one idle container. */
  readonly memory: Memory[];
}

/** Measures one runtime on a daemon that runs nothing else. */
export async function measureContainers(daemon: Containerd, runtime: string): Promise<ContainerTimes> {
  const containers = new Containers(daemon, runtime);
  const run = await repeat(async () => good(await containers.run(['true'])).ms);
  const others = new Set(markedProcesses(daemon.directory).map(({ pid }) => pid));
  const id = await containers.detached(['sleep', '100000']);
  await sleep(IDLE_MS);
  const own = markedProcesses(daemon.directory).filter(({ pid }) => !others.has(pid));
  const memory = own.map(memoryOf).filter((one) => one !== undefined);
  const exec = await repeat(async () => good(await containers.exec(id, ['true'])).ms);
  const stdout = await repeat(() => throughput(containers, id));
  await containers.remove(id);
  return { run, exec, stdout, memory };
}

async function throughput(containers: Containers, id: string): Promise<number> {
  let bytes = 0;
  const onStdout = (chunk: Buffer) => {
    bytes += chunk.length;
  };
  const command = ['dd', 'if=/dev/zero', `bs=${BLOCK_KIB}k`, `count=${(OUTPUT_MIB * 1024) / BLOCK_KIB}`];
  const done = good(await containers.exec(id, command, { onStdout, timeoutMs: OUTPUT_TIMEOUT_MS }));
  if (bytes !== OUTPUT_MIB * MIB) throw new Error(`${bytes} bytes of ${OUTPUT_MIB * MIB} arrived`);
  return OUTPUT_MIB / (done.ms / 1000);
}

function good(done: Finished): Finished {
  if (done.code !== 0) throw new Error(describe(done));
  return done;
}
