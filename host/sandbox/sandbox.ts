/** A sandbox: one virtual machine, the containers in it, and their lives. What host/shim calls. */
import type { AgentClient } from '../agent/client.ts';
import { KataError, reasonOf } from '../error.ts';
import type { StatsContainerResponse } from '../proto/messages/agent.ts';
import type { VcpuPinning } from '../resources/pinning.ts';
import { type SandboxShm, sandboxShm } from '../storage/empty-dir.ts';
import { Container, type Exec } from './container.ts';
import { cpusetOf, resourcesCpuset } from './cpuset.ts';
import { startExec } from './exec.ts';
import { createInGuest, type GuestContainerOptions, removeFromVm } from './guest-container.ts';
import { tellGuest } from './guest-network.ts';
import { createGuestSandbox, settleGuest } from './guest-sandbox.ts';
import { runPoststart, runPoststop, runStartHooks } from './hooks.ts';
import type { Identity } from './identity.ts';
import { Killer } from './kill.ts';
import { pause, resume, stats, update } from './live-container.ts';
import type { Log } from './log.ts';
import { OomWatch } from './oom.ts';
import { PodFiles } from './pod-files.ts';
import { type Exit, type GuestProcess, KILLED } from './process.ts';
import type { CreateOptions, SandboxOptions } from './sandbox-options.ts';
import type { SandboxSpec } from './sandbox-spec.ts';
import type { ContainerSpec } from './spec.ts';
import { firstFailure } from './steps.ts';
import { fetchTermination } from './termination.ts';
import type { Timeline } from './timeline.ts';
import { Vm } from './vm.ts';

/** How long DestroySandbox may take where disks have to be written out, ms. */
export const DESTROY_TIMEOUT_MS = 10_000;

/** What of the virtual machine those may use who look on. */
export type Machine = Pick<Vm, 'agent' | 'liveAgent' | 'agentAddress' | 'dial' | 'hypervisor' | 'share' | 'state'>;
export type SandboxLife = 'booting' | 'running' | 'stopping' | 'stopped';

export class Sandbox {
  readonly identity: Identity;
  readonly containers = new Map<string, Container>();
  /** Settles (never rejects) when the virtual machine has ended and nothing of it is left on this machine. */
  readonly ended: Promise<Exit>;
  /** Set while and after the virtual machine ends. */
  exit: Exit | undefined;
  private readonly vm: Vm;
  private readonly pinning: VcpuPinning | undefined;
  private readonly log: Log;
  private readonly timeline: Timeline;
  private readonly oom: OomWatch;
  private readonly killer: Killer;
  private readonly podFiles: PodFiles | undefined;
  private readonly shm: SandboxShm | undefined;
  /** Of the pod's configuration: they hold for all its containers, once one has set them. */
  private sysctls: Readonly<Record<string, string>>;
  private readonly abort = new AbortController();
  private readonly creations = new Set<Promise<unknown>>();
  private stopping: Promise<void> | undefined;
  private booted = false;
  private settleEnd: (exit: Exit) => void = () => {};

  constructor(private readonly options: SandboxOptions) {
    const { identity, log, timeline, observer, spec } = options;
    this.identity = identity;
    this.log = log;
    this.timeline = timeline;
    this.vm = new Vm(options);
    this.pinning = options.parts.pinning?.(this.vm.hypervisor, log);
    this.oom = new OomWatch(
      (id) => this.containers.has(id),
      (id) => observer.oom(id),
      options.oomGraceMs,
    );
    this.killer = new Killer(this.vm, log, (reason) => this.stop(reason));
    this.shm = hasSharedMemory(spec) ? sandboxShm(spec.mounts) : undefined;
    this.sysctls = spec.pod?.linux?.sysctls ?? {};
    this.podFiles = spec.pod && new PodFiles(`${identity.directory}/pod`, spec.pod);
    this.ended = new Promise((resolve) => {
      this.settleEnd = resolve;
    });
  }

  /** Pid of the VMM: what containerd is told for every process. 0 before the VM starts. */
  get pid(): number {
    return this.vm.hypervisor.pid;
  }

  /** For those who look on. */
  get machine(): Machine {
    return this.vm;
  }

  get size(): { readonly vcpus: number; readonly memoryMib: number } {
    const { vcpus, memoryMib } = this.options.config;
    return { vcpus, memoryMib };
  }

  get state(): SandboxLife {
    if (this.exit) return 'stopped';
    if (this.stopping) return 'stopping';
    if (!this.booted) return 'booting';
    return this.vm.liveAgent ? 'running' : 'stopping';
  }

  /** Whether containers can be created. */
  get ready(): boolean {
    return this.stopping === undefined && this.vm.liveAgent !== undefined;
  }

