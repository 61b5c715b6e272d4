/** A kernel's cgroups in memory, with the rules that a sandbox has to obey. */
import type { CgroupFiles, CgroupHost, Hierarchy } from '../../../host/resources/cgroup-host.ts';

/** The process that moves itself. */
export const SHIM = 100;

interface Directory {
  readonly hierarchy: Hierarchy;
  readonly files: Map<string, string>;
  readonly procs: Set<number>;
  readonly tasks: Set<number>;
}

export class FakeCgroups implements CgroupHost, CgroupFiles {
  readonly files = this;
  readonly pid = SHIM;
  readonly hierarchies: readonly Hierarchy[];
  readonly directories = new Map<string, Directory>();
  readonly calls: string[][] = [];
  /** Where the main thread has gone by itself, in order. */
  readonly entered: string[] = [];
  systemd = false;
  vmmThreads: { tid: number; name: string }[] = [];
  /** Paths (as a part) at which writing or making fails, with what. */
  readonly failures = new Map<string, string>();
  /** How often a directory is still busy when it is removed. */
  busy = 0;
  /** What systemd does when it is called. */
  onSystemd: (argv: string[]) => void = () => {};

  /** @param lists controllers of each hierarchy of version 1; none: version 2 */
  constructor(...lists: string[][]) {
    this.hierarchies =
      lists.length > 0
        ? lists.map((controllers) => {
            const point = `/cg/${controllers.join()}`;
            return { version: 1, controllers, point, own: `${point}/shim` };
          })
        : [{ version: 2, controllers: [], point: '/cg2', own: '/cg2/shim' }];
    for (const hierarchy of this.hierarchies) {
      this.add(hierarchy.point, hierarchy);
      const root = this.at(hierarchy.point).files;
      root.delete('memory.max');
      if (root.has('cgroup.controllers')) root.set('cgroup.controllers', 'cpuset cpu io memory pids');
      if (root.has('cpuset.cpus')) root.set('cpuset.cpus', '0-3').set('cpuset.mems', '0');
      this.add(`${hierarchy.point}/shim`, hierarchy);
      const shim = this.at(`${hierarchy.point}/shim`);
      if (shim.files.has('cpuset.cpus')) shim.files.set('cpuset.cpus', '0-3').set('cpuset.mems', '0');
      shim.procs.add(SHIM);
    }
  }

  /** Directories beside those of the machine itself, sorted. */
  get made(): string[] {
    const own = this.hierarchies.flatMap(({ point }) => [point, `${point}/shim`]);
    return [...this.directories.keys()].filter((path) => !own.includes(path)).sort();
  }

  at(path: string): Directory {
    const directory = this.directories.get(path);
    if (!directory) throw failure('ENOENT', path);
    return directory;
  }

  /** Where a process is in each hierarchy. */
  whereIs(pid: number): string[] {
    return [...this.directories].filter(([, { procs }]) => procs.has(pid)).map(([path]) => path);
  }

  async mkdir(path: string): Promise<void> {
    this.fail(path);
    const parent = this.at(path.slice(0, path.lastIndexOf('/')));
    if (this.directories.has(path)) throw failure('EEXIST', path);
    this.add(path, parent.hierarchy, parent);
  }

  async rmdir(path: string): Promise<void> {
    const { procs } = this.at(path);
    const hasChild = [...this.directories.keys()].some((other) => other.startsWith(`${path}/`));
    if (this.busy > 0) {
      this.busy--;
      throw failure('EBUSY', path);
    }
    if (procs.size > 0 || hasChild) throw failure('EBUSY', path);
    this.directories.delete(path);
  }

  async read(path: string): Promise<string> {
    const [directory, file] = split(path);
    const text = this.at(directory).files.get(file);
    if (file === 'cgroup.procs') return `${[...this.at(directory).procs].join('\n')}\n`;
    if (text === undefined) throw failure('ENOENT', path);
    return `${text}\n`;
  }

