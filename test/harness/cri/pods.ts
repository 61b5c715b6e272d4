/** Pods and containers through CRI, as a kubelet would run them. */
import { mkdirSync, rmSync } from 'node:fs';
import type { Containerd } from '../../../setup/containerd.ts';
import { IMAGE_NAME } from '../../../setup/image.ts';
import { until } from '../containers.ts';
import { type CallOptions, CriClient, codeOf } from './client.ts';
import { type LogLine, logged, readLog } from './logs.ts';
import type {
  Calls,
  ContainerConfig,
  ContainerStatus,
  NamespaceOption,
  PodSandboxConfig,
  PodStatus,
} from './messages.ts';
import { NodeNetwork } from './node-network.ts';
import { removeCgroup, removeCgroupsBelow } from './pod-cgroups.ts';
import { type Ended, ForwardedPort, openSocket, Session, type SessionOptions } from './streams.ts';

/** Seconds between SIGTERM and SIGKILL where it does not matter. */
const AT_ONCE = 0;
/** gRPC's code. */
const NOT_FOUND = 5;

/** As kubelets say it; the protocol's own default is processes shared by all of the pod. */
const OWN_PROCESSES: NamespaceOption = { pid: 'CONTAINER' };

/** What a pod has beyond the defaults; its parts are merged one level deep. */
export type PodOptions = Partial<PodSandboxConfig> & { readonly name?: string };

/** A ContainerConfig without what is always the same. */
export interface ContainerOptions extends Omit<Partial<ContainerConfig>, 'image' | 'envs'> {
  readonly name?: string;
  /** Instead of the busybox image. */
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly resources?: NonNullable<ContainerConfig['linux']>['resources'];
  readonly securityContext?: NonNullable<ContainerConfig['linux']>['security_context'];
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface ExecOptions extends SessionOptions {
  readonly tty?: boolean;
  readonly stdin?: boolean;
}

export class Pods {
  readonly cri: CriClient;
  readonly network: NodeNetwork;
  #next = 0;

  /** @param handler what pods are run with when they do not say */
  constructor(
    readonly daemon: Containerd,
    apiProto: string,
    readonly handler: string,
  ) {
    if (daemon.networkNamespace === undefined) throw new Error('this containerd was started without CRI');
    this.cri = new CriClient(daemon.address, apiProto);
    this.network = new NodeNetwork(daemon.networkNamespace);
  }

  call<K extends keyof Calls>(name: K, request: Calls[K][0], options?: CallOptions): Promise<Calls[K][1]> {
    return this.cri.call(name, request, options);
  }

  /** Waits until the daemon can run pods of `images`. */
  async ready(images: readonly string[]): Promise<void> {
    await until('containerd serves CRI', async () => {
      const answer = await this.call('Status', {}).catch(() => undefined);
      return answer?.status.conditions.every(({ status }) => status) === true;
    });
    for (const image of images) {
      await until(`the CRI knows ${image}`, async () => {
        return (await this.call('ImageStatus', { image: { image } })).image !== null;
      });
    }
  }