  /**
   * Boots the virtual machine and its sandbox.
   * @throws KataError; everything is undone
   */
  async boot(): Promise<void> {
    const storages = await this.vm.boot(this.abort.signal).catch((thrown: unknown) => {
      this.options.trace?.started(thrown);
      throw thrown;
    });
    try {
      const { agent } = this.vm;
      const { spec, bundle, identity } = this.options;
      const { id } = identity;
      // Before anything that it might forbid.
      if (this.options.policy !== '') await agent.setPolicy(this.options.policy);
      const settled = this.settle(agent);
      await runStartHooks({ id, bundle, ...spec }, this.pid);
      const created = createGuestSandbox(agent, {
        ...this.options,
        id,
        storages: this.shm ? [...storages, this.shm.storage] : storages,
      });
      await firstFailure([settled, created, this.connectNetwork(agent)]);
      this.timeline.mark('sandbox_created');
      this.booted = true;
      void this.oom.watch(agent, () => this.vm.liveAgent !== undefined);
    } catch (thrown) {
      this.options.trace?.started(thrown);
      await this.stop('the sandbox was not created');
      throw thrown;
    }
    // Otherwise with the start of the container that it lives as long as.
    if (this.options.spec.pod) this.options.trace?.started();
    void this.vm.gone.then((reason) => this.stop(reason, KILLED));
  }

  /**
   * @throws KataError `already_exists`; `failed_precondition` when the sandbox is ending; else what fails, and then
   *   nothing of the container is left
   */
  async create(options: CreateOptions): Promise<Container> {
    const { id } = options;
    if (this.stopping) {
      throw new KataError(
        'failed_precondition',
        `sandbox ${this.identity.id} has ended; container ${id} needs another`,
      );
    }
    if (this.containers.has(id)) {
      throw new KataError('already_exists', `container ${id} exists already; delete it first, or choose another id`);
    }
    const container = new Container({
      ...options,
      type: options.spec.view.containerType,
      annotations: options.spec.view.annotations,
      hooks: options.spec.view.hooks,
      namespace: this.identity.namespace,
      attended: this.options.attended,
      beforeExit: (ended, status) => this.beforeExit(ended, status),
    });
    // From here on a second Create of this id is refused.
    this.containers.set(id, container);
    const creation = this.traced(container, 'create', () => this.createOrUndo(container, options.spec));
    this.creations.add(creation);
    const settled = (): void => void this.creations.delete(creation);
    creation.then(settled, settled);
    try {
      await creation;
    } catch (thrown) {
      if (container.ownsSandbox) await this.stop('its container was not created');
      throw thrown;
    }
    this.timeline.mark('container_created');
    if (this.pinning) await this.pinning.set(id, cpusetOf(options.spec.encoded));
    this.observe(container, '', container.init);
    return container;
  }

  /**
   * Starts a container's init.
   * @param started runs before its end can be reported
   */
  async start(container: Container, started: () => void): Promise<void> {
    await this.traced(container, 'start', () => this.startInit(container, started));
    await runPoststart(container, this.pid, this.log);
  }

  private async startInit(container: Container, started: () => void): Promise<void> {
    const { agent } = this.vm;
    const begin = async (): Promise<void> => {
      this.timeline.mark('container_start');
      // What configures the network after Create has done so by now.
      if (container.ownsSandbox && this.vm.networkComesLate) await this.connectNetwork(agent);
      await agent.startContainer(container.id);
    };
    await container.init.start(agent, this.options.readsInFlight, begin, () => {
      this.timeline.mark('container_started');
      this.save();
      started();
    });
  }

  private traced<T>(container: Container, step: 'create' | 'start', act: () => Promise<T>): Promise<T> {
    const { trace } = this.options;
    return trace ? trace.container(container.id, step, container.ownsSandbox, act) : act();
  }

  /** @param started runs before its end can be reported */
  async startExec(container: Container, exec: Exec, started: () => void): Promise<void> {
    const { agent } = this.vm;
    const observe = (): void => this.observe(container, exec.id, exec.process);
    await startExec(agent, exec, this.options.readsInFlight, observe, started);
  }

  /** See `Killer.kill`. */
  kill(container: Container, execId: string, signal: number): Promise<void> {
    return this.killer.kill(container, execId, signal);
  }

  pause(container: Container): Promise<void> {
    return pause(this.vm, container);
  }

  resume(container: Container): Promise<void> {
    return resume(this.vm, container);
  }

  /**
   * @param resources an encoded `grpc.LinuxResources`, as the guest is told
   * @param asked the same as containerd has it, with CPUs of the host
   */
  async update(container: Container, resources: Uint8Array, asked: Uint8Array): Promise<void> {
    await update(this.vm, container, resources);
    const cpuset = this.pinning && resourcesCpuset(asked);
    if (cpuset) await this.pinning?.set(container.id, cpuset);
  }

  /** See ./live-container.ts. */
  stats(container: Container): Promise<StatsContainerResponse> {
    return stats(this.vm, container);
  }

  resize(container: Container, execId: string, rows: number, columns: number): Promise<void> {
    return container.process(execId).resize(this.vm.liveAgent, rows, columns);
  }

  /** Removes a container, killing it first if need be. A second call joins the first. */
  delete(container: Container): Promise<void> {
    container.deletion ??= this.deleteContainer(container).catch((thrown) => {
      container.deletion = undefined;
      throw thrown;
    });
    return container.deletion;
  }

