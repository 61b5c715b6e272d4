/** A sandbox: one virtual machine, the containers in it, and their lives. What host/shim calls. */
import type { AgentClient } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { StatsContainerResponse } from '../proto/messages/agent.ts';
import type { VcpuPinning } from '../resources/pinning.ts';
import { type SandboxShm, sandboxShm } from '../storage/empty-dir.ts';
import type { Container, Exec } from './container.ts';
import { ContainerLives, type Surroundings } from './container-lives.ts';
import { resourcesCpuset } from './cpuset.ts';
import { tellGuest } from './guest-network.ts';
import { createGuestSandbox, settleGuest, writeOut } from './guest-sandbox.ts';
import { runStartHooks } from './hooks.ts';
import type { Identity } from './identity.ts';
import { pause, resume, stats, update } from './live-container.ts';
import type { Log } from './log.ts';
import { type Exit, KILLED } from './process.ts';
import type { CreateOptions, SandboxOptions } from './sandbox-options.ts';
import { hasSharedMemory } from './sandbox-spec.ts';
import { firstFailure } from './steps.ts';
import type { Timeline } from './timeline.ts';
import { Vm } from './vm.ts';

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
  private readonly lives: ContainerLives;
  private readonly shm: SandboxShm | undefined;
  private readonly abort = new AbortController();
  private stopping: Promise<void> | undefined;
  private booted = false;
  private settleEnd: (exit: Exit) => void = () => {};

  constructor(private readonly options: SandboxOptions) {
    const { identity, log, timeline, spec } = options;
    this.identity = identity;
    this.log = log;
    this.timeline = timeline;
    this.vm = new Vm(options);
    this.pinning = options.parts.pinning?.(this.vm.hypervisor, log);
    this.shm = hasSharedMemory(spec) ? sandboxShm(spec.mounts) : undefined;
    this.lives = new ContainerLives(options, this.surroundings());
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
      const settled = settleGuest(agent, this.vm.hypervisor, this.log).then(() => this.timeline.mark('guest_settled'));
      await runStartHooks({ id, bundle, ...spec }, this.pid);
      const created = createGuestSandbox(agent, {
        ...this.options,
        id,
        storages: this.shm ? [...storages, this.shm.storage] : storages,
      });
      await firstFailure([settled, created, this.connectNetwork(agent)]);
      this.timeline.mark('sandbox_created');
      this.booted = true;
      void this.lives.oom.watch(agent, () => this.vm.liveAgent !== undefined);
    } catch (thrown) {
      this.options.trace?.started(thrown);
      await this.stop('the sandbox was not created');
      throw thrown;
    }
    // Otherwise with the start of the container that it lives as long as.
    if (this.options.spec.pod) this.options.trace?.started();
    void this.vm.gone.then((reason) => this.stop(reason, KILLED));
  }

  /** See `ContainerLives.create`. */
  create(options: CreateOptions): Promise<Container> {
    return this.lives.create(options);
  }

  /** See `ContainerLives.start`. */
  start(container: Container, started: () => void): Promise<void> {
    return this.lives.start(container, started);
  }

  /** See `ContainerLives.startExec`. */
  startExec(container: Container, exec: Exec, started: () => void): Promise<void> {
    return this.lives.startExec(container, exec, started);
  }

  /** Removes a container, killing it first if need be. A second call joins the first. */
  delete(container: Container): Promise<void> {
    return this.lives.delete(container);
  }

  /** See `Killer.kill`. */
  kill(container: Container, execId: string, signal: number): Promise<void> {
    return this.lives.killer.kill(container, execId, signal);
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
    await writeOut(this.vm.liveAgent, this.containers.values(), this.log);
    const stopped = this.vm.stop(reason);
    await Promise.all([stopped, this.lives.end()]);
    this.exit = { status, at: new Date() };
    this.settleEnd(this.exit);
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

  private surroundings(): Surroundings {
    const { vm, containers, pinning, shm } = this;
    const ending = (): boolean => this.stopping !== undefined;
    return {
      vm,
      containers,
      pinning,
      shm,
      get ending() {
        return ending();
      },
      stop: (reason) => this.stop(reason),
      connectNetwork: (agent) => this.connectNetwork(agent),
      save: () => this.save(),
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
