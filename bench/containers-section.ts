/** Containers by `ctr`, our shim beside containerd-shim-runc-v2 of the same containerd. */
import { succeed } from '../setup/command.ts';
import { type Containerd, startContainerd } from '../setup/containerd.ts';
import { containerdPrograms } from '../setup/containerd-packages.ts';
import { buildImage } from '../setup/image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES, SHIM } from '../setup/paths.ts';
import { lastLine } from '../setup/shim-log.ts';
import { type Both, inTurn, row } from './both.ts';
import { type ContainerTimes, measureContainers } from './containers.ts';
import type { Memory } from './memory.ts';
import { measureStart, type ShimStart } from './shim-start.ts';
import { line, summary } from './table.ts';

const VERSION = '1.7';

export async function section(): Promise<void> {
  const programs = await containerdPrograms(VERSION, CONTAINERD, DEBIAN_CACHE, () => {});
  const daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image: await buildImage(IMAGES) });
  try {
    const shims = { kata: SHIM, runc: `${programs.bin}/containerd-shim-runc-v2` };
    const start = await inTurn('shim start', shims, measureStart);
    const runtimes = { kata: 'io.containerd.kata.v2', runc: 'io.containerd.runc.v2' };
    const times = await inTurn('containers', runtimes, (runtime) => measureContainers(daemon, runtime));
    await printVersions(daemon);
    print(start, times);
  } finally {
    await daemon.stop();
  }
}

async function printVersions(daemon: Containerd): Promise<void> {
  const machine = lastLine(daemon.log(), 'virtual machine started');
  const qemu = /version (\S+)/.exec(await succeed(['sh', '-c', 'exec qemu-system-$(uname -m) --version']))?.[1];
  line(`containerd ${daemon.version}, QEMU ${qemu}, accelerator ${machine?.accelerator ?? 'unknown'}`);
}

function print(start: Both<ShimStart>, times: Both<ContainerTimes>): void {
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

function total(memory: readonly Memory[], key: 'privateMib' | 'pssMib'): string {
  return memory.reduce((sum, one) => sum + one[key], 0).toFixed(1);
}
