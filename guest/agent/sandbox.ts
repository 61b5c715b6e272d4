/** The pod: its namespaces, storages and containers. One a virtual machine. */
import type {
  CreateContainerRequest,
  CreateSandboxRequest,
  KernelModule,
  RemoveContainerRequest,
} from '../../host/proto/messages/agent.ts';
import type { Hooks, Spec } from '../../host/proto/messages/oci.ts';
import { Container } from './container.ts';
import { checkContainerId } from './container-id.ts';
import { CopiedFiles } from './copy-file.ts';
import { AgentError, reasonOf } from './error.ts';
import { attempt, exists, list, mkdirs } from './files.ts';
import { checkPath, MS_BIND, MS_RDONLY, MS_REMOUNT, unmount } from './mount.ts';
import type { NamespacePaths } from './oci-linux.ts';
import { type Guest, programPath } from './options.ts';
import { isPause, PodPids } from './pod-pids.ts';
import { SIGKILL } from './process.ts';
import { Storages } from './storage.ts';

/** Most containers of a pod. */
export const MAX_CONTAINERS = 256;
/** From the answer to DestroySandbox to the end of the machine, ms: the answer must leave first. */
export const POWEROFF_DELAY_MS = 100;
/** Longest hostname Linux takes. */
export const MAX_HOSTNAME_BYTES = 64;

const DIRECTORY_MODE = 0o755;

export class Sandbox {
  readonly containers = new Map<string, Container>();
  readonly storages: Storages;
  readonly copied: CopiedFiles;
  /** Empty until CreateSandbox has succeeded. */
  id = '';
  private created = false;
  private creating = false;
  private holder: number | undefined;
  private resolvConf = false;
  private hookPath = '';
  private readonly pids = new PodPids();

  constructor(private readonly guest: Guest) {
    this.storages = new Storages(guest);
    this.copied = new CopiedFiles(guest);
  }

  /**
   * Sets the pod up; a failure leaves nothing of it.
   * @throws AgentError already_exists for a second one
   */
  async create(request: CreateSandboxRequest): Promise<void> {
    if (this.created || this.creating) {
      const name = this.id === '' ? 'a sandbox' : `sandbox ${this.id}`;
      throw new AgentError('already_exists', `${name} exists in this virtual machine; it holds one`);
    }
    this.creating = true;
    try {
      const hostname = request.hostname;
      if (new TextEncoder().encode(hostname).length > MAX_HOSTNAME_BYTES) {
        throw new AgentError('invalid_argument', `hostname of more than ${MAX_HOSTNAME_BYTES} bytes`);
      }
      mkdirs(this.guest.sys, `${this.guest.options.runDir}/sandbox`, DIRECTORY_MODE);
      for (const module of request.kernel_modules) await this.loadModule(module);
      this.holder = this.guest.sys.holdNamespaces(hostname);
      for (const storage of request.storages) await this.storages.add(storage);
      if (request.guest_hook_path !== '') this.hookPath = checkPath(request.guest_hook_path, 'guest hook path');
      if (request.dns.length > 0) this.setDns(request.dns);
      if (request.sandbox_pidns) this.pids.share();
      this.id = request.sandbox_id;
      this.created = true;
    } catch (thrown) {
      this.clear();
      throw thrown instanceof AgentError ? thrown : new AgentError('internal', reasonOf(thrown));
    } finally {
      this.creating = false;
    }
  }

  /** Ends everything. The machine goes down POWEROFF_DELAY_MS later. */
  async destroy(): Promise<void> {
    const removals = [...this.containers.values()].map((container) =>
      container.remove().catch((thrown) => this.guest.sys.log(reasonOf(thrown))),
    );
    await Promise.all(removals);
    this.containers.clear();
    this.clear();
    const { sys, loop, options } = this.guest;
    const end = options.afterDestroy ?? (() => sys.reboot('poweroff'));
    loop.sleep(POWEROFF_DELAY_MS).then(end);
  }

  /** @throws AgentError invalid_argument, already_exists, resource_exhausted, internal */
  async createContainer(request: CreateContainerRequest): Promise<void> {
    const { container_id: id, OCI: spec } = request;
    checkContainerId(id);
    if (!spec) throw new AgentError('invalid_argument', `container ${id}: the request has no OCI specification`);
    if (!spec.Process || spec.Process.Args.length === 0) {
      throw new AgentError('invalid_argument', `container ${id}: process.args is empty; name the program to run`);
    }
    if (request.stdin_port !== 0 || request.stdout_port !== 0 || request.stderr_port !== 0) {
      throw new AgentError(
        'unimplemented',
        'stdio over vsock ports: this guest serves it over ReadStdout and WriteStdin only',
      );
    }
    if (request.shared_mounts.length > 0) throw new AgentError('unimplemented', 'shared_mounts between containers');
    if (this.containers.has(id)) throw new AgentError('already_exists', `container ${id} exists already`);
    if (this.containers.size >= MAX_CONTAINERS)
      throw new AgentError('resource_exhausted', `${MAX_CONTAINERS} containers exist`);
    if (this.hookPath !== '') spec.Hooks = this.withGuestHooks(spec.Hooks);
    mkdirs(this.guest.sys, this.guest.options.runDir, DIRECTORY_MODE);
    // A pod's pause container only sleeps: theirs is loaded once it does.
    if (!isPause(spec)) this.guest.options.needModules?.();
    const namespaces = this.namespaces(spec, request.sandbox_pidns);
    const container = new Container(this.guest, id, request.exec_id, spec, namespaces);
    this.containers.set(id, container);
    try {
      await container.create(request, this.storages);
    } catch (thrown) {
      this.containers.delete(id);
      this.copied.remove(id);
      throw thrown;
    }
  }