  async write(path: string, text: string): Promise<void> {
    this.fail(path);
    const [name, file] = split(path);
    const directory = this.at(name);
    if (file === 'cgroup.procs') this.move(name, Number(text));
    else if (file === 'tasks') directory.tasks.add(Number(text));
    else if (file === 'cgroup.subtree_control') this.enable(name, text.slice(1));
    else if (directory.files.has(file)) directory.files.set(file, text);
    else throw failure('ENOENT', path);
  }

  /** What the main thread wrote; `tasks` takes 0 as itself, and no other thread follows. */
  writeNow(path: string, text: string): void {
    this.fail(path);
    const [name, file] = split(path);
    const { files } = this.at(name);
    if (file !== 'tasks' || text !== '0') throw failure('EINVAL', path);
    if (files.get('cpuset.cpus') === '') throw failure('ENOSPC', path);
    this.entered.push(name);
  }

  async children(path: string): Promise<string[]> {
    this.at(path);
    const names = [...this.directories.keys()].filter((other) => other.startsWith(`${path}/`));
    return names.map((other) => other.slice(path.length + 1)).filter((name) => !name.includes('/'));
  }

  async callSystemd(...argv: string[]): Promise<void> {
    this.calls.push(argv);
    this.onSystemd(argv);
  }

  async threads(): Promise<{ tid: number; name: string }[]> {
    return this.vmmThreads;
  }

  /** Moves a process; `cgroup.procs`. */
  move(path: string, pid: number): void {
    const { hierarchy, procs, files } = this.at(path);
    if (files.get('cpuset.cpus') === '') throw failure('ENOSPC', path);
    // "No internal processes", cgroups(7).
    if (hierarchy.version === 2 && path !== hierarchy.point && files.get('cgroup.subtree_control') !== '') {
      throw failure('EBUSY', path);
    }
    for (const other of this.directories.values()) if (other.hierarchy === hierarchy) other.procs.delete(pid);
    procs.add(pid);
  }

  private enable(path: string, controller: string): void {
    const { hierarchy, files, procs } = this.at(path);
    if (!files.get('cgroup.controllers')?.split(' ').includes(controller)) throw failure('ENOENT', path);
    if (path !== hierarchy.point && procs.size > 0) throw failure('EBUSY', path);
    files.set('cgroup.subtree_control', `${files.get('cgroup.subtree_control')} ${controller}`.trim());
  }

  private add(path: string, hierarchy: Hierarchy, parent?: Directory): void {
    const files = new Map<string, string>();
    const has = (name: string): boolean => hierarchy.controllers.includes(name);
    if (has('cpuset')) files.set('cpuset.cpus', '').set('cpuset.mems', '');
    if (has('cpu')) files.set('cpu.cfs_period_us', '100000').set('cpu.cfs_quota_us', '-1');
    if (has('memory')) files.set('memory.limit_in_bytes', '9223372036854771712');
    if (hierarchy.version === 2) {
      const controllers = parent?.files.get('cgroup.subtree_control') ?? '';
      files.set('cgroup.controllers', controllers).set('cgroup.subtree_control', '');
      if (controllers.includes('memory')) files.set('memory.max', 'max');
      if (controllers.split(' ').includes('cpu')) files.set('cpu.max', 'max 100000');
      if (controllers.includes('cpuset')) files.set('cpuset.cpus', '').set('cpuset.mems', '');
    }
    // In version 2 an empty cpuset is that of the parent.
    if (hierarchy.version === 2 && files.has('cpuset.cpus')) files.set('cpuset.cpus', '0-3');
    this.directories.set(path, { hierarchy, files, procs: new Set(), tasks: new Set() });
  }

  private fail(path: string): void {
    for (const [part, code] of this.failures) if (path.includes(part)) throw failure(code, path);
  }
}

function split(path: string): [string, string] {
  const slash = path.lastIndexOf('/');
  return [path.slice(0, slash), path.slice(slash + 1)];
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
