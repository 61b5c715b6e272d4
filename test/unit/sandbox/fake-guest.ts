/** A guest on this machine: an agent that speaks ttrpc on a unix socket and pretends to run a few programs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentTransport } from '../../../host/agent/transport.ts';
import { KataError } from '../../../host/error.ts';
import type { Hypervisor, VmExit } from '../../../host/hypervisor/hypervisor.ts';
import { AgentServiceService, AgentServiceServiceName } from '../../../host/proto/messages/agent.ts';
import { HealthService, HealthServiceName } from '../../../host/proto/messages/health.ts';
import type { Process } from '../../../host/proto/messages/oci.ts';
import type { Log } from '../../../host/sandbox/log.ts';
import type { Parts } from '../../../host/sandbox/parts.ts';
import type { RootfsShare } from '../../../host/storage/share.ts';
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
  /** Set to have a call never answered. */
  readonly silent = new Set<string>();
  readonly hypervisor = new FakeHypervisor();
  readonly share = new FakeShare();
  private readonly path = join(this.directory, 'agent.sock');
  private readonly server: TtrpcServer;
  private listener: Server | undefined;

  constructor() {
    this.server = new TtrpcServer([
      service(HealthServiceName, HealthService, {
        Check: async () => {
          await this.called('Check');
          return { status: 1 };
        },
      }),
      service(AgentServiceServiceName, AgentServiceService, this.handlers()),
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

  private async called(method: string): Promise<void> {
    this.calls.push(method);
    const failure = this.failures.get(method);
    if (failure) throw failure;
    if (this.silent.has(method)) await new Promise(() => {});
  }

  private handlers(): Parameters<typeof service<typeof AgentServiceService>>[2] {
    const done =
      <T>(method: string, act: (request: T) => void = () => {}) =>
      async (request: T): Promise<Record<string, never>> => {
        await this.called(method);
        act(request);
        return {};
      };
    return {
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

  async start(): Promise<void> {
    if (this.failure) throw this.failure;
    // A pid that exists, and that nobody may end.
    this.pid = process.pid;
  }
  end(exit: VmExit): void {
    this.settle(exit);
  }
  async plugVirtioFs(): Promise<string> {
    return '02/00';
  }
  async plugBlock(): Promise<string> {
    return '03/00';
  }
  async unplug(): Promise<void> {}
  async stop(): Promise<void> {
    this.stopped++;
    this.end({ code: null, signal: 'SIGKILL', stderr: '' });
  }
  consoleTail(): string {
    return 'Kernel panic - not syncing: a fake one\n';
  }
}

export class FakeShare implements RootfsShare {
  readonly roots = new Set<string>();
  failure: KataError | undefined;
  closed = 0;

  async prepare(): Promise<void> {}
  async attach(): Promise<readonly []> {
    return [];
  }
  async addRootfs(id: string): Promise<{ path: string; storages: readonly [] }> {
    if (this.failure) throw this.failure;
    this.roots.add(id);
    return { path: `/run/kata-containers/shared/containers/${id}/rootfs`, storages: [] };
  }
  async removeRootfs(id: string): Promise<void> {
    this.roots.delete(id);
  }
  async close(): Promise<void> {
    this.closed++;
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
