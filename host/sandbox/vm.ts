/** A virtual machine with its agent: booted, watched, and taken down with everything it was given. */
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { AgentClient } from '../agent/client.ts';
import type { AgentTransport, DeviceArguments } from '../agent/transport.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Hypervisor, VmConfig } from '../hypervisor/hypervisor.ts';
import type { PodNamespace } from '../network/namespace.ts';
import type { Network } from '../network/network.ts';
import type { Init } from '../proto/codec.ts';
import type { Storage } from '../proto/messages/agent.ts';
import type { HostCgroup } from '../resources/host-cgroup.ts';
import { bootFailure, firstCheck } from './boot-failure.ts';
import { cleanUp, removeDirectory } from './cleanup.ts';
import { GuestWatch } from './guest-watch.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import type { Expected, Parts, Share } from './parts.ts';
import type { SandboxSpec } from './sandbox-spec.ts';
import { type SandboxDescription, type SandboxState, writeState } from './state-file.ts';
import { aborted, firstFailure } from './steps.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';
import { Undo } from './undo.ts';
import { stateOf } from './vm-state.ts';

/** By which people look in. It lies in the sandbox's directory. */
export interface Door {
  open(): void;
  /** Idempotent. */
  close(): void;
}

export interface VmOptions {
  readonly identity: Identity;
  readonly bundle: string;
  /** Path of the shim's socket. */
  readonly socket: string;
  readonly config: VmConfig;
  readonly spec: SandboxSpec;
  readonly expected: Expected;
  /** How long the guest may take from QEMU's start until its agent answers, ms. */
  readonly bootTimeoutMs: number;
  /** How long it may take to answer whether it lives, ms: a guest under TCG on a busy machine is slow, not dead. */
  readonly healthTimeoutMs: number;
  readonly parts: Parts;
  readonly log: Log;
  readonly timeline: Timeline;
  /** For the state file. */
  readonly description: SandboxDescription;
  /** Absent: nobody follows the start. */
  readonly trace?: Trace | undefined;
  /** Opened as soon as the VMM runs. Absent: nobody can look in. */
  readonly door?: Door | undefined;
}

export class Vm {
  readonly hypervisor: Hypervisor;
  readonly share: Share;
  /** undefined before `boot`. */
  network: Network | undefined;
  /** undefined before `boot`, and where the sandbox stays in the cgroup it was started in. */
  cgroup: HostCgroup | undefined;
  private readonly transport: AgentTransport;
  private readonly namespace: PodNamespace;
  private readonly undo = new Undo();
  private connected: AgentClient | undefined;
  private stopping: Promise<void> | undefined;
  private watch: GuestWatch | undefined;
  /** Settles (never rejects) with the reason when the VM or its agent is gone, `stop` included. */
  readonly gone: Promise<string>;
  private lose: (reason: string) => void = () => {};
  private lost = false;

  constructor(private readonly options: VmOptions) {
    const { parts, identity, spec, log } = options;
    this.namespace = parts.namespace(spec.namespaces, identity.directory);
    const config = { ...options.config, networkNamespace: this.namespace.path };
    this.hypervisor = parts.hypervisor(config, log);
    this.transport = parts.transport(config, log, this.hypervisor);
    const agent = (): AgentClient => this.agent;
    this.share = parts.share({ ...identity, hypervisor: this.hypervisor, expected: options.expected, agent }, log);
    this.gone = new Promise((resolve) => {
      this.lose = (reason) => {
        this.lost = true;
        resolve(reason);
      };
    });
    // Whoever touches a file then waits in the guest's kernel for ever, its agent too: nothing in there can be told to end.
    void this.share.daemonExited?.then(() => this.lose('virtiofsd has ended, and with it the files of the containers'));
  }

  /** Whether the network is configured only once the VMM runs: by hooks, or by dockerd. */
  get networkComesLate(): boolean {
    return this.namespace.own;
  }

