/** The lives of a sandbox's containers: made, started, watched to their end, removed. */
import type { AgentClient } from '../agent/client.ts';
import { KataError } from '../error.ts';
import type { VcpuPinning } from '../resources/pinning.ts';
import type { SandboxShm } from '../storage/empty-dir.ts';
import { Container, type Exec } from './container.ts';
import { cpusetOf } from './cpuset.ts';
import { startExec } from './exec.ts';
import { createInGuest, type GuestContainerOptions, removeFromVm } from './guest-container.ts';
import { runPoststart, runPoststop, runStartHooks } from './hooks.ts';
import { Killer } from './kill.ts';
import { OomWatch } from './oom.ts';
import { PodFiles } from './pod-files.ts';
import { type GuestProcess, KILLED } from './process.ts';
import type { CreateOptions, SandboxOptions } from './sandbox-options.ts';
import type { ContainerSpec } from './spec.ts';
import { fetchTermination } from './termination.ts';
import type { Vm } from './vm.ts';

/** What of its sandbox a container's life touches. */
export interface Surroundings {
  readonly vm: Vm;
  readonly containers: Map<string, Container>;
  readonly pinning: VcpuPinning | undefined;
  readonly shm: SandboxShm | undefined;
  readonly ending: boolean;
  /** Ends the sandbox; see `Sandbox.stop`. */
  stop(reason: string): Promise<void>;
  /** Plugs what the namespace has, and tells the guest. */
  connectNetwork(agent: AgentClient): Promise<void>;
  /** Writes the state file; a failure is logged. */
  save(): void;
}

export class ContainerLives {
  readonly oom: OomWatch;
  readonly killer: Killer;
  private readonly podFiles: PodFiles | undefined;
  /** Of the pod's configuration: they hold for all its containers, once one has set them. */
  private sysctls: Readonly<Record<string, string>>;
  private readonly creations = new Set<Promise<unknown>>();

  constructor(
    private readonly options: SandboxOptions,
    private readonly sandbox: Surroundings,
  ) {
    const { identity, log, observer, spec } = options;
    this.oom = new OomWatch(
      (id) => sandbox.containers.has(id),
      (id) => observer.oom(id),
      options.oomGraceMs,
    );
    this.killer = new Killer(sandbox.vm, log, (reason) => sandbox.stop(reason));
    this.sysctls = spec.pod?.linux?.sysctls ?? {};
    this.podFiles = spec.pod && new PodFiles(`${identity.directory}/pod`, spec.pod);
  }

  /** Ends every process as killed, and waits for creations under way to fail or settle. Never rejects. */
  async end(): Promise<void> {
    const ends: Promise<void>[] = [];
    for (const container of this.sandbox.containers.values()) {
      for (const process of container.alive()) ends.push(process.end(KILLED));
    }
    await Promise.all([...ends, ...[...this.creations].map((creation) => creation.catch(() => {}))]);
  }

  /**
   * @throws KataError `already_exists`; `failed_precondition` when the sandbox is ending; else what fails, and then
   *   nothing of the container is left
   */
  async create(options: CreateOptions): Promise<Container> {
    const { id } = options;
    if (this.sandbox.ending) {
      throw new KataError(
        'failed_precondition',
        `sandbox ${this.options.identity.id} has ended; container ${id} needs another`,
      );
    }
    if (this.sandbox.containers.has(id)) {
      throw new KataError('already_exists', `container ${id} exists already; delete it first, or choose another id`);
    }
    const container = new Container({
      ...options,
      type: options.spec.view.containerType,
      annotations: options.spec.view.annotations,
      hooks: options.spec.view.hooks,
      namespace: this.options.identity.namespace,
      attended: this.options.attended,
      beforeExit: (ended, status) => this.beforeExit(ended, status),
    });
    // From here on a second Create of this id is refused.
    this.sandbox.containers.set(id, container);
    const creation = this.traced(container, 'create', () => this.createOrUndo(container, options.spec));
    this.creations.add(creation);
    const settled = (): void => void this.creations.delete(creation);
    creation.then(settled, settled);
    try {
      await creation;
    } catch (thrown) {
      if (container.ownsSandbox) await this.sandbox.stop('its container was not created');
      throw thrown;
    }
    this.options.timeline.mark('container_created');
    if (this.sandbox.pinning) await this.sandbox.pinning.set(id, cpusetOf(options.spec.encoded));
    this.observe(container, '', container.init);
    return container;
  }

