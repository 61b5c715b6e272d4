/** A guest on this machine: an agent that speaks ttrpc on a unix socket and pretends to run a few programs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentTransport, DeviceArguments } from '../../../host/agent/transport.ts';
import { KataError } from '../../../host/error.ts';
import type { Hypervisor, VmExit } from '../../../host/hypervisor/hypervisor.ts';
import { podNamespace } from '../../../host/network/namespace.ts';
import type { GuestNetwork, Network, NetworkTraces } from '../../../host/network/network.ts';
import { AgentServiceService, AgentServiceServiceName } from '../../../host/proto/messages/agent.ts';
import { ExtensionService, ExtensionServiceName } from '../../../host/proto/messages/extension.ts';
import { HealthService, HealthServiceName } from '../../../host/proto/messages/health.ts';
import type { Process, Mount as SpecMount } from '../../../host/proto/messages/oci.ts';
import type { HostCgroup, HostLimits } from '../../../host/resources/host-cgroup.ts';
import type { Log } from '../../../host/sandbox/log.ts';
import type { Parts } from '../../../host/sandbox/parts.ts';
import type { GuestVolume, RootfsShare } from '../../../host/storage/share.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { service } from '../../../host/ttrpc/types.ts';

const SIGKILL = 9;
const SIGTERM = 15;

/** A program the fake guest runs: args[0] names it. */
class FakeProcess {
  readonly ended: Promise<number>;
  status: number | undefined;
  stdin = '';
  private output = Buffer.alloc(0);
  private readers: (() => void)[] = [];
  private settle: (status: number) => void = () => {};

  constructor(readonly args: readonly string[]) {
    this.ended = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  run(): void {
    const [name, ...rest] = this.args;
    if (name === 'echo') this.write(`${rest.join(' ')}\n`);
    if (name === 'zeros') this.write(Buffer.alloc(Number(rest[0])));
    if (name === 'echo' || name === 'zeros' || name === 'true') this.end(0);
    if (name === 'exit') this.end(Number(rest[0]));
  }

  write(data: string | Buffer): void {
    this.output = Buffer.concat([this.output, Buffer.from(data)]);
    this.wake();
  }

  end(status: number): void {
    if (this.status !== undefined) return;
    this.status = status;
    this.wake();
    this.settle(status);
  }

  async read(length: number): Promise<Buffer> {
    while (this.output.length === 0 && this.status === undefined) {
      await new Promise<void>((resolve) => this.readers.push(resolve));
    }
    const part = this.output.subarray(0, length);
    this.output = this.output.subarray(part.length);
    return part;
  }

  input(data: Uint8Array): void {
    this.stdin += Buffer.from(data).toString();
    if (this.args[0] === 'cat') this.write(Buffer.from(data));
  }

  closeInput(): void {
    if (this.args[0] === 'cat') this.end(0);
  }

  private wake(): void {
    const { readers } = this;
    this.readers = [];
    for (const reader of readers) reader();
  }
}

export class FakeGuest {
  readonly calls: string[] = [];
  readonly processes = new Map<string, FakeProcess>();
  readonly directory = mkdtempSync(join(tmpdir(), 'kata-guest-'));
  /** Whether SIGTERM ends what does not handle it: Kata's agent sees to that, a plain PID 1 ignores it. */
  obeysTerm = true;
  /** Set to have a call fail, by method. */
  readonly failures = new Map<string, KataError>();
  /** Termination messages by container. */
  readonly messages = new Map<string, string>();
  /** What calls about the guest itself are answered, by method; without one they are not implemented. */
  readonly answers = new Map<string, object>();
  /** Runs when the guest has been handed an extension. */
  added: () => void = () => {};
  /** Set to have a call never answered. */
  readonly silent = new Set<string>();
  readonly hypervisor = new FakeHypervisor();
  readonly share = new FakeShare();
  /** What the pod's network namespace holds: NICs of the guest by name. */
  readonly nics: string[] = [];
  network: FakeNetwork | undefined;
  readonly cgroup = new FakeCgroup();
  /** What calls brought, by method. */
  readonly requests: { readonly method: string; readonly request: unknown }[] = [];
  private readonly path = join(this.directory, 'agent.sock');
  private readonly server: TtrpcServer;
  private listener: Server | undefined;
  private readonly ooms: string[] = [];
  private readonly held = new Map<string, { readonly gate: Promise<void>; readonly open: () => void }>();
  private oomWaiter: ((containerId: string) => void) | undefined;

