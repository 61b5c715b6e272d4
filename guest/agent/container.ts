/**
 * One container: made by crun, everything after that by files and signals. What creation did is remembered as steps back,
 * which a failed creation and the removal both take.
 */
import type { CreateContainerRequest } from '../../host/proto/messages/agent.ts';
import type { LinuxResources, Spec } from '../../host/proto/messages/oci.ts';
import { O_NONBLOCK } from './beneath.ts';
import { type Disk, mountedDisks } from './block-io.ts';
import { Cgroup, cgroupPath } from './cgroup.ts';
import { crun, crunProcess } from './crun.ts';
import { withDestinations } from './destination.ts';
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { attempt, exists, mkdirs, removeTree } from './files.ts';
import { checkPath, MS_BIND, MS_REC, unmount } from './mount.ts';
import { configOf, jsonText } from './oci-config.ts';
import type { NamespacePaths } from './oci-linux.ts';
import type { OomEvents, OomWatch } from './oom.ts';
import type { Guest } from './options.ts';
import { MAX_SIGNAL, Process, SIGKILL } from './process.ts';
import { applyExtras, fitResources, guestCpus } from './resources.ts';
import { patchDevices } from './spec-devices.ts';
import type { Storages } from './storage.ts';
import { setNetworkSysctls } from './sysctl.ts';
import { withHome } from './user.ts';

/** How long a killed container may take to die, ms. */
export const KILL_TIMEOUT_MS = 10_000;
/** Most processes of one container that have not been waited for. */
export const MAX_PROCESSES = 1024;

const O_WRONLY = 1;
/** Root of a user namespace, nobody here, has to get through to its root file system. */
const BUNDLE_MODE = 0o711;

type State = 'creating' | 'created' | 'running' | 'paused' | 'removing';

export class Container {
  readonly cgroup: Cgroup;
  readonly bundle: string;
  spec: Spec;
  /** By exec id. */
  readonly execs = new Map<string, Process>();
  init: Process | undefined;
  /** Set from the start on. */
  oom: OomWatch | undefined;
  /** Processors the host wants it bound to, by the host's numbers. */
  private cpus = '';
  /** Disks it uses. */
  private readonly disks: Disk[] = [];
  private readonly reserved = new Set<string>();
  private state: State = 'creating';
  private readonly stepsBack: (() => Promise<unknown> | unknown)[] = [];
  private creation: Promise<void> | undefined;
  private removal: Promise<void> | undefined;

  constructor(
    private readonly guest: Guest,
    readonly id: string,
    /** What the host calls the first process, besides an empty exec id. */
    private readonly initExecId: string,
    spec: Spec,
    private readonly namespaces: NamespacePaths,
  ) {
    this.spec = spec;
    this.bundle = `${guest.options.runDir}/${id}`;
    this.cgroupsPath = cgroupPath(spec.Linux?.CgroupsPath ?? '', id);
    this.cgroup = new Cgroup(guest.sys, guest.loop, guest.options.cgroupRoot + this.cgroupsPath);
  }
  private readonly cgroupsPath: string;

  /** Where its root file system is mounted. */
  get rootfs(): string {
    return `${this.bundle}/rootfs`;
  }

  /** Whose pid namespace others may join. */
  get ownsPids(): boolean {
    return this.namespaces.pid === undefined;
  }

  /** The state in OCI's words. */
  get status(): State | 'stopped' {
    return this.init?.status !== undefined && this.state !== 'removing' ? 'stopped' : this.state;
  }

  /**
   * Mounts storages and root file system, writes config.json and has crun create the container. A failure undoes all of it.
   * @throws AgentError internal with crun's words
   */
  create(request: CreateContainerRequest, storages: Storages): Promise<void> {
    this.creation = this.doCreate(request, storages);
    return this.creation;
  }

  private async doCreate(request: CreateContainerRequest, storages: Storages): Promise<void> {
    try {
      this.stepsBack.push(() => this.clearDirectories());
      for (const storage of request.storages) this.stepsBack.push(await storages.add(storage));
      this.disks.push(...(await patchDevices(this.guest, this.spec, request.devices)));
      const linux = this.spec.Linux;
      if (linux?.Resources) linux.Resources = this.fit(linux.Resources);
      this.makeBundle();
      this.disks.push(...mountedDisks(this.guest, [this.rootfs, ...request.storages.map((each) => each.mount_point)]));
      setNetworkSysctls(this.guest, linux?.Sysctl ?? {});
      this.stepsBack.push(() => this.clearCrun());
      await this.createProcess();
      if (linux?.Resources) applyExtras(this.guest, this.cgroup, linux.Resources, this.disks);
      if (this.removal)
        throw new AgentError('failed_precondition', `container ${this.id} was removed while it was created`);
      this.state = 'created';
    } catch (thrown) {
      this.init?.signal(SIGKILL);
      await this.stepBack();
      this.init?.close();
      throw thrown instanceof AgentError ? thrown : new AgentError('internal', `${this.id}: ${reasonOf(thrown)}`);
    }
  }

