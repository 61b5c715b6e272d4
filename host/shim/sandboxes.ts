/** The Sandbox service: a pod without a pause container, whose virtual machine lives as long as containerd says. */
import { isAbsolute } from 'node:path';
import { KataError } from '../error.ts';
import { encode } from '../proto/codec.ts';
import type * as api from '../proto/messages/sandbox.ts';
import type { SandboxService } from '../proto/messages/sandbox.ts';
import { metricsOf } from '../resources/metrics.ts';

import type { Exit } from '../sandbox/process.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { podSpec, type SandboxSpec } from '../sandbox/sandbox-spec.ts';
import { sumStats } from '../sandbox/sum-stats.ts';
import type { Handlers } from '../ttrpc/types.ts';
import type { SandboxOrder } from './boot.ts';
import { unlessAborted } from './creation.ts';
import { timestamp } from './time.ts';

/** States by the names containerd knows. */
const READY = 'SANDBOX_READY';
const NOT_READY = 'SANDBOX_NOTREADY';
/** Node's names of processors, as Go has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' };

export interface SandboxesOptions {
  /** The one sandbox this shim may serve. */
  readonly id: string;
  readonly boot: (order: SandboxOrder) => Promise<Sandbox>;
  /** Ends a boot under way. */
  readonly abandon: () => void;
  /** Path of the configuration the runtime options name; empty: none. @throws KataError */
  readonly optionsPath: () => string;
  readonly cgroupV2: () => boolean;
  /** Ends the sandbox, and the shim once the answer is out. */
  readonly shutdown: () => Promise<void>;
}

/** What CreateSandbox brought, and what became of it. */
interface Pod {
  readonly spec: SandboxSpec;
  readonly bundle: string;
  starting: Promise<Sandbox> | undefined;
  sandbox: Sandbox | undefined;
  createdAt: Date | undefined;
  /** Settles (never rejects) when the pod's virtual machine has ended, or never will start. */
  readonly ended: Promise<Exit>;
  readonly end: (exit: Exit) => void;
  exit: Exit | undefined;
}

/** Handlers of containerd.runtime.sandbox.v1.Sandbox. */
export class Sandboxes {
  private pod: Pod | undefined;

  constructor(private readonly options: SandboxesOptions) {}

  readonly handlers: Handlers<typeof SandboxService> = {
    CreateSandbox: (request) => this.create(request),
    StartSandbox: ({ sandbox_id }) => this.start(sandbox_id),
    Platform: ({ sandbox_id }) => this.platform(sandbox_id),
    StopSandbox: ({ sandbox_id }) => this.stop(sandbox_id),
    WaitSandbox: async ({ sandbox_id }, call) => {
      const pod = this.find(sandbox_id);
      const exit = pod.exit ?? (await unlessAborted(pod.ended, call.signal));
      return { exit_status: exit.status, exited_at: timestamp(exit.at) };
    },
    SandboxStatus: ({ sandbox_id }) => this.status(sandbox_id),
    PingSandbox: ({ sandbox_id }) => this.ping(sandbox_id),
    ShutdownSandbox: ({ sandbox_id }) => this.shutdown(sandbox_id),
    SandboxMetrics: ({ sandbox_id }) => this.metrics(sandbox_id),
  };

  /** Whether this shim serves a pod of this service, which ShutdownSandbox ends and nothing else. */
  get holdsShim(): boolean {
    return this.pod !== undefined && this.pod.exit === undefined;
  }

  private create(request: api.CreateSandboxRequest): Record<string, never> {
    this.check(request.sandbox_id);
    const { id } = this.options;
    if (this.pod) throw new KataError('already_exists', `sandbox ${id} exists already; shut it down first`);
    if (!isAbsolute(request.bundle_path)) {
      throw new KataError('invalid_argument', `bundle ${JSON.stringify(request.bundle_path)} must be an absolute path`);
    }
    let settle: (exit: Exit) => void = () => {};
    const ended = new Promise<Exit>((resolve) => {
      settle = resolve;
    });
    const pod: Pod = {
      spec: podSpec(request.options, request.netns_path, id),
      bundle: request.bundle_path,
      starting: undefined,
      sandbox: undefined,
      createdAt: undefined,
      ended,
      exit: undefined,
      end: (exit) => {
        pod.exit ??= exit;
        settle(pod.exit);
      },
    };
    this.pod = pod;
    return {};
  }