  constructor() {
    this.server = new TtrpcServer([
      service(HealthServiceName, HealthService, {
        Check: async () => {
          await this.called('Check');
          return { status: 1 };
        },
      }),
      service(AgentServiceServiceName, AgentServiceService, this.handlers()),
      service(ExtensionServiceName, ExtensionService, {
        Add: async () => {
          await this.called('Add');
          this.added();
          return {};
        },
      }),
    ]);
  }

  async listen(): Promise<void> {
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(this.path, resolve));
    this.server.adopt(listener);
    this.listener = listener;
  }

  /** The parts of a sandbox whose guest this is. */
  parts(): Parts {
    const transport: AgentTransport = {
      kind: 'virtio-serial',
      address: this.path,
      prepare: async () => ({ arguments: [], fds: [] }),
      connect: () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(this.path);
          socket.once('connect', () => resolve(socket));
          socket.once('error', reject);
        }),
      close: () => this.calls.push('transport closed'),
    };
    return {
      hypervisor: () => this.hypervisor,
      transport: () => transport,
      share: () => this.share,
      namespace: (entries, directory) => {
        // Recorded paths do not exist here.
        const path = entries.find(({ type }) => type === 'network')?.path;
        return path ? { path, own: false } : podNamespace(entries, directory);
      },
      network: ({ path, own }) => {
        this.network = new FakeNetwork(path, own, this.nics);
        return this.network;
      },
      forwarder: ({ namespace }) => {
        this.calls.push(`forward ${namespace}`);
        return { start: () => true, close: () => void this.calls.push('forward closed') };
      },
      cgroup: async () => this.cgroup,
      client: (socket) => new TtrpcClient(socket),
    };
  }

  process(containerId: string, execId = ''): FakeProcess {
    const found = this.processes.get(`${containerId}/${execId || containerId}`);
    if (!found) throw new KataError('not_found', `no process ${containerId}/${execId}`);
    return found;
  }

  /** The VM dies, as by kill -9. */
  async die(): Promise<void> {
    await this.server.close();
    this.hypervisor.end({ code: null, signal: 'SIGKILL', stderr: '' });
  }

  async close(): Promise<void> {
    for (const process of this.processes.values()) process.end(0);
    await this.server.close();
    this.listener?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A container runs out of memory. */
  outOfMemory(containerId: string): void {
    const { oomWaiter } = this;
    this.oomWaiter = undefined;
    if (oomWaiter) oomWaiter(containerId);
    else this.ooms.push(containerId);
  }

  /** Calls of this method are answered no sooner than `release` says. */
  hold(method: string): void {
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.held.set(method, { gate, open });
  }

  release(method: string): void {
    this.held.get(method)?.open();
    this.held.delete(method);
  }

  private async called(method: string): Promise<void> {
    this.calls.push(method);
    await this.held.get(method)?.gate;
    const failure = this.failures.get(method);
    if (failure) throw failure;
    if (this.silent.has(method)) await new Promise(() => {});
  }

  private handlers(): Parameters<typeof service<typeof AgentServiceService>>[2] {
    const done =
      <T>(method: string, act: (request: T) => void = () => {}) =>
      async (request: T): Promise<Record<string, never>> => {
        this.requests.push({ method, request });
        await this.called(method);
        act(request);
        return {};
      };
    const answered =
      (method: string) =>
      async (request: unknown): Promise<never> => {
        this.requests.push({ method, request });
        await this.called(method);
        const answer = this.answers.get(method);
        if (!answer) throw new KataError('unimplemented', `${method} is not implemented`);
        return answer as never;
      };
    return {
      GetMetrics: answered('GetMetrics'),
      GetVolumeStats: answered('GetVolumeStats'),
      ResizeVolume: answered('ResizeVolume'),
      GetIPTables: answered('GetIPTables'),
      SetIPTables: answered('SetIPTables'),
      SetPolicy: answered('SetPolicy'),
      UpdateInterface: done('UpdateInterface'),
      UpdateRoutes: done('UpdateRoutes'),
      AddARPNeighbors: done('AddARPNeighbors'),
      GetOOMEvent: async () => {
        const event = this.ooms.shift();
        if (event !== undefined) return { container_id: event };
        return new Promise<{ container_id: string }>((resolve) => {
          this.oomWaiter = (container_id) => resolve({ container_id });
        });
      },
      CreateSandbox: done('CreateSandbox'),
      DestroySandbox: done('DestroySandbox'),
      SetGuestDateTime: done('SetGuestDateTime'),
      ReseedRandomDev: done('ReseedRandomDev'),
      CreateContainer: done('CreateContainer', (request) => {
        const args = request.OCI?.Process?.Args ?? [];
        this.processes.set(`${request.container_id}/${request.container_id}`, new FakeProcess(args));
      }),
      StartContainer: done('StartContainer', ({ container_id }) => this.process(container_id).run()),
      RemoveContainer: done('RemoveContainer'),
      ExecProcess: done('ExecProcess', ({ container_id, exec_id, process }) => {
        const made = new FakeProcess((process as Process).Args);
        this.processes.set(`${container_id}/${exec_id}`, made);
        made.run();
      }),
      SignalProcess: done('SignalProcess', ({ container_id, exec_id, signal }) => {
        const target = this.process(container_id, exec_id);
        const stubborn = target.args[0] === 'stubborn' || !this.obeysTerm;
        if (signal === SIGKILL || (signal === SIGTERM && !stubborn)) target.end(128 + signal);
      }),
      WaitProcess: async ({ container_id, exec_id }) => {
        await this.called('WaitProcess');
        return { status: await this.process(container_id, exec_id).ended };
      },
      ReadStdout: async ({ container_id, exec_id, len }) => ({
        data: await this.process(container_id, exec_id).read(len),
      }),
      ReadStderr: async ({ container_id, exec_id }) => {
        await this.process(container_id, exec_id).ended;
        return { data: new Uint8Array(0) };
      },
      WriteStdin: async ({ container_id, exec_id, data }) => {
        await this.called('WriteStdin');
        this.process(container_id, exec_id).input(data);
        return { len: data.length };
      },
      CloseStdin: done('CloseStdin', ({ container_id, exec_id }) => this.process(container_id, exec_id).closeInput()),
      TtyWinResize: done('TtyWinResize'),
      PauseContainer: done('PauseContainer'),
      ResumeContainer: done('ResumeContainer'),
      UpdateContainer: done('UpdateContainer'),
      GetDiagnosticData: async ({ container_id }) => ({ data: this.messages.get(container_id) ?? '' }),
      StatsContainer: async () => {
        await this.called('StatsContainer');
        return { cgroup_stats: { pids_stats: { current: 3, limit: 10 } } };
      },
    };
  }
}