  /** The config of a pod that has its own directory of logs and its own cgroup. */
  config(options: PodOptions = {}): PodSandboxConfig {
    const { name = this.#name('pod'), linux, ...more } = options;
    const log_directory = `${this.daemon.directory}/logs/${name}`;
    mkdirSync(log_directory, { recursive: true });
    return {
      metadata: { name, uid: name, namespace: 'default' },
      hostname: name,
      log_directory,
      ...more,
      linux: {
        cgroup_parent: `${this.daemon.podsCgroup}/${name}`,
        ...linux,
        security_context: { namespace_options: OWN_PROCESSES, ...linux?.security_context },
      },
    };
  }

  /**
   * RunPodSandbox. What a failed one leaves is the daemon's affair; its directory and cgroup are removed.
   * @throws ServiceError
   */
  async run(options: PodOptions = {}, handler = this.handler): Promise<Pod> {
    const config = this.config(options);
    try {
      const { pod_sandbox_id } = await this.call('RunPodSandbox', { config, runtime_handler: handler });
      return new Pod(this, pod_sandbox_id, config);
    } catch (error) {
      this.forget(config);
      throw error;
    }
  }

  /** CreateContainer and StartContainer. @throws ServiceError; the container, if created, stays */
  async container(pod: Pod, options: ContainerOptions = {}): Promise<Container> {
    const container = await this.create(pod, options);
    await container.start();
    return container;
  }

  /** CreateContainer. Absent a command, it sleeps, and ends at SIGTERM. */
  async create(pod: Pod, options: ContainerOptions = {}): Promise<Container> {
    const { name = this.#name('c'), image = IMAGE_NAME, env = {}, resources, securityContext, ...more } = options;
    const config: ContainerConfig = {
      metadata: { name },
      log_path: `${name}.log`,
      ...(more.command === undefined && more.args === undefined ? { command: PATIENT } : {}),
      ...more,
      image: { image },
      envs: Object.entries(env).map(([key, value]) => ({ key, value: Buffer.from(value) })),
      linux: {
        ...(resources === undefined ? {} : { resources }),
        security_context: { namespace_options: OWN_PROCESSES, ...securityContext },
        ...more.linux,
      },
    };
    const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
    const { container_id } = await this.call('CreateContainer', request);
    return new Container(this, container_id, pod, config);
  }

  /** Stops and removes every pod there is. */
  async removeAll(): Promise<void> {
    const { items } = await this.call('ListPodSandbox', {});
    for (const { id } of items) {
      // A 1.7 that was killed lists pods it does not find: those of which it had not told the shim yet.
      await this.call('StopPodSandbox', { pod_sandbox_id: id }).catch(unlessNotFound);
      await this.call('RemovePodSandbox', { pod_sandbox_id: id }).catch(unlessNotFound);
    }
    rmSync(`${this.daemon.directory}/logs`, { recursive: true, force: true });
    removeCgroupsBelow(this.daemon.podsCgroup);
  }

  /** What a kubelet does once a pod is gone: its directory of logs and its cgroups, which must be empty, are removed. */
  forget(config: PodSandboxConfig): void {
    if (config.log_directory !== undefined) rmSync(config.log_directory, { recursive: true, force: true });
    if (config.linux?.cgroup_parent) removeCgroup(config.linux.cgroup_parent);
  }

  /** Closes connections; pods stay. */
  close(): void {
    this.cri.close();
    this.network.close();
  }

  #name(kind: string): string {
    return `${kind}-${this.#next++}`;
  }
}

export class Pod {
  constructor(
    readonly pods: Pods,
    readonly id: string,
    readonly config: PodSandboxConfig,
  ) {}

  async status(): Promise<PodStatus> {
    return (await this.pods.call('PodSandboxStatus', { pod_sandbox_id: this.id })).status;
  }

  /** The pod's addresses, the first one first. */
  async addresses(): Promise<string[]> {
    const { network } = await this.status();
    return network?.ip ? [network.ip, ...network.additional_ips.map(({ ip }) => ip)] : [];
  }

  container(options: ContainerOptions = {}): Promise<Container> {
    return this.pods.container(this, options);
  }

  create(options: ContainerOptions = {}): Promise<Container> {
    return this.pods.create(this, options);
  }

  /** Runs a container to its end and removes it. @returns what it logged and its exit code */
  async runToEnd(command: string[], options: ContainerOptions = {}): Promise<Output> {
    const container = await this.container({ ...options, command });
    const { exit_code: code } = await container.exited();
    const output = { stdout: container.logged('stdout'), stderr: container.logged('stderr'), code };
    await container.remove();
    return output;
  }

