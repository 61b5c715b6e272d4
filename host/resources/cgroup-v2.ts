/**
 * cgroups of version 2: one hierarchy, and a process is in one place with all its threads. With `sandbox_cgroup_only` off
 * vCPU threads therefore take the whole VMM with them into the sandbox's cgroup; the shim and virtiofsd stay with the
 * overhead. (Threaded mode would need a common parent for both, and has no memory controller.)
 */
import type { Log } from '../sandbox/log.ts';
import type { Directories, Setting, Version } from './cgroup-directories.ts';
import type { CgroupHost, Hierarchy } from './cgroup-host.ts';
import { codeOf, type Levels } from './cgroup-tree.ts';
import { CPU_PERIOD_US, MIN_CPU_QUOTA_US } from './cgroup-v1.ts';
import type { HostLimits } from './host-cgroup.ts';

/** What a sandbox's cgroup is to count and limit, where its parents let it. */
const WANTED = ['cpuset', 'cpu', 'io', 'memory', 'pids'];

export class CgroupV2 implements Version {
  readonly hierarchies: readonly Hierarchy[];
  readonly memory: Hierarchy | undefined;
  readonly memoryLimitFile = 'memory.max';
  readonly memoryFollowsVmm = true;
  readonly threadFile = undefined;

  /** @param delegates whether parents' controllers are ours to enable: not where systemd looks after them */
  constructor(
    private readonly host: CgroupHost,
    private readonly log: Log,
    private readonly delegates: boolean,
  ) {
    this.hierarchies = host.hierarchies.filter(({ version }) => version === 2);
    this.memory = this.hierarchies[0];
  }

  levels(): Levels {
    return {
      beforeChild: (directory) => (this.delegates ? this.enable(directory) : Promise.resolve()),
      ready: async () => {},
    };
  }

  async placeVmm(directories: Directories, pid: number): Promise<void> {
    for (const directory of directories.values()) await this.host.files.write(`${directory}/cgroup.procs`, `${pid}`);
  }

  limits({ cpus, memoryBytes, cpuset, memoryNodes }: HostLimits, memory: boolean): readonly Setting[] {
    const quota = cpus > 0 ? `${Math.max(Math.round(cpus * CPU_PERIOD_US), MIN_CPU_QUOTA_US)}` : 'max';
    // Empty: as the parent.
    const list = (text: string): string => text || '\n';
    return [
      { controller: 'cpu', file: 'cpu.max', text: `${quota} ${CPU_PERIOD_US}` },
      ...(memory ? [{ controller: 'memory', file: this.memoryLimitFile, text: `${memoryBytes || 'max'}` }] : []),
      ...(cpuset === undefined ? [] : [{ controller: 'cpuset', file: 'cpuset.cpus', text: list(cpuset) }]),
      ...(memoryNodes === undefined ? [] : [{ controller: 'cpuset', file: 'cpuset.mems', text: list(memoryNodes) }]),
    ];
  }

  /** A parent that has processes of its own cannot pass controllers on; the sandbox then is only counted with it. */
  private async enable(directory: string): Promise<void> {
    const { files } = this.host;
    const words = async (file: string): Promise<string[]> =>
      (await files.read(`${directory}/${file}`)).trim().split(' ');
    const available = await words('cgroup.controllers');
    const enabled = await words('cgroup.subtree_control');
    for (const controller of WANTED) {
      if (!available.includes(controller) || enabled.includes(controller)) continue;
      await files.write(`${directory}/cgroup.subtree_control`, `+${controller}`).catch((thrown) => {
        this.log.debug('controller not passed on', { directory, controller, error: codeOf(thrown) });
      });
    }
  }
}