export class FakeHypervisor implements Hypervisor {
  readonly kind = 'qemu';
  readonly accelerator = 'tcg';
  readonly acceleratorReason = 'a fake';
  pid = 0;
  failure: KataError | undefined;
  stopped = 0;
  readonly exited: Promise<VmExit>;
  private settle: (exit: VmExit) => void = () => {};

  constructor() {
    this.exited = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  /** Runs between the VMM's spawn and its first answer. */
  beforeAnswer: () => Promise<void> = () => Promise.resolve();

  async start(
    _devices: DeviceArguments,
    spawned: () => void = () => {},
    beforeGuest: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    if (this.failure) throw this.failure;
    // A pid that exists, and that nobody may end.
    this.pid = process.pid;
    spawned();
    await this.beforeAnswer();
    await beforeGuest();
  }
  async plugNic(): Promise<string> {
    return '04/00';
  }
  end(exit: VmExit): void {
    this.settle(exit);
  }
  async plugVirtioFs(): Promise<string> {
    return '02/00';
  }
  /** What was plugged and unplugged. */
  readonly disks: string[] = [];
  async plugBlock(id: string, path: string, readOnly: boolean): Promise<string> {
    this.disks.push(`plug ${id} ${path} ${readOnly ? 'ro' : 'rw'}`);
    return '03/00';
  }
  async resizeBlock(): Promise<void> {}
  async unplug(id: string): Promise<void> {
    this.disks.push(`unplug ${id}`);
  }
  async stop(): Promise<void> {
    this.stopped++;
    this.end({ code: null, signal: 'SIGKILL', stderr: '' });
  }
  consoleTail(): string {
    return 'Kernel panic - not syncing: a fake one\n';
  }
}

export class FakeShare implements RootfsShare {
  copies = false;
  readonly roots = new Set<string>();
  /** As `<container> <source>`. */
  volumes: string[] = [];
  /** By source. */
  readonly volumeFailures = new Map<string, KataError>();
  failure: KataError | undefined;
  closed = 0;
  /** Ends what serves the files. */
  endDaemon: () => void = () => {};
  readonly daemonExited = new Promise<void>((resolve) => {
    this.endDaemon = resolve;
  });