  /** @throws KataError `unavailable` when the VM is gone */
  get agent(): AgentClient {
    if (!this.connected || this.lost) throw new KataError('unavailable', 'the virtual machine is gone');
    return this.connected;
  }

  /**
   * Connects to a port of the guest.
   * @throws KataError `unavailable`; `unimplemented` where the channel has no ports
   */
  dial(port: number, signal: AbortSignal): Promise<Socket> {
    if (this.transport.dial) return this.transport.dial(port, signal);
    throw new KataError('unimplemented', `the guest is reached by ${this.transport.address}, which has no ports`);
  }

  /** undefined when the VM is gone. */
  get liveAgent(): AgentClient | undefined {
    return this.lost ? undefined : this.connected;
  }

  /**
   * Boots the VM and prepares its share beside that, until the agent answers.
   * @param signal ends the attempt
   * @returns storages that CreateSandbox mounts
   * @throws KataError with the last lines of the guest's console; everything is undone
   */
  async boot(signal: AbortSignal): Promise<readonly Init<Storage>[]> {
    try {
      return await this.bootOrThrow(signal);
    } catch (thrown) {
      const failure = await bootFailure(this.hypervisor, thrown);
      await this.stop('the virtual machine did not start');
      throw failure;
    }
  }

  /** Loopback addresses of the pod's namespace are the guest's. A namespace of our own nobody looks for. */
  private forwardPorts(): void {
    const { parts, log } = this.options;
    const { path, own } = this.namespace;
    if (own || path === '') return;
    const forwarder = parts.forwarder({ namespace: path, agent: () => this.liveAgent, log });
    this.undo.add('port forwarding', () => forwarder.close());
    forwarder.start();
  }

  /** Ends the VM and removes what it had. Idempotent; later calls join the first. */
  stop(reason: string): Promise<void> {
    this.stopping ??= this.takeDown(reason);
    return this.stopping;
  }

  /** Writes the state file anew. */
  save(): void {
    writeState(this.options.identity.directory, this.state);
  }

  /** What the state file says. */
  get state(): SandboxState {
    const { hypervisor, share, transport, network, cgroup } = this;
    return stateOf(this.options, { hypervisor, share, transport, network, cgroup });
  }

  /** How the agent is reached, as users of Kata know it. */
  get agentAddress(): string {
    return this.transport.address;
  }

  private async bootOrThrow(signal: AbortSignal): Promise<readonly Init<Storage>[]> {
    const { log, identity, socket, parts } = this.options;
    // A sandbox of this name whose shim and cleanup both failed must not be in the way for ever.
    await cleanUp(identity.directory, log, socket);
    this.undo.add('directory', () => removeDirectory(identity.directory, log));
    mkdirSync(identity.directory, { recursive: true, mode: 0o700 });
    const cgroup = await parts.cgroup(this.options, log);
    this.cgroup = cgroup;
    if (cgroup) this.undo.add('cgroup', () => cgroup.remove());
    this.undo.add('share', () => this.share.close());
    this.makeNetwork();
    this.save();
    this.undo.add('transport', () => this.transport.close());
    const devices = this.transport.prepare();
    await firstFailure([devices, this.enterCgroup(), this.prepareNetwork()]);
    this.undo.add('hypervisor', () => this.hypervisor.stop());
    await this.bootGuest(await devices, signal);
    return await this.share.attach();
  }

  /** A namespace of our own is made here: the VMM starts in it. */
  private makeNetwork(): void {
    const { parts, log, identity } = this.options;
    const network = parts.network(this.namespace, this.hypervisor, log, identity.id);
    this.network = network;
    this.undo.add('network', () => network.close());
  }

  /** It is closed before the directory goes, in which its socket lies. */
  private openDoor(): void {
    const { door } = this.options;
    if (!door) return;
    this.undo.add('management', () => door.close());
    door.open();
  }