  /** Lets the created process run. @throws AgentError failed_precondition unless created */
  async start(oom: OomEvents): Promise<void> {
    this.require('start', 'created');
    // Before it runs: it may be killed at once.
    const watch = oom.watch(this.id, this.cgroup);
    this.oom = watch;
    this.stepsBack.push(() => watch.stop());
    const { sys, loop, options } = this.guest;
    if ((this.spec.Hooks?.Poststart.length ?? 0) > 0) await crun(sys, loop, options, ['start', this.id]);
    else this.releaseInit();
    this.state = 'running';
  }

  /** @throws AgentError failed_precondition unless running */
  async pause(): Promise<void> {
    this.require('pause', 'running');
    this.state = 'paused';
    try {
      await this.cgroup.freeze(true);
    } catch (thrown) {
      if (this.state === 'paused') this.state = 'running';
      throw thrown;
    }
  }

  /** @throws AgentError failed_precondition unless paused */
  async resume(): Promise<void> {
    this.require('resume', 'paused');
    await this.cgroup.freeze(false);
    if (this.state === 'paused') this.state = 'running';
  }

  /** @throws AgentError as Cgroup.update and applyExtras */
  update(resources: LinuxResources): void {
    const fitted = this.fit(resources);
    this.cgroup.update(fitted);
    applyExtras(this.guest, this.cgroup, fitted, this.disks);
  }

  /** Binds it to the processors it was meant for, of which there are more now. */
  fitProcessors(): void {
    if (this.cpus === '' || this.status === 'removing') return;
    this.cgroup.write('cpuset.cpus', guestCpus(this.guest, this.cpus));
  }

  /** Resources in this guest's numbers; remembers what the host wanted. */
  private fit(resources: LinuxResources): LinuxResources {
    const fitted = fitResources(this.guest, resources);
    if (resources.CPU && resources.CPU.Cpus !== '') this.cpus = resources.CPU.Cpus;
    return fitted;
  }

  /** The first process (empty exec id, or the id given at creation) or an exec. @throws AgentError not_found */
  process(execId: string): Process {
    const process = this.isInit(execId) ? this.init : this.execs.get(execId);
    if (!process) throw new AgentError('not_found', `container ${this.id} has no process ${JSON.stringify(execId)}`);
    return process;
  }

  isInit(execId: string): boolean {
    return execId === '' || execId === this.id || execId === this.initExecId;
  }

  /**
   * SIGKILL without an exec id means everything in the container; otherwise one process. Gone processes take any signal.
   * @throws AgentError invalid_argument for numbers beyond MAX_SIGNAL
   */
  signal(execId: string, signal: number): void {
    if (signal > MAX_SIGNAL) throw new AgentError('invalid_argument', `signal ${signal}: at most ${MAX_SIGNAL}`);
    if (execId === '' && signal === SIGKILL) {
      this.killAll();
      return;
    }
    const process = this.process(execId);
    // Only the first process of a pid namespace ignores what it has no handler for.
    const first = this.isInit(execId) && this.namespaces.pid === undefined;
    const effective = first ? process.effectiveSignal(signal) : signal;
    process.signal(effective);
  }

  /** Kills every process of the container, also of one that is still being created. */
  killAll(): void {
    this.cgroup.kill();
    this.init?.signal(SIGKILL);
    for (const exec of this.execs.values()) exec.signal(SIGKILL);
  }

  /**
   * Keeps an exec id from being used twice until its process is entered; forgets those about which all has been told.
   * @returns gives the reservation back
   * @throws AgentError already_exists, resource_exhausted
   */
  reserveExec(execId: string): () => void {
    for (const [id, process] of this.execs) if (process.finished) this.execs.delete(id);
    const known = this.execs.get(execId);
    if (this.isInit(execId) || this.reserved.has(execId) || (known && !known.waited)) {
      throw new AgentError('already_exists', `exec_id '${execId}' already exists`);
    }
    if (this.execs.size + this.reserved.size >= MAX_PROCESSES) {
      const text = `container ${this.id} has ${MAX_PROCESSES} processes that were not waited for`;
      throw new AgentError('resource_exhausted', text);
    }
    known?.close();
    this.reserved.add(execId);
    return () => this.reserved.delete(execId);
  }

  /** Kills it and takes back all that creation did. A second call joins the first. */
  remove(): Promise<void> {
    this.removal ??= this.doRemove();
    return this.removal;
  }