  /**
   * Ends the virtual machine, and every process in it as killed. Idempotent: later calls join the first.
   * Resolves when nothing of the sandbox is left on this machine.
   * @param status of the sandbox: KILLED when nobody asked for its end
   */
  stop(reason: string, status = 0): Promise<void> {
    this.stopping ??= this.takeDown(reason, status);
    return this.stopping;
  }

  private async takeDown(reason: string, status: number): Promise<void> {
    this.abort.abort();
    this.log.info('sandbox ends', { reason });
    await this.writeOut();
    const stopped = this.vm.stop(reason);
    const ends: Promise<void>[] = [];
    for (const container of this.containers.values()) {
      for (const process of container.alive()) ends.push(process.end(KILLED));
    }
    await Promise.all([stopped, ...ends, ...[...this.creations].map((creation) => creation.catch(() => {}))]);
    this.exit = { status, at: new Date() };
    this.settleEnd(this.exit);
  }

  /** A guest with disks of its own has to write them out; a shared file system is the host's already. */
  private async writeOut(): Promise<void> {
    const agent = this.vm.liveAgent;
    if (!agent || ![...this.containers.values()].some((container) => container.hasDisks)) return;
    await agent.destroySandbox(DESTROY_TIMEOUT_MS).catch((thrown) => {
      this.log.warn('the guest did not end its sandbox', { error: reasonOf(thrown) });
    });
  }

  private async createOrUndo(container: Container, spec: ContainerSpec): Promise<void> {
    try {
      await container.init.openStreams();
      if (!container.ownsSandbox) await runStartHooks(container, this.pid);
      await createInGuest(this.guest(), container, spec, this.timeline);
      if (this.stopping) throw new KataError('unavailable', 'the virtual machine is gone');
      this.sysctls = {};
    } catch (thrown) {
      container.init.closeStreams();
      await removeFromVm(this.vm, container, this.log);
      this.containers.delete(container.id);
      throw thrown;
    }
  }

  /** Reports a process's end, from now on. */
  private observe(container: Container, execId: string, process: GuestProcess): void {
    void process.exited.then(() => {
      if (execId === '' && container.ownsSandbox) {
        this.timeline.mark('exit');
        this.log.info('timeline', this.timeline.fields());
      }
      this.options.observer.exited(container, execId, process);
      if (execId === '' && container.ownsSandbox) void this.stop('its container has ended');
    });
    const agent = this.vm.liveAgent;
    if (agent) void process.watch(agent);
    else void process.end(KILLED);
  }

  /** What has to be known before an end is told; one that looks like one for want of memory waits for word that it was. */
  private async beforeExit(container: Container, status: number): Promise<void> {
    const { terminationFile: file } = container;
    const agent = this.vm.liveAgent;
    if (file !== undefined && agent) await fetchTermination(agent, container.id, file, this.log);
    if (status === KILLED && !container.killed && this.vm.liveAgent) await this.oom.settled(container.id);
  }

  private async deleteContainer(container: Container): Promise<void> {
    if (container.state !== 'stopped') await this.killer.killForDelete(container);
    if (container.ownsSandbox) await this.stop('its container is deleted');
    else await removeFromVm(this.vm, container, this.log);
    container.init.closeStreams();
    this.containers.delete(container.id);
    if (!container.ownsSandbox) await this.pinning?.remove(container.id);
    this.oom.forget(container.id);
    await runPoststop(container, this.log);
  }

  /** A machine elsewhere has a clock and entropy of its own, and need not be in this one's hands. */
  private async settle(agent: AgentClient): Promise<void> {
    if (this.vm.hypervisor.kind === 'qemu') await settleGuest(agent, this.log);
    this.timeline.mark('guest_settled');
  }

  /** Plugs what the namespace has, and tells the guest. */
  private async connectNetwork(agent: AgentClient): Promise<void> {
    const { network, networkComesLate } = this.vm;
    if (networkComesLate) await network?.prepare();
    const found = await network?.attach();
    if (networkComesLate) this.save();
    if (found) await tellGuest(agent, found, this.options.inOrder);
    this.timeline.mark('network_told');
  }

  private guest(): GuestContainerOptions {
    return {
      ...this.options,
      vm: this.vm,
      shmBytes: this.shm?.bytes ?? 0,
      podFiles: this.podFiles,
      sysctls: this.sysctls,
    };
  }

  /** The state file helps whoever looks, and `delete`; a full disk must not end a running container. */
  private save(): void {
    try {
      this.vm.save();
    } catch (thrown) {
      this.log.warn('cannot write the state file', { error: reasonOf(thrown) });
    }
  }
}

/** A container by itself has its own /dev/shm; a pod's containers share one. */
function hasSharedMemory({ sizing, mounts }: SandboxSpec): boolean {
  const shared = mounts.some(({ destination, type }) => destination === '/dev/shm' && type === 'bind');
  return shared || sizing.containerType === 'pod_sandbox';
}