  private async start(id: string): Promise<api.StartSandboxResponse> {
    const pod = this.find(id);
    if (pod.exit) throw new KataError('failed_precondition', `sandbox ${id} was stopped; create another`);
    if (pod.starting) throw new KataError('already_exists', `sandbox ${id} was started already`);
    pod.starting = this.boot(pod);
    const sandbox = await pod.starting;
    return { pid: sandbox.pid, created_at: timestamp(pod.createdAt), spec: undefined };
  }

  private async boot(pod: Pod): Promise<Sandbox> {
    const { spec, bundle } = pod;
    try {
      const optionsPath = this.options.optionsPath();
      // What its containers need is not known yet; files of the host are among it nearly always.
      const sandbox = await this.options.boot({ spec, bundle, expected: { rootfs: [], volumes: [] }, optionsPath });
      pod.sandbox = sandbox;
      pod.createdAt = new Date();
      void sandbox.ended.then(pod.end);
      return sandbox;
    } catch (thrown) {
      pod.end({ status: 0, at: new Date() });
      throw thrown;
    }
  }

  private platform(id: string): api.PlatformResponse {
    this.check(id);
    const architecture = ARCHITECTURES[process.arch] ?? process.arch;
    return { platform: { os: 'linux', architecture, variant: '', os_version: '', os_features: [] } };
  }

  /** Idempotent in every state: what was never created, or never started, is stopped. */
  private async stop(id: string): Promise<Record<string, never>> {
    this.check(id);
    const { pod } = this;
    if (!pod) return {};
    if (pod.starting && !pod.sandbox) this.options.abandon();
    const sandbox = await pod.starting?.catch(() => undefined);
    await sandbox?.stop('containerd stops the sandbox');
    pod.end({ status: 0, at: new Date() });
    return {};
  }

  private status(id: string): api.SandboxStatusResponse {
    const pod = this.find(id);
    const ready = pod.sandbox?.ready ?? false;
    return {
      sandbox_id: id,
      pid: pod.sandbox?.pid ?? 0,
      state: ready ? READY : NOT_READY,
      info: {},
      created_at: timestamp(pod.createdAt),
      exited_at: timestamp(pod.exit?.at),
      extra: undefined,
    };
  }

  private ping(id: string): Record<string, never> {
    if (!this.find(id).sandbox?.ready) throw new KataError('unavailable', `sandbox ${id} does not run`);
    return {};
  }

  private async shutdown(id: string): Promise<Record<string, never>> {
    await this.stop(id);
    await this.options.shutdown();
    return {};
  }

  /** Of all that runs in the pod, together. */
  private async metrics(id: string): Promise<api.SandboxMetricsResponse> {
    const { sandbox } = this.find(id);
    if (!sandbox?.ready) throw new KataError('unavailable', `sandbox ${id} does not run`);
    const running = [...sandbox.containers.values()].filter(({ state }) => state !== 'stopped');
    const stats = await Promise.all(running.map((container) => sandbox.stats(container).catch(() => undefined)));
    const { type, metrics } = metricsOf(sumStats(stats), this.options.cgroupV2());
    const data = { type_url: type.name, value: encode(type, metrics) };
    return { metrics: { timestamp: timestamp(new Date()), id, data } };
  }

  private find(id: string): Pod {
    this.check(id);
    if (!this.pod) throw new KataError('not_found', `sandbox ${id} not found`);
    return this.pod;
  }

  private check(id: string): void {
    if (id === this.options.id) return;
    throw new KataError('not_found', `sandbox ${id} not found: this shim serves ${this.options.id}`);
  }
}
