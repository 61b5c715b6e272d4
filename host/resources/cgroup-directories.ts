/** A sandbox's cgroups as directories, of either version. */
import { KataError, reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';
import type { CgroupHost, Hierarchy } from './cgroup-host.ts';
import type { CgroupPlace } from './cgroup-path.ts';
import { codeOf, isOwn, type Levels, makeCgroup, REMOVE_WAIT_MS, removeCgroup } from './cgroup-tree.ts';
import type { HostCgroup, HostLimits } from './host-cgroup.ts';
import { checkNeed, checkPodLimit, type MemoryNeed } from './memory-need.ts';
import { MAX_CPUS } from './sizing.ts';

/** Failures that say that this machine does not let us, rather than that something is wrong. */
const NOT_ALLOWED = ['EROFS', 'EACCES', 'EPERM'];
/** cpuset(7), "List format". */
const LIST = /^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$/;
/** Longest such list, characters. */
export const MAX_LIST_LENGTH = 4096;

/** What the versions do differently. */
export interface Version {
  readonly hierarchies: readonly Hierarchy[];
  /** Where memory is charged; undefined: nobody counts it. */
  readonly memory: Hierarchy | undefined;
  /** File of a memory limit, bytes or a word. */
  readonly memoryLimitFile: string;
  /** Whether the VM's memory is charged to the sandbox's cgroup even when `sandbox_cgroup_only` is off. */
  readonly memoryFollowsVmm: boolean;
  /** File that takes single threads; undefined: processes move as a whole. */
  readonly threadFile: string | undefined;
  levels(hierarchy: Hierarchy): Levels;
  /** Moves what of a VMM belongs to the sandbox, when `sandbox_cgroup_only` is off. @throws the system's error */
  placeVmm(directories: Directories, pid: number, vcpuThreads: readonly number[] | undefined): Promise<void>;
  /** Files and texts of limits, per hierarchy. */
  limits(limits: HostLimits, memory: boolean): readonly Setting[];
}

export interface Setting {
  readonly controller: string;
  readonly file: string;
  readonly text: string;
}

/** The sandbox's directory of each usable hierarchy. */
export type Directories = ReadonlyMap<Hierarchy, string>;

export interface DirectoryOptions extends MemoryNeed {
  readonly place: CgroupPlace;
  readonly sandboxCgroupOnly: boolean;
  readonly log: Log;
}

export class CgroupDirectories implements HostCgroup {
  readonly traces: string[] = [];
  private readonly sandbox = new Map<Hierarchy, string>();
  private readonly joined = new Set<Hierarchy>();
  private following: Promise<void> = Promise.resolve();

  constructor(
    private readonly version: Version,
    private readonly host: CgroupHost,
    private readonly options: DirectoryOptions,
  ) {
    const { place, sandboxCgroupOnly } = options;
    for (const { point } of version.hierarchies) {
      this.traces.push(`${point}${place.sandbox}`);
      if (!sandboxCgroupOnly) this.traces.push(`${point}${place.overhead}`);
    }
  }

  async prepare(): Promise<void> {
    await this.enter();
    await this.following;
  }

  async enter(): Promise<void> {
    await this.checkLimit();
    const refused: string[] = [];
    // All directories before anybody moves: for some milliseconds after a move the kernel makes none of cpusets.
    const made = await this.each(this.version.hierarchies, refused, (hierarchy) => this.makeBoth(hierarchy));
    const { threadFile } = this.version;
    if (threadFile) {
      const entered = await this.each(made, refused, async (hierarchy) => this.enterAlone(hierarchy, threadFile));
      this.following = this.follow(entered);
    } else {
      await this.each(made, refused, (hierarchy) => this.join(hierarchy));
    }
    if (refused.length > 0) {
      this.options.log.warn('cgroups of this machine cannot be used; the sandbox is not limited by them', {
        hierarchies: refused.join('; '),
      });
    }
  }

  /** Whether the pod's own limit holds the VM. Nothing has to be there yet. */
  async checkLimit(): Promise<void> {
    const { memory, memoryLimitFile } = this.version;
    if (!memory) return;
    const path = this.memoryInSandbox ? this.options.place.sandbox : this.options.place.overhead;
    await checkPodLimit(this.host.files, memory.point, path, memoryLimitFile, this.options);
  }

  async placeVmm(pid: number, vcpuThreads?: readonly number[]): Promise<void> {
    if (this.options.sandboxCgroupOnly || this.sandbox.size === 0) return;
    try {
      await this.version.placeVmm(this.sandbox, pid, vcpuThreads);
    } catch (thrown) {
      throw new KataError('failed_precondition', `QEMU cannot be moved to the sandbox's cgroup: ${reasonOf(thrown)}`, {
        cause: thrown,
      });
    }
  }

  async update(limits: HostLimits): Promise<void> {
    checkLimits(limits);
    if (this.memoryInSandbox && limits.memoryBytes > 0) {
      checkNeed(limits.memoryBytes, `a limit for the sandbox of`, this.options);
    }
    for (const { controller, file, text } of this.version.limits(limits, this.memoryInSandbox)) {
      const hierarchy = [...this.sandbox.keys()].find(
        ({ version, controllers }) => version === 2 || controllers.includes(controller),
      );
      const directory = hierarchy && this.sandbox.get(hierarchy);
      if (!hierarchy || directory === undefined) continue;
      await this.set(`${directory}/${file}`, text);
    }
  }

  async remove(): Promise<void> {
    const { files, pid } = this.host;
    const { log } = this.options;
    await this.following;
    let stays = false;
    for (const hierarchy of this.joined) {
      try {
        if (hierarchy.own === undefined) throw new Error('it came from outside of what is mounted');
        await files.write(`${hierarchy.own}/cgroup.procs`, `${pid}`);
        this.joined.delete(hierarchy);
      } catch (thrown) {
        stays = true;
        log.debug('the shim stays in its cgroup', { hierarchy: nameOf(hierarchy), error: reasonOf(thrown) });
      }
    }
    const end = performance.now() + REMOVE_WAIT_MS;
    for (const directory of this.traces) {
      const reason = await removeCgroup(files, directory, isOwn(directory) && !stays ? end : 0);
      // A parent stays as long as anybody else is in it.
      if (reason !== undefined && isOwn(directory)) log.warn('cgroup kept for now', { directory, reason });
    }
    this.sandbox.clear();
  }

  private get memoryInSandbox(): boolean {
    return this.options.sandboxCgroupOnly || this.version.memoryFollowsVmm;
  }

  /**
   * Takes a step in several hierarchies at once.
   * @param refused gets those that this machine does not let us use
   * @returns the others
   */
  private async each(
    hierarchies: readonly Hierarchy[],
    refused: string[],
    step: (hierarchy: Hierarchy) => Promise<void>,
  ): Promise<Hierarchy[]> {
    const results = await Promise.allSettled(hierarchies.map(step));
    const done: Hierarchy[] = [];
    for (const [index, result] of results.entries()) {
      const hierarchy = hierarchies[index] as Hierarchy;
      if (result.status === 'fulfilled') done.push(hierarchy);
      else if (NOT_ALLOWED.includes(codeOf(result.reason))) {
        refused.push(`${nameOf(hierarchy)}: ${reasonOf(result.reason)}`);
      } else {
        await this.remove();
        throw unusable(hierarchy, result.reason);
      }
    }
    return done;
  }

  /** Children have the cgroups of the thread that makes them. A thread that moves itself, as number 0, waits for nobody. */
  private enterAlone(hierarchy: Hierarchy, threadFile: string): void {
    const { place, sandboxCgroupOnly } = this.options;
    const own = sandboxCgroupOnly ? place.sandbox : place.overhead;
    this.joined.add(hierarchy);
    this.host.files.writeNow(`${hierarchy.point}${own}/${threadFile}`, '0');
    this.sandbox.set(hierarchy, `${hierarchy.point}${place.sandbox}`);
  }

  /** Brings the other threads where the first one is. Never rejects: nothing that matters is charged to them alone. */
  private async follow(hierarchies: readonly Hierarchy[]): Promise<void> {
    const join = (hierarchy: Hierarchy): Promise<void> =>
      this.join(hierarchy).catch((thrown) => {
        const fields = { hierarchy: nameOf(hierarchy), error: reasonOf(thrown) };
        this.options.log.warn('threads of the shim stay outside of its cgroup', fields);
      });
    const [first, ...others] = hierarchies;
    // The first move waits for the kernel's grace period; those in its wake do not, and would only hold threads up.
    if (first) await join(first);
    await Promise.all(others.map(join));
  }

  private async makeBoth(hierarchy: Hierarchy): Promise<void> {
    const { place, sandboxCgroupOnly } = this.options;
    await this.make(hierarchy, place.sandbox);
    if (!sandboxCgroupOnly) await this.make(hierarchy, place.overhead);
  }

  private async join(hierarchy: Hierarchy): Promise<void> {
    const { files, pid } = this.host;
    const { place, sandboxCgroupOnly } = this.options;
    const own = sandboxCgroupOnly ? place.sandbox : place.overhead;
    await files.write(`${hierarchy.point}${own}/cgroup.procs`, `${pid}`);
    this.joined.add(hierarchy);
    this.sandbox.set(hierarchy, `${hierarchy.point}${place.sandbox}`);
  }

  private async make(hierarchy: Hierarchy, path: string): Promise<void> {
    const made = await makeCgroup(this.host.files, hierarchy.point, path, this.version.levels(hierarchy));
    for (const directory of made) if (!this.traces.includes(directory)) this.traces.push(directory);
  }

  private async set(path: string, text: string): Promise<void> {
    try {
      await this.host.files.write(path, text);
    } catch (thrown) {
      const code = codeOf(thrown);
      // ENOENT: the kernel, or the parent directory, does not have this controller.
      if (code !== 'ENOENT' && !NOT_ALLOWED.includes(code)) {
        throw new KataError('failed_precondition', `cannot write ${text} to ${path}: ${reasonOf(thrown)}`, {
          cause: thrown,
        });
      }
      this.options.log.warn('limit not set on the host', { path, limit: text, error: code });
    }
  }
}

/** Its controllers, for messages. */
export function nameOf(hierarchy: Hierarchy): string {
  return hierarchy.version === 2 ? hierarchy.point : hierarchy.controllers.join();
}

function checkLimits({ cpus, memoryBytes, cpuset = '', memoryNodes = '' }: HostLimits): void {
  if (!(cpus >= 0 && cpus <= MAX_CPUS)) {
    throw new KataError('invalid_argument', `a limit of ${cpus} CPUs; it must be 0 (none) to ${MAX_CPUS}`);
  }
  if (!(memoryBytes >= 0 && memoryBytes <= Number.MAX_SAFE_INTEGER)) {
    throw new KataError('invalid_argument', `a limit of ${memoryBytes} bytes; it must be 0 (none) or more`);
  }
  for (const [name, list] of Object.entries({ cpus: cpuset, mems: memoryNodes })) {
    if (list === '' || (list.length <= MAX_LIST_LENGTH && LIST.test(list))) continue;
    throw new KataError(
      'invalid_argument',
      `cpuset ${name} ${JSON.stringify(list.slice(0, 80))} is no list; write it as 0-3,8`,
    );
  }
}

function unusable(hierarchy: Hierarchy, thrown: unknown): KataError {
  return new KataError(
    'failed_precondition',
    `cgroup hierarchy ${nameOf(hierarchy)} cannot take the sandbox: ${reasonOf(thrown)}; correct the pod's cgroup parent`,
    { cause: thrown },
  );
}