  /** @throws AgentError failed_precondition naming the state it is in */
  require(what: string, wanted: State): void {
    if (this.status === wanted) return;
    throw new AgentError(
      'failed_precondition',
      `cannot ${what}: container ${this.id} is ${this.status}, not ${wanted}`,
    );
  }

  private async doRemove(): Promise<void> {
    // One that is being created sees `removal` and undoes itself.
    if (this.state === 'creating') {
      this.killAll();
      await this.creation?.catch(() => {});
      return;
    }
    this.state = 'removing';
    this.killAll();
    const processes = [this.init, ...this.execs.values()].filter((process) => process !== undefined);
    const gone = Promise.all(processes.map((process) => process.exited)).then(() => true);
    if (!(await Promise.race([gone, this.guest.loop.sleep(KILL_TIMEOUT_MS)]))) {
      this.guest.sys.log(`container ${this.id}: processes survive SIGKILL for ${KILL_TIMEOUT_MS / 1000} s`);
    }
    if ((this.spec.Hooks?.Poststop.length ?? 0) > 0) {
      const { sys, loop, options } = this.guest;
      await crun(sys, loop, options, ['delete', '--force', this.id]).catch((thrown) => sys.log(reasonOf(thrown)));
    }
    await this.stepBack();
    for (const process of processes) process.close();
  }

  private makeBundle(): void {
    const { sys } = this.guest;
    const source = checkPath(this.spec.Root?.Path ?? '', 'root path');
    const { rootfs } = this;
    mkdirs(sys, rootfs, BUNDLE_MODE);
    this.stepsBack.push(() => attempt(() => sys.unlink(`${this.bundle}/config.json`)));
    if (source !== rootfs) {
      sys.mount(source, rootfs, 'bind', MS_BIND | MS_REC, '');
      this.stepsBack.push(() => attempt(() => unmount(sys, rootfs)));
    }
    const selinux = exists(sys, `${this.guest.options.sysRoot}/fs/selinux/enforce`);
    const spec = { ...this.spec, Mounts: withDestinations(sys, rootfs, this.spec.Mounts) };
    if (spec.Process) spec.Process = { ...spec.Process, Env: withHome(this.guest, this, spec.Process, spec.Mounts) };
    const config = configOf(spec, { ...this.namespaces, rootfs, cgroupsPath: this.cgroupsPath, selinux });
    sys.writeFile(`${this.bundle}/config.json`, jsonText(config), 0o600);
  }

  private async createProcess(): Promise<void> {
    const { sys, loop, options } = this.guest;
    const { pid, stdio } = await crunProcess(sys, loop, options, this.spec.Process, (pidFile, extra) => [
      'create',
      '--bundle',
      this.bundle,
      '--pid-file',
      pidFile,
      ...extra,
      this.id,
    ]);
    this.init = new Process(sys, loop, this.initExecId, pid, stdio);
    this.init.beforeExit = () => this.oom?.settled();
    // Sharing the pod's pid namespace, the others would outlive it.
    if (this.namespaces.pid !== undefined) this.init.exited.then(() => this.killAll());
  }

  /** What `crun start` does, without its 0.2 s: one byte into the fifo on which the created process waits. */
  private releaseInit(): void {
    const { sys, options } = this.guest;
    const fifo = `${options.crunRoot}/${this.id}/exec.fifo`;
    let fd: number;
    try {
      fd = sys.open(fifo, O_WRONLY | O_NONBLOCK);
    } catch (thrown) {
      const gone = errnoOf(thrown) === 'ENXIO' ? 'its process has ended already' : reasonOf(thrown);
      throw new AgentError('internal', `starting container ${this.id}: ${gone}`);
    }
    try {
      sys.write(fd, new Uint8Array([0]));
    } finally {
      sys.close(fd);
    }
    // Its absence is how crun knows that the container runs.
    sys.unlink(fifo);
  }

  /** crun's state and the cgroup. */
  private async clearCrun(): Promise<void> {
    this.killAll();
    removeTree(this.guest.sys, `${this.guest.options.crunRoot}/${this.id}`);
    if (!(await this.cgroup.remove())) this.guest.sys.log(`container ${this.id}: its cgroup cannot be removed`);
  }

  /** Last of all. Never a tree: should a root file system still be mounted here, it must not be emptied. */
  private clearDirectories(): void {
    const { sys, options } = this.guest;
    attempt(() => sys.rmdir(`${this.bundle}/rootfs`));
    attempt(() => sys.rmdir(this.bundle));
    removeTree(sys, `${options.runDir}/overlay/${this.id}`);
  }

  private async stepBack(): Promise<void> {
    for (const step of this.stepsBack.splice(0).reverse()) {
      try {
        await step();
      } catch (thrown) {
        this.guest.sys.log(`container ${this.id}: ${reasonOf(thrown)}`);
      }
    }
  }
}
