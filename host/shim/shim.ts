/** A serving shim: one socket, the Task services on it, at most one sandbox behind them. */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { type Configuration, loadConfiguration, thisMachine } from '../config/configuration.ts';
import { findFile } from '../config/files.ts';
import { configPathOf } from '../config/options.ts';
import { KataError } from '../error.ts';
import type { VmConfig } from '../hypervisor/hypervisor.ts';
import type * as task from '../proto/messages/task_v2.ts';
import { sizeOf } from '../resources/sizing.ts';
import type { Container } from '../sandbox/container.ts';
import type { Identity } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import type { Parts } from '../sandbox/parts.ts';
import { Sandbox } from '../sandbox/sandbox.ts';
import { type ContainerSpec, readBundle } from '../sandbox/spec.ts';
import { Timeline } from '../sandbox/timeline.ts';
import type { EventSink } from './events.ts';
import { streamsOf, Tasks } from './task.ts';

/** Present where cgroups are of version 2 only. */
const CGROUP_V2 = '/sys/fs/cgroup/cgroup.controllers';
/** Reads of one stream in flight: our own agent answers them in order, a Kata agent need not. */
const OWN_READS_IN_FLIGHT = 2;
const KATA_READS_IN_FLIGHT = 1;

export interface ShimOptions {
  readonly identity: Identity;
  /** Path of the socket that is served. */
  readonly socket: string;
  /** Directory of the program's files. */
  readonly lib: string;
  readonly debug: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly events: EventSink;
  readonly log: Log;
  readonly parts: (configuration: Configuration) => Parts;
  /** Ends the process; the answer to the call that led to it is out by then. */
  readonly exit: () => void;
  /** Where configuration.toml is looked for; tests name their own. */
  readonly searchPath?: readonly string[];
}

export class Shim {
  readonly tasks: Tasks;
  private sandbox: Sandbox | undefined;
  private booting: Claim | undefined;
  private readonly timeline = new Timeline();

  constructor(private readonly options: ShimOptions) {
    this.tasks = new Tasks({
      create: (request) => this.create(request),
      sandbox: () => this.sandbox,
      events: options.events,
      cgroupV2: () => existsSync(CGROUP_V2),
      shutdown: () => this.shutdown(),
    });
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
    const optionsPath = configPathOf(request.options);
    const spec = readBundle(bundle);
    const joined = this.joined(id, spec);
    const sandbox = joined ?? (await this.boot(request, spec, optionsPath));
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

  private async boot(request: task.CreateTaskRequest, spec: ContainerSpec, optionsPath: string): Promise<Sandbox> {
    this.timeline.mark('create');
    const { identity, log, lib, environment, searchPath } = this.options;
    // Claimed before the first wait: of two Creates at once, one boots.
    const claim = new Claim();
    if (this.booting) throw new KataError('already_exists', `sandbox ${identity.id} is being created already`);
    this.booting = claim;
    try {
      const file = findFile({
        optionsPath,
        environmentPath: environment.KATA_CONF_FILE ?? '',
        ...(searchPath ? { searchPath } : {}),
      });
      const configuration = await loadConfiguration(file, thisMachine(lib));
      log.info('configuration', { file: file ?? 'none: defaults' });
      if (configuration.unknown.length > 0) {
        log.warn('configuration keys without effect', { keys: configuration.unknown.join(', ') });
      }
      if (claim.given) throw new KataError('cancelled', 'the shim ends');
      const sandbox = this.newSandbox(configuration, request, spec);
      this.sandbox = sandbox;
      try {
        await sandbox.boot(spec);
      } catch (thrown) {
        this.sandbox = undefined;
        throw thrown;
      }
      return sandbox;
    } finally {
      this.booting = undefined;
    }
  }

  private newSandbox(
    configuration: Configuration,
    { bundle, rootfs }: task.CreateTaskRequest,
    spec: ContainerSpec,
  ): Sandbox {
    const { identity, socket, log, debug, parts } = this.options;
    return new Sandbox({
      identity,
      bundle,
      rootfs,
      socket,
      log,
      config: vmConfig(configuration, identity, spec, debug),
      bootTimeoutMs: configuration.bootTimeoutMs,
      createContainerTimeoutMs: configuration.createContainerTimeoutMs,
      disableGuestSeccomp: configuration.disableGuestSeccomp,
      guestHookPath: configuration.guestHookPath,
      kernelModules: configuration.kernelModules,
      readsInFlight: configuration.ownGuest ? OWN_READS_IN_FLIGHT : KATA_READS_IN_FLIGHT,
      parts: parts(configuration),
      timeline: this.timeline,
      observer: this.tasks,
    });
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

function vmConfig(configuration: Configuration, identity: Identity, spec: ContainerSpec, debug: boolean): VmConfig {
  const size = sizeOf(spec.view, configuration);
  return {
    sandboxId: identity.id,
    directory: identity.directory,
    qemuPath: configuration.qemuPath,
    machineType: configuration.machineType,
    machineAccelerators: configuration.machineAccelerators,
    cpuFeatures: configuration.cpuFeatures,
    kernel: configuration.kernel,
    initrd: configuration.initrd,
    image: configuration.image,
    kernelParams: configuration.kernelParams,
    vcpus: size.vcpus,
    maxVcpus: configuration.maxVcpus,
    memoryMib: size.memoryMib,
    seccompSandbox: configuration.seccompSandbox,
    debug: debug || configuration.debug,
  };
}