  /**
   * Starts a container's init.
   * @param started runs before its end can be reported
   */
  async start(container: Container, started: () => void): Promise<void> {
    await this.traced(container, 'start', () => this.startInit(container, started));
    await runPoststart(container, this.sandbox.vm.hypervisor.pid, this.options.log);
  }

  /** @param started runs before its end can be reported */
  async startExec(container: Container, exec: Exec, started: () => void): Promise<void> {
    const { agent } = this.sandbox.vm;
    const observe = (): void => this.observe(container, exec.id, exec.process);
    await startExec(agent, exec, this.options.readsInFlight, observe, started);
  }

  /** Removes a container, killing it first if need be. A second call joins the first. */
  delete(container: Container): Promise<void> {
    container.deletion ??= this.deleteContainer(container).catch((thrown) => {
      container.deletion = undefined;
      throw thrown;
    });
    return container.deletion;
  }

  private async startInit(container: Container, started: () => void): Promise<void> {
    const { agent } = this.sandbox.vm;
    const begin = async (): Promise<void> => {
      this.options.timeline.mark('container_start');
      // What configures the network after Create has done so by now.
      if (container.ownsSandbox && this.sandbox.vm.networkComesLate) await this.sandbox.connectNetwork(agent);
      await agent.startContainer(container.id);
    };
    await container.init.start(agent, this.options.readsInFlight, begin, () => {
      this.options.timeline.mark('container_started');
      this.sandbox.save();
      started();
    });
  }

  private traced<T>(container: Container, step: 'create' | 'start', act: () => Promise<T>): Promise<T> {
    const { trace } = this.options;
    return trace ? trace.container(container.id, step, container.ownsSandbox, act) : act();
  }

  private async createOrUndo(container: Container, spec: ContainerSpec): Promise<void> {
    try {
      await container.init.openStreams();
      if (!container.ownsSandbox) await runStartHooks(container, this.sandbox.vm.hypervisor.pid);
      await createInGuest(this.guest(), container, spec, this.options.timeline);
      if (this.sandbox.ending) throw new KataError('unavailable', 'the virtual machine is gone');
      this.sysctls = {};
    } catch (thrown) {
      container.init.closeStreams();
      await removeFromVm(this.sandbox.vm, container, this.options.log);
      this.sandbox.containers.delete(container.id);
      throw thrown;
    }
  }

  /** Reports a process's end, from now on. */
  private observe(container: Container, execId: string, process: GuestProcess): void {
    void process.exited.then(() => {
      if (execId === '' && container.ownsSandbox) {
        this.options.timeline.mark('exit');
        this.options.log.info('timeline', this.options.timeline.fields());
      }
      this.options.observer.exited(container, execId, process);
      if (execId === '' && container.ownsSandbox) void this.sandbox.stop('its container has ended');
    });
    const agent = this.sandbox.vm.liveAgent;
    if (agent) void process.watch(agent);
    else void process.end(KILLED);
  }

  /** What has to be known before an end is told; one that looks like one for want of memory waits for word that it was. */
  private async beforeExit(container: Container, status: number): Promise<void> {
    const { terminationFile: file } = container;
    const agent = this.sandbox.vm.liveAgent;
    if (file !== undefined && agent) await fetchTermination(agent, container.id, file, this.options.log);
    if (status === KILLED && !container.killed && this.sandbox.vm.liveAgent) await this.oom.settled(container.id);
  }

  private async deleteContainer(container: Container): Promise<void> {
    if (container.state !== 'stopped') await this.killer.killForDelete(container);
    if (container.ownsSandbox) await this.sandbox.stop('its container is deleted');
    else await removeFromVm(this.sandbox.vm, container, this.options.log);
    container.init.closeStreams();
    this.sandbox.containers.delete(container.id);
    if (!container.ownsSandbox) await this.sandbox.pinning?.remove(container.id);
    this.oom.forget(container.id);
    await runPoststop(container, this.options.log);
  }

  private guest(): GuestContainerOptions {
    return {
      ...this.options,
      vm: this.sandbox.vm,
      shmBytes: this.sandbox.shm?.bytes ?? 0,
      podFiles: this.podFiles,
      sysctls: this.sysctls,
    };
  }
}
