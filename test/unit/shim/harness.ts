/** A shim in this process with a fake guest, driven over its socket as containerd drives it. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Endpoint } from '../../../host/management/endpoint.ts';
import type { Init } from '../../../host/proto/codec.ts';
import type { Any } from '../../../host/proto/messages/google.ts';
import { SandboxService, SandboxServiceName } from '../../../host/proto/messages/sandbox.ts';
import { TaskService, TaskServiceName } from '../../../host/proto/messages/task_v2.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import { monitorSocket } from '../../../host/sandbox/monitor-link.ts';
import type { EventSink } from '../../../host/shim/events.ts';
import { Shim } from '../../../host/shim/shim.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { type CallOptions, type Method, service } from '../../../host/ttrpc/types.ts';
import { FakeGuest, KeptLog } from '../sandbox/fake-guest.ts';

type Methods = typeof TaskService;
type Request<K extends keyof Methods> = Methods[K] extends Method<infer Req, unknown> ? Init<Req> : never;
type Response<K extends keyof Methods> = Methods[K] extends Method<never, infer Res> | Method<infer _, infer Res>
  ? Res
  : never;

type PodMethods = typeof SandboxService;
type PodRequest<K extends keyof PodMethods> = PodMethods[K] extends Method<infer Req, unknown> ? Init<Req> : never;
type PodResponse<K extends keyof PodMethods> = PodMethods[K] extends
  | Method<never, infer Res>
  | Method<infer _, infer Res>
  ? Res
  : never;

export class Harness {
  readonly directory = mkdtempSync(join(tmpdir(), 'kata-shim-'));
  readonly events: { readonly name: string; readonly event: Record<string, unknown> }[] = [];
  readonly log = new KeptLog();
  exited = 0;
  /** Whether the management socket's peers are taken for our own. */
  admits = true;
  private startOptions: Any | undefined;
  private server: TtrpcServer | undefined;
  private client: TtrpcClient | undefined;

  private constructor(
    readonly guest: FakeGuest,
    readonly id: string,
  ) {}

  /** @param startOptions runtime options on the stdin of `start` */
  static async start(id = 'c1', guest = new FakeGuest(), startOptions?: Any): Promise<Harness> {
    const harness = new Harness(guest, id);
    harness.startOptions = startOptions;
    await guest.listen();
    await harness.listen();
    return harness;
  }

  get runtimeDirectory(): string {
    return join(this.directory, 'run');
  }

  /** Of the sandbox, whether it is there or not. */
  get managementSocket(): string {
    return monitorSocket(identify('/run/containerd.sock', 'test', this.id, this.runtimeDirectory).directory);
  }

  private async listen(): Promise<void> {
    const lib = join(this.directory, 'lib');
    const assets = join(this.directory, 'share/guest', process.arch === 'x64' ? 'amd64' : process.arch);
    for (const path of [lib, assets]) mkdirSync(path, { recursive: true });
    for (const name of ['vmlinux', 'Image', 'initramfs.cpio.gz']) writeFileSync(join(assets, name), 'not really');
    const events: EventSink = {
      publish: (name, event) => this.events.push({ name, event: event as Record<string, unknown> }),
    };
    const shim = new Shim({
      identity: identify('/run/containerd.sock', 'test', this.id, this.runtimeDirectory),
      socket: join(this.directory, 'shim.sock'),
      lib,
      debug: false,
      attended: () => true,
      environment: {},
      startOptions: this.startOptions,
      events,
      log: this.log,
      parts: () => this.guest.parts(),
      exit: () => {
        this.exited++;
      },
      searchPath: [join(this.directory, 'configuration.toml')],
      version: '1.2.3',
      door: (managed) => new Endpoint({ managed, bundle: '', admit: () => this.admits }),
      linkDirectory: join(this.directory, 'sbs'),
    });
    this.server = new TtrpcServer([
      service(TaskServiceName, TaskService, shim.tasks.handlers),
      service(SandboxServiceName, SandboxService, shim.sandboxes.handlers),
    ]);
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(join(this.directory, 'shim.sock'), resolve));
    this.server.adopt(listener);
    this.client = new TtrpcClient(connect(join(this.directory, 'shim.sock')));
  }

  call<K extends keyof Methods & string>(method: K, request: Request<K>, options?: CallOptions): Promise<Response<K>> {
    if (!this.client) throw new Error('not started');
    const types = TaskService[method] as unknown as Method<Request<K>, Response<K>>;
    return this.client.call(TaskServiceName, method, types, request as never, options);
  }

  /** A call to the Sandbox service. */
  pod<K extends keyof typeof SandboxService & string>(
    method: K,
    request: PodRequest<K>,
    options?: CallOptions,
  ): Promise<PodResponse<K>> {
    if (!this.client) throw new Error('not started');
    const types = SandboxService[method] as unknown as Method<PodRequest<K>, PodResponse<K>>;
    return this.client.call(SandboxServiceName, method, types, request as never, options);
  }

  /** Writes a bundle whose process is `args`. */
  bundle(id: string, args: readonly string[], more: Record<string, unknown> = {}): string {
    const path = join(this.directory, 'bundles', id);
    mkdirSync(join(path, 'rootfs'), { recursive: true });
    const spec = {
      ociVersion: '1.0.2',
      process: { args, cwd: '/', user: { uid: 0, gid: 0 } },
      root: { path: 'rootfs' },
      linux: { namespaces: [{ type: 'network' }] },
      ...more,
    };
    writeFileSync(join(path, 'config.json'), JSON.stringify(spec));
    return path;
  }

  /** Creates a container; its stdout goes to the returned fifo. */
  async create(
    id: string,
    args: readonly string[],
    more: { spec?: Record<string, unknown>; stdin?: string; timeoutMs?: number } = {},
  ): Promise<Fifo> {
    const stdout = this.fifo(`${id}-stdout`);
    const bundle = this.bundle(id, args, more.spec);
    const request = { id, bundle, rootfs: [], stdout: stdout.path, stdin: more.stdin ?? '' };
    await this.call('Create', request, more.timeoutMs ? { timeoutMs: more.timeoutMs } : {});
    return stdout;
  }

  fifo(name: string): Fifo {
    return new Fifo(join(this.directory, name));
  }

  names(): string[] {
    return this.events.map(({ name }) => name);
  }

  async close(): Promise<void> {
    this.client?.close();
    await this.server?.close();
    await this.guest.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A named pipe as containerd's client holds it. */
export class Fifo {
  private readonly fd: number;

  constructor(readonly path: string) {
    execFileSync('mkfifo', ['-m', '600', path]);
    this.fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** Reads until the end of file. */
  async text(): Promise<string> {
    const bytes = await this.bytes();
    return bytes.toString();
  }

  async bytes(): Promise<Buffer> {
    const parts: Buffer[] = [];
    const buffer = Buffer.alloc(65536);
    for (;;) {
      let count = -1;
      try {
        count = readSync(this.fd, buffer, 0, buffer.length, null);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') throw thrown;
      }
      if (count === 0) break;
      if (count > 0) parts.push(Buffer.from(buffer.subarray(0, count)));
      else await new Promise((resolve) => setTimeout(resolve, 2));
    }
    closeSync(this.fd);
    return Buffer.concat(parts);
  }
}

/** The writing end of a fifo somebody reads. */
export function writeAndClose(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  writeSync(fd, text);
  closeSync(fd);
}

/** The code and message a call fails with. */
export async function failure(call: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await call;
  } catch (thrown) {
    return thrown as { code: string; message: string };
  }
  throw new Error('the call did not fail');
}
