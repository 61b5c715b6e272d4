/** cgroups of version 1: a hierarchy per controller, threads where one wants them. */
import type { Log } from '../sandbox/log.ts';
import type { Directories, Setting, Version } from './cgroup-directories.ts';
import type { CgroupHost, Hierarchy } from './cgroup-host.ts';
import { codeOf, type Levels } from './cgroup-tree.ts';
import type { HostLimits } from './host-cgroup.ts';

/** Period of a CPU limit, µs; and the least quota the kernel takes. */
export const CPU_PERIOD_US = 100_000;
export const MIN_CPU_QUOTA_US = 1000;
/** QEMU's names of its vCPU threads, KVM's one per CPU; an emulator without threads has one for all. */
const VCPU_THREAD = /^(CPU [0-9]+|ALL CPUs)\//;
/** Without these nothing can join a cpuset. */
const CPUSET_FILES = ['cpuset.cpus', 'cpuset.mems'];

export class CgroupV1 implements Version {
  readonly hierarchies: readonly Hierarchy[];
  readonly memory: Hierarchy | undefined;
  readonly memoryLimitFile = 'memory.limit_in_bytes';
  /** Memory belongs to the process, which stays with the overhead. */
  readonly memoryFollowsVmm = false;
  readonly threadFile = 'tasks';

  constructor(
    private readonly host: CgroupHost,
    private readonly log: Log,
  ) {
    this.hierarchies = host.hierarchies.filter(({ version }) => version === 1);
    this.memory = this.hierarchies.find(({ controllers }) => controllers.includes('memory'));
  }

  levels({ controllers }: Hierarchy): Levels {
    const { files } = this.host;
    const cpuset = controllers.includes('cpuset');
    return {
      beforeChild: async () => {},
      ready: async (directory, parent) => {
        if (!cpuset) return;
        for (const file of CPUSET_FILES) {
          if ((await files.read(`${directory}/${file}`)).trim() !== '') continue;
          await files.write(`${directory}/${file}`, (await files.read(`${parent}/${file}`)).trim());
        }
      },
    };
  }

  async placeVmm(directories: Directories, pid: number, vcpuThreads: readonly number[] | undefined): Promise<void> {
    const tids = vcpuThreads ?? (await this.vcpuThreads(pid));
    if (tids.length === 0) {
      this.log.warn('vCPU threads are not known: they stay with the overhead', { pid });
      return;
    }
    for (const directory of directories.values()) {
      for (const tid of tids) {
        await this.host.files.write(`${directory}/tasks`, `${tid}`).catch((thrown) => {
          if (codeOf(thrown) !== 'ESRCH') throw thrown;
        });
      }
    }
  }

  limits({ cpus, memoryBytes, cpuset, memoryNodes }: HostLimits, memory: boolean): readonly Setting[] {
    const quota = cpus > 0 ? Math.max(Math.round(cpus * CPU_PERIOD_US), MIN_CPU_QUOTA_US) : -1;
    return [
      { controller: 'cpu', file: 'cpu.cfs_period_us', text: `${CPU_PERIOD_US}` },
      { controller: 'cpu', file: 'cpu.cfs_quota_us', text: `${quota}` },
      ...(memory ? [{ controller: 'memory', file: this.memoryLimitFile, text: `${memoryBytes || -1}` }] : []),
      // An empty set cannot be written while there is anybody in it: it stays what it was made as.
      ...(cpuset ? [{ controller: 'cpuset', file: 'cpuset.cpus', text: cpuset }] : []),
      ...(memoryNodes ? [{ controller: 'cpuset', file: 'cpuset.mems', text: memoryNodes }] : []),
    ];
  }

  private async vcpuThreads(pid: number): Promise<number[]> {
    const threads = await this.host.threads(pid);
    return threads.filter(({ name }) => VCPU_THREAD.test(name)).map(({ tid }) => tid);
  }
}
