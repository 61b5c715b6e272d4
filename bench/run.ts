/**
 * `npm run bench`: our shim beside containerd-shim-runc-v2 of the same containerd, both in one run; then the guest's boot.
 * Medians of RUNS measurements, with minimum and maximum. `npm run bench -- 0` leaves out the boots, another number sets how many.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../host/error.ts';
import { build } from '../setup/builds.ts';
import { succeed } from '../setup/command.ts';
import { type Containerd, startContainerd } from '../setup/containerd.ts';
import { containerdPrograms } from '../setup/containerd-packages.ts';
import { buildImage } from '../setup/image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES, ROOT, SHIM } from '../setup/paths.ts';
import { lastLine } from '../setup/shim-log.ts';
import { step } from '../setup/step.mjs';
import { FLAVORS } from '../test/harness/cri/flavors.ts';
import { startCri } from '../test/harness/cri/suite.ts';
import { type ContainerTimes, measureContainers } from './containers.ts';
import { measureExecShare } from './exec-share.ts';
import type { Memory } from './memory.ts';
import { ownShare, PARTS } from './parts.ts';
import { measurePods, type PodTimes } from './pods.ts';
import { measureStart, type ShimStart } from './shim-start.ts';
import { RUNS, summary } from './statistics.ts';

const VERSION = '1.7';
const BOOTS = 50;
const BOOT_TIMEOUT_MS = 30 * 60_000;
const WIDTHS = [38, 24, 24];
/** Goals: our own share of a pod's start, ms; and of an ExecSync. */
const POD_GOAL_MS = 150;
const EXEC_GOAL_MS = 10;

// Where it is set, Node reads certificates at every start, which is none of the shim's doing.
delete process.env.NODE_EXTRA_CA_CERTS;

try {
  await main(process.argv[2] === undefined ? BOOTS : Number(process.argv[2]));
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main(boots: number): Promise<void> {
  await build();
  const programs = await containerdPrograms(VERSION, CONTAINERD, DEBIAN_CACHE, () => {});
  const daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image: await buildImage(IMAGES) });
  try {
    const start = await inTurn(
      'shim start',
      { kata: SHIM, runc: `${programs.bin}/containerd-shim-runc-v2` },
      measureStart,
    );
    const runtimes = { kata: 'io.containerd.kata.v2', runc: 'io.containerd.runc.v2' };
    const times = await inTurn('containers', runtimes, (runtime) => measureContainers(daemon, runtime));
    await printMachine(daemon);
    printTable(start, times);
  } finally {
    await daemon.stop();
  }
  printPods(await pods(), await step('execs in the shim alone', measureExecShare));
  if (boots > 0) process.stdout.write(`\n${await measureBoots(boots)}`);
}

/** Pods of both runtimes on one daemon that serves CRI. */
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

interface Both<T> {
  readonly kata: T;
  readonly runc: T;
}

async function inTurn<A, T>(title: string, what: Both<A>, measure: (what: A) => Promise<T>): Promise<Both<T>> {
  const runc = await step(`${title}, runc`, () => measure(what.runc));
  return { kata: await step(`${title}, kata-edge`, () => measure(what.kata)), runc };
}

/** A process of its own, as the guest is booted without anything of the shim. */
function measureBoots(boots: number): Promise<string> {
  const argv = [process.execPath, '--import', 'tsx', 'bench/boot.ts', String(boots)];
  return step(`${boots} boots of the guest`, () =>
    succeed(argv, { cwd: ROOT, env: process.env, timeoutMs: BOOT_TIMEOUT_MS }),
  );
}

async function printMachine(daemon: Containerd): Promise<void> {
  const cpu = /^(?:model name|Processor)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch;
  const machine = lastLine(daemon.log(), 'virtual machine started');
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const qemu = /version (\S+)/.exec(await succeed(['sh', '-c', 'exec qemu-system-$(uname -m) --version']))?.[1];
  const rows = {
    machine: `${cpu}, ${availableParallelism()} CPUs, ${Math.round(totalmem() / 2 ** 30)} GiB, load ${loadavg()[0]?.toFixed(1)}`,
    kernel: release(),
    versions: `kata-edge ${version}, containerd ${daemon.version}, QEMU ${qemu}, Node ${process.versions.node}`,
    accelerator: machine?.accelerator ?? 'unknown',
    'each number': `median (minimum-maximum) of ${RUNS}`,
  };
  for (const [label, text] of Object.entries(rows)) process.stdout.write(`${label}: ${text}\n`);
}

function printTable(start: Both<ShimStart>, times: Both<ContainerTimes>): void {
  line('', 'kata-edge', 'runc');
  row('shim start, exec to exit, ms', start, ({ exit }) => summary(exit, 1));
  row('shim start, exec to reply, ms', start, ({ reply }) => summary(reply, 1));
  row('run true and exit, ms', times, ({ run }) => summary(run));
  row('exec true, ms', times, ({ exec }) => summary(exec));
  row('stdout, MiB/s', times, ({ stdout }) => summary(stdout));
  row('memory a container, private MiB', times, ({ memory }) => total(memory, 'privateMib'));
  row('memory a container, PSS MiB', times, ({ memory }) => total(memory, 'pssMib'));
  for (const { name, privateMib, pssMib } of times.kata.memory) {
    line(`  of kata-edge: ${name}`, `private ${privateMib.toFixed(1)}`, `PSS ${pssMib.toFixed(1)}`);
  }
}

function printPods(times: Both<PodTimes>, execShare: readonly number[]): void {
  process.stdout.write(`\nload ${loadavg()[0]?.toFixed(1)}\n`);
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

function row<T>(label: string, of: Both<T>, text: (one: T) => string): void {
  line(label, text(of.kata), text(of.runc));
}

function line(...cells: string[]): void {
  process.stdout.write(
    `${cells
      .map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0))
      .join('')
      .trimEnd()}\n`,
  );
}

function total(memory: readonly Memory[], key: 'privateMib' | 'pssMib'): string {
  return memory.reduce((sum, one) => sum + one[key], 0).toFixed(1);
}