  /** @throws AgentError invalid_argument for an unknown id, as Kata's agent */
  container(id: string): Container {
    const container = this.containers.get(id);
    if (!container)
      throw new AgentError('invalid_argument', `invalid container id ${JSON.stringify(id.slice(0, 255))}`);
    return container;
  }

  /** @throws AgentError deadline_exceeded if it takes longer than the request's timeout; the removal goes on then */
  async removeContainer({ container_id: id, timeout }: RemoveContainerRequest): Promise<void> {
    const container = this.container(id);
    const removal = container.remove().finally(() => {
      if (this.containers.get(id) !== container) return;
      this.containers.delete(id);
      this.copied.remove(id);
    });
    if (timeout === 0) return removal;
    const done = removal.then(() => true);
    if (!(await Promise.race([done, this.guest.loop.sleep(timeout * 1000)]))) {
      throw new AgentError('deadline_exceeded', `ETIME: container ${id} is not removed after ${timeout} s`);
    }
  }

  /** Binds containers to processors anew, after more have gone online. */
  fitProcessors(): void {
    for (const container of this.containers.values()) attempt(() => container.fitProcessors());
  }

  /** The namespaces a container joins. */
  private namespaces(spec: Spec, sharePid: boolean): NamespacePaths {
    const { procRoot } = this.guest.options;
    const held = this.holder === undefined ? undefined : `${procRoot}/${this.holder}/ns`;
    const owner = this.pids.ownerFor(spec, sharePid, [...this.containers.values()]) ?? this.holder;
    return {
      ipc: held && `${held}/ipc`,
      uts: held && `${held}/uts`,
      pid: sharePid && owner !== undefined ? `${procRoot}/${owner}/ns/pid` : undefined,
    };
  }

  private async loadModule({ name, parameters }: KernelModule): Promise<void> {
    if (!/^[A-Za-z0-9_-]+$/.test(name))
      throw new AgentError('invalid_argument', `kernel module ${JSON.stringify(name)}`);
    const { sys, loop, options } = this.guest;
    if (options.loadModule) {
      await options.loadModule(name, parameters);
      return;
    }
    const program = programPath(this.guest, 'modprobe');
    if (!program) throw new AgentError('internal', `kernel module ${name}: this guest has no modprobe`);
    const argv = [program, '-v', name, ...parameters];
    const status = await loop.exited(sys.spawn({ argv, env: [], stdio: [-1, -1, -1] }));
    if (status !== 0) throw new AgentError('internal', `modprobe ${name} ended with status ${status}`);
  }

  private setDns(lines: readonly string[]): void {
    const { sys, options } = this.guest;
    const file = `${options.runDir}/sandbox/resolv.conf`;
    sys.writeFile(file, lines.map((line) => `${line}\n`).join(''), 0o644);
    if (!exists(sys, options.resolvConf)) sys.writeFile(options.resolvConf, '', 0o644);
    sys.mount(file, options.resolvConf, 'bind', MS_BIND, '');
    this.resolvConf = true;
    sys.mount(file, options.resolvConf, 'bind', MS_BIND | MS_REMOUNT | MS_RDONLY, '');
  }

  /** Adds the guest's own hooks: executable files in directories named after their stage. */
  private withGuestHooks(hooks: Hooks | undefined): Hooks {
    const none = {
      Prestart: [],
      Poststart: [],
      Poststop: [],
      CreateRuntime: [],
      CreateContainer: [],
      StartContainer: [],
    };
    const all: Hooks = { ...none, ...hooks };
    const add = (stage: 'Prestart' | 'Poststart' | 'Poststop') => {
      const directory = `${this.hookPath}/${stage.toLowerCase()}`;
      const files = list(this.guest.sys, directory).map((name) => `${directory}/${name}`);
      const own = files.filter((path) => (this.guest.sys.stat(path).mode & 0o111) !== 0);
      const entries = own.map((path) => ({ Path: path, Args: [path, stage.toLowerCase()], Env: [], Timeout: 0 }));
      return [...all[stage], ...entries];
    };
    return { ...all, Prestart: add('Prestart'), Poststart: add('Poststart'), Poststop: add('Poststop') };
  }

  private clear(): void {
    const { sys, options } = this.guest;
    if (this.resolvConf) attempt(() => unmount(sys, options.resolvConf));
    this.resolvConf = false;
    this.storages.clear();
    const holder = this.holder;
    if (holder !== undefined) attempt(() => sys.kill(holder, SIGKILL));
    this.holder = undefined;
    this.pids.clear();
    this.created = false;
    this.id = '';
  }
}
