/** A serving shim: one socket, the Task and Sandbox services on it, at most one sandbox behind them. */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { configPathOf } from '../config/options.ts';
import { KataError } from '../error.ts';
import { sharedMounts } from '../oci/rewrite.ts';
import type { Any } from '../proto/messages/google.ts';
import type * as task from '../proto/messages/task_v2.ts';
import type { Container } from '../sandbox/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { ownerSpec } from '../sandbox/sandbox-spec.ts';
import { type ContainerSpec, readBundle } from '../sandbox/spec.ts';
import { Timeline } from '../sandbox/timeline.ts';
import { type BootOptions, configurationFor, newSandbox, type SandboxOrder, traceFor } from './boot.ts';
import type { EventSink } from './events.ts';
import { Sandboxes } from './sandboxes.ts';
import { streamsOf, Tasks } from './task.ts';

/** Present where cgroups are of version 2 only. */
const CGROUP_V2 = '/sys/fs/cgroup/cgroup.controllers';
/**
 * How long a shim that serves nothing waits for Create or Shutdown, ms. They come at once; a containerd that was started anew has
 * forgotten what it was about.
 */
export const DESERTED_MS = 6000;

export interface ShimOptions extends BootOptions {
  /** Runtime options that containerd gave on the stdin of `start`; those of Create go first. */
  readonly startOptions?: Any | undefined;
  readonly events: EventSink;
  /** Ends the process; the answer to the call that led to it is out by then. */
  readonly exit: () => void;
}

export class Shim {
  readonly tasks: Tasks;
  readonly sandboxes: Sandboxes;
  private sandbox: Sandbox | undefined;
  private booting: Claim | undefined;
  private desertion: NodeJS.Timeout | undefined;
  private readonly timeline = new Timeline();

  constructor(private readonly options: ShimOptions) {
    const shared = {
      sandbox: () => this.sandbox,
      cgroupV2: () => existsSync(CGROUP_V2),
      shutdown: () => this.shutdown(),
    };
    this.tasks = new Tasks({
      ...shared,
      create: (request) => this.create(request),
      abandon: (id) => this.abandon(id),
      deserted: () => this.deserted(),
      heldBySandboxApi: () => this.sandboxes.holdsShim,
      events: options.events,
    });
    this.sandboxes = new Sandboxes({
      ...shared,
      id: options.identity.id,
      boot: (order) => this.boot(order),
      abandon: () => this.abandon(options.identity.id),
      optionsPath: () => configPathOf(options.startOptions),
    });
    this.deserted();
  }

  /** Ends the sandbox, whatever state it is in. Resolves when nothing of it is left. */
  async stop(reason: string): Promise<void> {
    await this.sandbox?.stop(reason);
  }

  private async create(request: task.CreateTaskRequest): Promise<{ sandbox: Sandbox; container: Container }> {
    const { id, bundle, rootfs } = request;
    if (!isAbsolute(bundle)) {
      throw new KataError('invalid_argument', `bundle ${JSON.stringify(bundle)} must be an absolute path`);
    }
    const optionsPath = configPathOf(request.options) || configPathOf(this.options.startOptions);
    const spec = readBundle(bundle);
    const joined = this.joined(id, spec);
    const expected = { rootfs, volumes: sharedMounts(spec.view) };
    const sandbox = joined ?? (await this.boot({ spec: ownerSpec(spec), bundle, expected, optionsPath }));
    const container = await sandbox.create({ id, bundle, rootfs, streams: streamsOf(request), spec });
    return { sandbox, container };
  }

  /** The sandbox a container joins; undefined: it needs one of its own. */
  private joined(id: string, { view }: ContainerSpec): Sandbox | undefined {
    const { sandbox } = this;
    if (view.containerType !== 'pod_container') {
      if (!sandbox) return undefined;
      throw new KataError(
        'already_exists',
        `this shim serves sandbox ${sandbox.identity.id} already; container ${id} needs a shim of its own`,
      );
    }
    if (!sandbox || sandbox.identity.id !== view.sandboxId) {
      throw new KataError(
        'failed_precondition',
        `container ${id} belongs to sandbox ${view.sandboxId}, which does not run here`,
      );
    }
    return sandbox;
  }

  private async boot(order: SandboxOrder): Promise<Sandbox> {
    this.timeline.mark('create');
    const { identity } = this.options;
    // Claimed before the first wait: of two Creates at once, one boots.
    if (this.booting) throw new KataError('already_exists', `sandbox ${identity.id} is being created already`);
    const claim = new Claim();
    this.booting = claim;
    try {
      const configuration = await configurationFor(this.options, order);
      if (claim.given) throw new KataError('cancelled', 'nobody wants the sandbox any more');
      const trace = await traceFor(this.options, configuration, order, this.timeline);
      const sandbox = newSandbox(this.options, configuration, order, this.timeline, this.tasks, trace);
      this.sandbox = sandbox;
      try {
        await sandbox.boot();
      } catch (thrown) {
        this.sandbox = undefined;
        throw thrown;
      }
      return sandbox;
    } finally {
      this.booting = undefined;
    }
  }

  /** Nobody waits for a container, or sandbox, that is being created: a boot for it need not go on. */
  private abandon(id: string): void {
    if (!this.booting || id !== this.options.identity.id) return;
    this.booting.given = true;
    void this.stop('nobody waits for it any more');
  }

  /** There may be nothing left to serve: if that stays so, the shim ends. */
  private deserted(): void {
    clearTimeout(this.desertion);
    this.desertion = setTimeout(() => {
      if (this.booting || this.sandboxes.holdsShim || (this.sandbox && this.sandbox.containers.size > 0)) return;
      void this.shutdown();
    }, DESERTED_MS);
    this.desertion.unref();
  }

  private async shutdown(): Promise<void> {
    if (this.booting) this.booting.given = true;
    await this.stop('the shim was told to shut down');
    this.options.exit();
  }
}

/** Held while a sandbox boots. */
class Claim {
  /** Given up: nobody wants the sandbox any more. */
  given = false;
}
