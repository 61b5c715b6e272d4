/** A sandbox: one virtual machine, the containers in it, and their lives. What host/shim calls. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { AgentClient } from '../agent/client.ts';
import { KataError, reasonOf } from '../error.ts';
import { rewriteSpec } from '../oci/rewrite.ts';
import { decode } from '../proto/codec.ts';
import type { StatsContainerResponse } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import { LinuxResources, Process } from '../proto/messages/oci.ts';
import { Container, type Exec } from './container.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import { type GuestProcess, KILLED, type StreamPaths, UNKNOWN_STATUS } from './process.ts';
import type { ContainerSpec } from './spec.ts';
import type { Timeline } from './timeline.ts';
import { Vm, type VmOptions } from './vm.ts';

/** SIGKILL, and SIGTERM, which ends what never ran as well. */
const SIGKILL = 9;
const SIGTERM = 15;
/** Highest signal number of Linux. */
export const MAX_SIGNAL = 64;
/** How long a container may outlive a SIGKILL the guest has taken, ms; then its virtual machine is ended. */
export const KILL_ESCALATE_MS = 30_000;
/** How long Delete waits for a container it has to kill first, ms. */
export const DELETE_WAIT_MS = 20_000;
/** How long DestroySandbox may take where disks have to be written out, ms. */
export const DESTROY_TIMEOUT_MS = 10_000;
/** Wait before a failed GetOOMEvent is repeated, ms. */
const OOM_RETRY_MS = 1000;
/** Small files that containerd and dockerd mount into every container; a container runs without them. */
const POD_FILES = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log'];
/** Bytes of entropy the guest is given: two seeds of its generator. */
const SEED_BYTES = 64;

/** Told what happens by itself. */
export interface Observer {
  /** A process has ended, after its output was written and its start was reported. */
  exited(container: Container, execId: string, process: GuestProcess): void;
  oom(containerId: string): void;
}

export interface SandboxOptions extends VmOptions {
  readonly observer: Observer;
  readonly createContainerTimeoutMs: number;
  readonly disableGuestSeccomp: boolean;
  readonly guestHookPath: string;
  readonly kernelModules: readonly string[];
  /** Reads of one stream in flight: more than one only where the agent keeps their order. */
  readonly readsInFlight: number;
}

/** What Create brings. */
export interface CreateOptions {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: readonly Mount[];
  readonly streams: StreamPaths;
  readonly spec: ContainerSpec;
}