  /** What is spawned from now on is born in the pod's cgroup. */
  private async enterCgroup(): Promise<void> {
    await this.cgroup?.enter();
    this.options.timeline.mark('cgroup');
  }

  /** A namespace of our own is empty still: it is configured once there is a process in it. */
  private async prepareNetwork(): Promise<void> {
    if (this.namespace.own) return;
    await this.network?.prepare();
    this.save();
    this.options.timeline.mark('network_prepared');
  }

  private async prepareShare(): Promise<void> {
    await this.share.prepare();
    this.save();
    this.options.timeline.mark('share_prepared');
  }

  /** Once everything is there to be plugged. */
  private async plug(): Promise<void> {
    const { timeline } = this.options;
    const share = this.share.attach().then(() => timeline.mark('share_attached'));
    const network = this.attachNetwork();
    await firstFailure([share, network]);
  }

  private async attachNetwork(): Promise<void> {
    if (this.namespace.own) return;
    await this.network?.attach();
    this.options.timeline.mark('network_attached');
  }

  /** Until the guest's first instruction. */
  private async startVmm(devices: DeviceArguments, signal: AbortSignal): Promise<void> {
    const { timeline } = this.options;
    let preparing: Promise<void> | undefined;
    const prepareShare = (): Promise<void> => {
      preparing ??= this.prepareShare();
      return preparing;
    };
    timeline.mark('vm_start');
    const started = this.hypervisor.start(
      devices,
      () => {
        this.save();
        // Beside the VMM's start, which waits for it.
        prepareShare().catch(() => {});
        this.openDoor();
      },
      async () => {
        timeline.mark('vm_ready');
        await prepareShare();
        timeline.mark('devices_prepared');
        await firstFailure([this.plug(), Promise.resolve(this.cgroup?.placeVmm(this.hypervisor.pid))]);
      },
    );
    await Promise.race([started, aborted(signal)]);
    timeline.mark('guest_start');
  }

  private async bootGuest(devices: DeviceArguments, signal: AbortSignal): Promise<void> {
    const { log, timeline, parts, bootTimeoutMs } = this.options;
    const deadline = performance.now() + bootTimeoutMs;
    await this.startVmm(devices, signal);
    // Its transactions take the kernel ten milliseconds: none of anybody's while the guest boots.
    this.forwardPorts();
    this.save();
    void this.hypervisor.exited.then(() => this.lose('the virtual machine monitor has ended'));
    log.info('virtual machine started', {
      hypervisor: this.hypervisor.kind,
      accelerator: this.hypervisor.accelerator,
      accelerator_reason: this.hypervisor.acceleratorReason || undefined,
      transport: this.transport.kind,
      pid: this.hypervisor.pid,
    });
    const left = (): number => Math.max(1, Math.ceil(deadline - performance.now()));
    const limit = AbortSignal.any([signal, AbortSignal.timeout(left())]);
    const ended = this.gone.then((reason): never => {
      throw new KataError('unavailable', reason);
    });
    ended.catch(() => {});
    const socket = await Promise.race([this.transport.connect(limit), ended]);
    const agent = new AgentClient(parts.client(socket));
    const { trace } = this.options;
    if (trace) agent.onCall = (...call) => trace.call(...call);
    this.connected = agent;
    void agent.closed.then((reason) =>
      this.lose(`the guest agent's channel is closed: ${reasonOf(reason ?? 'ended')}`),
    );
    await Promise.race([firstCheck(agent, left(), bootTimeoutMs), ended, aborted(signal)]);
    timeline.mark('agent_ready');
    const setsClock = this.hypervisor.kind === 'qemu';
    this.watch = new GuestWatch(agent, { ...this.options, setsClock, lost: (reason) => this.lose(reason) });
  }

  private async takeDown(reason: string): Promise<void> {
    this.watch?.end();
    this.lose(reason);
    this.connected?.close(reason);
    await this.undo.run(this.options.log);
  }
}