  async prepare(): Promise<void> {}
  async attach(): Promise<readonly []> {
    return [];
  }
  async addRootfs(id: string): Promise<{ path: string; storages: readonly [] }> {
    if (this.failure) throw this.failure;
    this.roots.add(id);
    return { path: `/run/kata-containers/shared/containers/${id}/rootfs`, storages: [] };
  }
  async addVolume(id: string, mount: SpecMount): Promise<GuestVolume> {
    const failure = this.volumeFailures.get(mount.source);
    if (failure) throw failure;
    this.volumes.push(`${id} ${mount.source}`);
    const source = `/run/kata-containers/shared/containers/${id}-${this.volumes.length}`;
    return { mount: { ...mount, source }, storages: [] };
  }
  async removeRootfs(id: string): Promise<void> {
    this.roots.delete(id);
    this.volumes = this.volumes.filter((line) => !line.startsWith(`${id} `));
  }
  async close(): Promise<void> {
    this.closed++;
  }
}

/** A network whose namespace holds what the test says. */
export class FakeNetwork implements Network {
  prepared = 0;
  closed = 0;
  private readonly plugged = new Set<string>();

  constructor(
    readonly namespace: string,
    private readonly own: boolean,
    private readonly nics: readonly string[],
  ) {}

  get traces(): NetworkTraces {
    return { namespace: this.namespace, ownNamespace: this.own, devices: [...this.plugged] };
  }
  async prepare(): Promise<void> {
    this.prepared++;
    for (const nic of this.nics) this.plugged.add(nic);
  }
  async attach(): Promise<GuestNetwork | undefined> {
    if (this.plugged.size === 0) return undefined;
    const interfaces = [...this.plugged].map((name) => ({ name, device: name }));
    return { interfaces, routes: [{ gateway: '10.0.0.1' }], neighbors: [{ lladdr: '02:00:00:00:00:01' }] };
  }
  async close(): Promise<void> {
    this.closed++;
  }
}

export class FakeCgroup implements HostCgroup {
  readonly calls: string[] = [];
  readonly traces = ['/sys/fs/cgroup/fake'];
  failure: KataError | undefined;

  enter(): Promise<void> {
    return this.prepare();
  }

  async prepare(): Promise<void> {
    this.calls.push('prepare');
    if (this.failure) throw this.failure;
  }
  async placeVmm(pid: number): Promise<void> {
    this.calls.push(`place ${pid}`);
  }
  async update({ cpus, memoryBytes }: HostLimits): Promise<void> {
    this.calls.push(`update ${cpus} ${memoryBytes}`);
  }
  async remove(): Promise<void> {
    this.calls.push('remove');
  }
}

/** Keeps what is logged. */
export class KeptLog implements Log {
  readonly lines: string[] = [];
  debug(): void {}
  info(message: string): void {
    this.lines.push(`info ${message}`);
  }
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.lines.push(`warning ${message} ${JSON.stringify(fields ?? {})}`);
  }
  error(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.lines.push(`error ${message} ${JSON.stringify(fields ?? {})}`);
  }
}