export class Sandbox {
  readonly identity: Identity;
  readonly containers = new Map<string, Container>();
  private readonly vm: Vm;
  private readonly log: Log;
  private readonly timeline: Timeline;
  private readonly abort = new AbortController();
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: SandboxOptions) {
    this.identity = options.identity;
    this.log = options.log;
    this.timeline = options.timeline;
    this.vm = new Vm(options);
  }

  /** Pid of the VMM: what containerd is told for every process. 0 before the VM starts. */
  get pid(): number {
    return this.vm.hypervisor.pid;
  }

  /**
   * Boots the virtual machine and its sandbox.
   * @param spec of the container that owns the sandbox
   * @throws KataError; everything is undone
   */
  async boot(spec: ContainerSpec): Promise<void> {
    const storages = await this.vm.boot(this.abort.signal);
    try {
      const { agent } = this.vm;
      await this.settleGuest(agent);
      await agent.createSandbox({
        hostname: spec.hostname,
        dns: spec.dns,
        storages,
        sandbox_pidns: false,
        sandbox_id: this.identity.id,
        guest_hook_path: this.options.guestHookPath,
        kernel_modules: this.options.kernelModules.map((line) => {
          const [name = '', ...parameters] = line.split(/\s+/);
          return { name, parameters };
        }),
      });
      this.timeline.mark('sandbox_created');
      void this.watchOom(agent);
    } catch (thrown) {
      await this.stop('the sandbox was not created');
      throw thrown;
    }
    void this.vm.gone.then((reason) => this.stop(reason));
  }

  /** @throws KataError `already_exists`; else what fails, and then nothing of the container is left */
  async create(options: CreateOptions): Promise<Container> {
    const { id } = options;
    if (this.containers.has(id)) {
      throw new KataError('already_exists', `container ${id} exists already; delete it first, or choose another id`);
    }
    const container = new Container({
      ...options,
      type: options.spec.view.containerType,
      namespace: this.identity.namespace,
    });
    // From here on a second Create of this id is refused.
    this.containers.set(id, container);
    try {
      await container.init.openStreams();
      await this.createInGuest(container, options.spec);
    } catch (thrown) {
      container.init.closeStreams();
      await this.removeFromVm(container);
      this.containers.delete(id);
      if (container.ownsSandbox) await this.stop('its container was not created');
      throw thrown;
    }
    this.timeline.mark('container_created');
    this.observe(container, '', container.init);
    return container;
  }

  /**
   * Starts a container's init.
   * @param started runs before its end can be reported
   */
  async start(container: Container, started: () => void): Promise<void> {
    const { agent } = this.vm;
    const begin = (): Promise<void> => agent.startContainer(container.id);
    await container.init.start(agent, this.options.readsInFlight, begin, () => {
      this.timeline.mark('container_started');
      this.save();
      started();
    });
  }

  /** @param spec an encoded `grpc.Process`; nothing runs before `startExec` */
  addExec(container: Container, id: string, spec: Uint8Array, streams: StreamPaths): Exec {
    return container.addExec(id, randomUUID(), spec, streams);
  }

  /** @param started runs before its end can be reported */
  async startExec(container: Container, exec: Exec, started: () => void): Promise<void> {
    const { agent } = this.vm;
    const { process } = exec;
    const begin = async (): Promise<void> => {
      await process.openStreams();
      await agent.execProcess({ ...process.ref, process: decode(Process, exec.spec) });
      this.observe(container, exec.id, process);
    };
    try {
      await process.start(agent, this.options.readsInFlight, begin, started);
    } catch (thrown) {
      // Whoever waits for it must not wait for ever; no event, since it never began.
      if (process.state === 'created') void process.end(UNKNOWN_STATUS);
      throw thrown;
    }
  }

  /**
   * Sends a signal.
   * @param execId empty: the container; SIGKILL then reaches every process in it
   * @throws KataError `not_found` for a process that has ended or an exec that was never started
   */
  async kill(container: Container, execId: string, signal: number): Promise<void> {
    if (!Number.isInteger(signal) || signal < 0 || signal > MAX_SIGNAL) {
      throw new KataError('invalid_argument', `${signal} is no signal; use 1 to ${MAX_SIGNAL}`);
    }
    const process = container.process(execId);
    if (process.state === 'stopped') throw new KataError('not_found', 'process already finished');
    if (execId !== '' && process.state === 'created') {
      throw new KataError(
        'not_found',
        `exec ${execId} of container ${container.id} does not exist in the guest: it was not started`,
      );
    }
    const target = execId === '' ? { container_id: container.id, exec_id: '' } : process.ref;
    // What was created but never ran has no handler for SIGTERM, and as init it would ignore it.
    const sent = process.state === 'created' && signal === SIGTERM ? SIGKILL : signal;
    try {
      await this.vm.agent.signal(target, sent);
    } catch (thrown) {
      if (isGone(thrown)) throw new KataError('not_found', 'process already finished', { cause: thrown });
      if (!(sent === SIGKILL && container.ownsSandbox && execId === '')) throw thrown;
      this.log.warn('the guest does not take SIGKILL: ending its virtual machine', { error: reasonOf(thrown) });
      void this.stop('its container could not be killed');
      return;
    }
    if (sent === SIGKILL && container.ownsSandbox && execId === '') this.escalate(process);
  }

  async pause(container: Container): Promise<void> {
    if (container.state !== 'running') throw notRunning(container, 'paused');
    await this.vm.agent.pause(container.id);
    container.paused = true;
  }

  async resume(container: Container): Promise<void> {
    if (container.state !== 'paused') {
      throw new KataError('failed_precondition', `container ${container.id} is ${container.state}, not paused`);
    }
    await this.vm.agent.resume(container.id);
    container.paused = false;
  }

  /** @param resources an encoded `grpc.LinuxResources` */
  async update(container: Container, resources: Uint8Array): Promise<void> {
    if (container.state === 'stopped') throw notRunning(container, 'updated');
    await this.vm.agent.updateContainer(container.id, decode(LinuxResources, resources));
  }

  stats(container: Container): Promise<StatsContainerResponse> {
    if (container.state === 'stopped') throw notRunning(container, 'measured');
    return this.vm.agent.stats(container.id);
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
   * Removes an exec.
   * @throws KataError `failed_precondition` while it runs
   */
  async deleteExec(container: Container, execId: string): Promise<GuestProcess> {
    const process = container.process(execId);
    if (process.state === 'running') {
      throw new KataError(
        'failed_precondition',
        `exec ${execId} of container ${container.id} is running; kill it first`,
      );
    }
    if (process.state === 'created') await process.end(UNKNOWN_STATUS);
    process.closeStreams();
    container.execs.delete(execId);
    return process;
  }

  /**
   * Ends the virtual machine, and every process in it as killed. Idempotent: later calls join the first.
   * Resolves when nothing of the sandbox is left on this machine.
   */
  stop(reason: string): Promise<void> {
    this.stopping ??= this.takeDown(reason);
    return this.stopping;
  }

  private async takeDown(reason: string): Promise<void> {
    this.abort.abort();
    this.log.info('sandbox ends', { reason });
    await this.writeOut();
    const stopped = this.vm.stop(reason);
    const ends: Promise<void>[] = [];
    for (const container of this.containers.values()) {
      for (const process of container.alive()) ends.push(process.end(KILLED));
    }
    await Promise.all([stopped, ...ends]);
  }

  /** A guest with disks of its own has to write them out; a shared file system is the host's already. */
  private async writeOut(): Promise<void> {
    const agent = this.vm.liveAgent;
    if (!agent || ![...this.containers.values()].some((container) => container.hasDisks)) return;
    await agent.destroySandbox(DESTROY_TIMEOUT_MS).catch((thrown) => {
      this.log.warn('the guest did not end its sandbox', { error: reasonOf(thrown) });
    });
  }

  private async createInGuest(container: Container, spec: ContainerSpec): Promise<void> {
    const { id, bundle } = container;
    const rootfs = await this.vm.share.addRootfs(id, container.rootfs, spec.rootPath);
    container.hasRootfs = true;
    container.hasDisks = rootfs.storages.length > 0;
    const guest = rewriteSpec(spec.encoded, spec.view, {
      rootPath: rootfs.path,
      bundle,
      disableGuestSeccomp: this.options.disableGuestSeccomp,
      shmBytes: 0,
      mountSource: (mount) => guestSource(mount, id),
    });
    for (const line of guest.omitted) this.log.warn('left out of the container', { container: id, what: line });
    container.inGuest = true;
    await this.vm.agent.createContainer(
      {
        container_id: id,
        exec_id: id,
        storages: rootfs.storages,
        OCI: guest.spec,
        sandbox_pidns: guest.sandboxPidns,
      },
      this.options.createContainerTimeoutMs,
    );
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

  private async deleteContainer(container: Container): Promise<void> {
    if (container.state !== 'stopped') await this.killForDelete(container);
    if (container.ownsSandbox) await this.stop('its container is deleted');
    else await this.removeFromVm(container);
    container.init.closeStreams();
    this.containers.delete(container.id);
  }

  private async killForDelete(container: Container): Promise<void> {
    await this.kill(container, '', SIGKILL).catch((thrown) => {
      this.log.warn('cannot kill a container to delete it', { container: container.id, error: reasonOf(thrown) });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), DELETE_WAIT_MS);
    });
    const first = await Promise.race([container.init.exited, late]);
    clearTimeout(timer);
    if (first !== 'late') return;
    if (container.ownsSandbox) {
      await this.stop('its container could not be killed');
      return;
    }
    throw new KataError(
      'deadline_exceeded',
      `container ${container.id} did not end within ${DELETE_WAIT_MS / 1000} s of SIGKILL; delete it again, or stop its pod`,
    );
  }

  /** Undoes `createInGuest`, however far it came. */
  private async removeFromVm(container: Container): Promise<void> {
    const agent = this.vm.liveAgent;
    if (container.inGuest && agent && !container.ownsSandbox) {
      await agent.removeContainer(container.id).catch((thrown) => {
        if (!isGone(thrown)) this.log.warn('the guest did not remove a container', { error: reasonOf(thrown) });
      });
    }
    if (container.hasRootfs) await this.vm.share.removeRootfs(container.id);
  }

  /** The guest has taken a SIGKILL; should the container not end by it, the guest is not to be trusted. */
  private escalate(process: GuestProcess): void {
    const timer = setTimeout(() => void this.stop('its container outlived SIGKILL'), KILL_ESCALATE_MS);
    timer.unref();
    void process.exited.then(() => clearTimeout(timer));
  }

  /** Clock and entropy, which a guest just started (or restored) may lack. */
  private async settleGuest(agent: AgentClient): Promise<void> {
    const steps = [agent.setDateTime(Date.now()), agent.reseedRandom(randomBytes(SEED_BYTES))];
    for (const result of await Promise.allSettled(steps)) {
      if (result.status === 'rejected') {
        this.log.warn('the guest did not take its clock or entropy', { error: reasonOf(result.reason) });
      }
    }
  }

  private async watchOom(agent: AgentClient): Promise<void> {
    while (this.vm.liveAgent) {
      try {
        const id = await agent.oomEvent();
        if (this.containers.has(id)) this.options.observer.oom(id);
      } catch (thrown) {
        if (thrown instanceof KataError && (thrown.code === 'unimplemented' || thrown.code === 'unavailable')) return;
        await new Promise<void>((resolve) => {
          setTimeout(resolve, OOM_RETRY_MS).unref();
        });
      }
    }
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

/**
 * Where the guest finds a host file: nowhere yet. What every pod gets can be left out; a volume cannot.
 * @throws KataError `unimplemented`
 */
function guestSource({ source, destination }: { source: string; destination: string }, id: string): 'drop' {
  if (POD_FILES.includes(destination)) return 'drop';
  throw new KataError(
    'unimplemented',
    `container ${id}: ${source} cannot be mounted at ${destination}: files of the host are not shared with the guest; leave the mount out`,
  );
}

/** What agents say of a process or container they no longer have. */
function isGone(thrown: unknown): boolean {
  if (!(thrown instanceof KataError)) return false;
  return thrown.code === 'not_found' || thrown.code === 'unavailable' || thrown.message.includes('ESRCH');
}

function notRunning(container: Container, what: string): KataError {
  return new KataError('failed_precondition', `container ${container.id} is ${container.state} and cannot be ${what}`);
}
