/** The built shim without a containerd: started, called and deleted as containerd would. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Init, MessageType } from '../../host/proto/codec.ts';
import { TaskService, TaskServiceName } from '../../host/proto/messages/task_v2.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import type { Method } from '../../host/ttrpc/types.ts';
import { describe, type Finished, finish, succeed } from '../../setup/command.ts';
import { leftovers, type Snapshot, snapshot, sweep } from '../../setup/leftovers.ts';
import { SHIM } from '../../setup/paths.ts';
import { kill, markedProcesses } from '../../setup/processes.ts';
import { PATIENCE_MS } from './containers.ts';
import './orderly-end.ts';

const BUSYBOX_PATHS = ['/bin/busybox', '/usr/bin/busybox'];
const APPLETS = ['cat', 'echo', 'ls', 'sh', 'sleep', 'true'];
/** Milliseconds in which a shim may finish its clean-up. */
const SETTLE_MS = 10_000;
export const NAMESPACE = 'direct';

type Spec = Record<string, unknown>;
type Methods = typeof TaskService;
type Of<T> = T extends MessageType<infer M> ? M : never;
type Request<K extends keyof Methods> = Init<Of<Methods[K][0]>>;
type Response<K extends keyof Methods> = Of<Methods[K][1]>;

/** A place for bundles, with one shim binary and no daemon; its directory marks the processes. */
export class ShimPlace {
  readonly directory = mkdtempSync('/tmp/ke-shim-');
  /** What `-address` says: nobody listens there. */
  readonly address = `${this.directory}/c.sock`;
  readonly rootfs = `${this.directory}/rootfs`;
  readonly #before: Snapshot;
  readonly #clients: TtrpcClient[] = [];

  /** @param program the shim; another than ours for comparison */
  constructor(readonly program: string = SHIM) {
    const busybox = BUSYBOX_PATHS.find((path) => existsSync(path));
    if (busybox === undefined) throw new Error(`no busybox at ${BUSYBOX_PATHS.join(' or ')}`);
    for (const name of ['bin', 'dev', 'proc', 'sys', 'tmp']) mkdirSync(`${this.rootfs}/${name}`, { recursive: true });
    cpSync(busybox, `${this.rootfs}/bin/busybox`);
    for (const applet of APPLETS) symlinkSync('busybox', `${this.rootfs}/bin/${applet}`);
    this.#before = snapshot(this.directory);
    process.on('exit', this.#killAll);
  }

  /** Makes a bundle. @param config text of config.json, or a spec @returns its path */
  bundle(id: string, config: string | Spec = this.spec(['sleep', '1000'])): string {
    const bundle = `${this.directory}/b/${id.replaceAll('/', '_')}`;
    mkdirSync(`${bundle}/rootfs`, { recursive: true });
    writeFileSync(`${bundle}/config.json`, typeof config === 'string' ? config : JSON.stringify(config));
    return bundle;
  }

  /** A spec that runs `args` in the busybox rootfs. */
  spec(args: readonly string[], more: Spec = {}): Spec {
    return {
      ociVersion: '1.0.2',
      process: { user: { uid: 0, gid: 0 }, args, env: ['PATH=/bin'], cwd: '/' },
      root: { path: this.rootfs, readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
      ],
      linux: { namespaces: ['network', 'pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
      ...more,
    };
  }

  /** Runs the shim with containerd's flags and `action`, in the bundle. */
  command(id: string, bundle: string, action: readonly string[]): Promise<Finished> {
    const flags = ['-namespace', NAMESPACE, '-address', this.address, '-publish-binary', '/bin/true', '-id', id];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
    return finish([this.program, ...flags, ...action], { cwd: bundle, env, stdin: '', timeoutMs: PATIENCE_MS });
  }

  /** `start`, and a connection to the address it prints. */
  async start(id: string, bundle: string): Promise<Task> {
    const done = await this.command(id, bundle, ['start']);
    if (done.code !== 0) throw new Error(`start of ${id}: ${describe(done)}`);
    const client = await TtrpcClient.connect(socketPath(done.stdout));
    this.#clients.push(client);
    return new Task(client, id, bundle);
  }

  /** What is there that was not there before any shim. */
  async leftovers(): Promise<string[]> {
    return (await leftovers(this.#before, this.directory, SETTLE_MS)).map(({ kind, what }) => `${kind} ${what}`);
  }

  /** However this program ends (but for SIGKILL), no shim outlives it. */
  readonly #killAll = (): void => {
    for (const process of markedProcesses(this.directory)) kill(process);
  };

  /** Ends everything. @returns what had been left behind by then */
  async remove(): Promise<string[]> {
    for (const client of this.#clients) client.close();
    const found = await leftovers(this.#before, this.directory, SETTLE_MS);
    this.#killAll();
    process.off('exit', this.#killAll);
    sweep(found);
    await succeed(['sh', '-c', `! grep -q " ${this.directory}/" /proc/mounts`]);
    rmSync(this.directory, { recursive: true, force: true });
    return found.map(({ kind, what }) => `${kind} ${what}`);
  }
}

/** The path in what `start` prints: an address, or JSON with one. */
export function socketPath(printed: string): string {
  return /unix:\/\/([^"\s]+)/.exec(printed)?.[1] ?? printed.trim();
}

/** One task of a shim. */
export class Task {
  constructor(
    readonly client: TtrpcClient,
    readonly id: string,
    readonly bundle: string,
  ) {}

  /** Calls the Task service; `id` is filled in. */
  call<K extends keyof Methods>(method: K, request: Omit<Request<K>, 'id'> = {} as Request<K>): Promise<Response<K>> {
    const types = TaskService[method] as unknown as Method<Of<Methods[K][0]>, Response<K>>;
    const filled = { id: this.id, ...request } as Request<K>;
    return this.client.call(TaskServiceName, method, types, filled, { timeoutMs: PATIENCE_MS });
  }

  /** Create without stdio. */
  create(more: Partial<Request<'Create'>> = {}): Promise<Response<'Create'>> {
    return this.call('Create', { bundle: this.bundle, ...more } as Request<'Create'>);
  }

  /** Kills, deletes and shuts down, as far as there is something to. */
  async end(): Promise<void> {
    for (const step of [
      () => this.call('Kill', { signal: 9, all: true } as Request<'Kill'>),
      () => this.call('Wait'),
      () => this.call('Delete'),
      () => this.call('Shutdown'),
    ]) {
      await step().catch(() => {});
    }
    this.client.close();
  }
}