  /** A connection to a port of the pod. */
  async forward(port: number, keep = true): Promise<ForwardedPort> {
    const { url } = await this.pods.call('PortForward', { pod_sandbox_id: this.id, port: [port] });
    return new ForwardedPort(await openSocket(url, this.pods.network, `?port=${port}`), keep).opened();
  }

  async stop(): Promise<void> {
    await this.pods.call('StopPodSandbox', { pod_sandbox_id: this.id });
  }

  /** Stops and removes the pod with its containers, and tidies after it. */
  async remove(): Promise<void> {
    await this.stop();
    await this.pods.call('RemovePodSandbox', { pod_sandbox_id: this.id });
    this.pods.forget(this.config);
  }
}

export class Container {
  constructor(
    readonly pods: Pods,
    readonly id: string,
    readonly pod: Pod,
    readonly config: ContainerConfig,
  ) {}

  get logPath(): string {
    return `${this.pod.config.log_directory}/${this.config.log_path}`;
  }

  async start(): Promise<void> {
    await this.pods.call('StartContainer', { container_id: this.id });
  }

  async status(): Promise<ContainerStatus> {
    return (await this.pods.call('ContainerStatus', { container_id: this.id })).status;
  }

  /** Waits for the end. */
  async exited(withinMs?: number): Promise<ContainerStatus> {
    let status = await this.status();
    const over = async () => {
      status = await this.status();
      return status.state === 'CONTAINER_EXITED';
    };
    await until(() => `container ${this.config.metadata.name} ends, ${JSON.stringify(status)}`, over, withinMs);
    return status;
  }

  /** ExecSync. @param timeout seconds; 0: none */
  async run(cmd: string[], timeout = 0): Promise<Output> {
    const done = await this.pods.call('ExecSync', { container_id: this.id, cmd, timeout });
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    return { stdout: text(done.stdout), stderr: text(done.stderr), code: done.exit_code };
  }

  /** ExecSync of a shell script that must succeed. @returns its stdout */
  async sh(script: string): Promise<string> {
    const done = await this.run(['sh', '-c', script]);
    if (done.code !== 0) throw new Error(`${script}: exit code ${done.code}\n${done.stderr}${done.stdout}`);
    return done.stdout;
  }

  /** Exec, with the connection open. */
  async session(cmd: string[], options: ExecOptions = {}): Promise<Session> {
    const { tty = false, stdin = false } = options;
    const request = { container_id: this.id, cmd, tty, stdin, stdout: true, stderr: !tty };
    const { url } = await this.pods.call('Exec', request);
    return new Session(await openSocket(url, this.pods.network), options).opened();
  }

  /** Exec to its end, without stdin. */
  async exec(cmd: string[], options: ExecOptions = {}): Promise<Ended> {
    return (await this.session(cmd, options)).ended;
  }

  /** Attach to the container's own process. */
  async attach(options: ExecOptions = {}): Promise<Session> {
    const { tty = this.config.tty ?? false, stdin = this.config.stdin ?? false } = options;
    const { url } = await this.pods.call('Attach', { container_id: this.id, tty, stdin, stdout: true, stderr: !tty });
    return new Session(await openSocket(url, this.pods.network), options).opened();
  }

  log(): LogLine[] {
    return readLog(this.logPath);
  }

  /** All that was logged of a stream. */
  logged(stream: LogLine['stream']): string {
    return logged(this.log(), stream);
  }

  /** @param timeout seconds between SIGTERM and SIGKILL */
  async stop(timeout = AT_ONCE): Promise<void> {
    await this.pods.call('StopContainer', { container_id: this.id, timeout });
  }

  async remove(): Promise<void> {
    await this.pods.call('RemoveContainer', { container_id: this.id });
  }
}

function unlessNotFound(error: unknown): void {
  if (codeOf(error) !== NOT_FOUND) throw error;
}

/** A shell that sleeps and obeys SIGTERM at once. */
const PATIENT = ['sh', '-c', 'trap "exit 143" TERM; while :; do sleep 3600 & wait; done'];
