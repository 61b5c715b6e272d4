/** From an order for a sandbox to its virtual machine: configuration, size, parts. */
import { annotate } from '../config/annotations.ts';
import { type Configuration, loadConfiguration, thisMachine } from '../config/configuration.ts';
import { findFile } from '../config/files.ts';
import type { RemoteVm, VmConfig } from '../hypervisor/hypervisor.ts';
import { sizeOf } from '../resources/sizing.ts';
import type { Identity } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import { OOM_GRACE_MS } from '../sandbox/oom.ts';
import type { Expected, Parts } from '../sandbox/parts.ts';
import { Sandbox } from '../sandbox/sandbox.ts';
import type { Observer } from '../sandbox/sandbox-options.ts';
import type { SandboxSpec } from '../sandbox/sandbox-spec.ts';
import type { Timeline } from '../sandbox/timeline.ts';

/** Reads of one stream in flight: our own agent answers them in order, a Kata agent need not. */
const OWN_READS_IN_FLIGHT = 2;
const KATA_READS_IN_FLIGHT = 1;

/** Annotations by which containerd's CRI and CRI-O name a pod. */
const POD_NAMES = ['io.kubernetes.cri.sandbox-name', 'io.kubernetes.cri-o.KubeName'];
const POD_NAMESPACES = ['io.kubernetes.cri.sandbox-namespace', 'io.kubernetes.cri-o.Namespace'];

/** What somebody wants a sandbox for. */
export interface SandboxOrder {
  readonly spec: SandboxSpec;
  readonly bundle: string;
  readonly expected: Expected;
  /** Path of the configuration that the runtime options name; empty: none. */
  readonly optionsPath: string;
}

/** What of the shim a sandbox is made with. */
export interface BootOptions {
  readonly identity: Identity;
  /** Path of the socket that is served. */
  readonly socket: string;
  /** Directory of the program's files. */
  readonly lib: string;
  readonly debug: boolean;
  /** Whether anybody is connected. */
  readonly attended: () => boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly parts: (configuration: Configuration) => Parts;
  /** Where configuration.toml is looked for; tests name their own. */
  readonly searchPath?: readonly string[];
}

/**
 * Reads the configuration that holds for a sandbox.
 * @throws KataError of `findFile`, `loadConfiguration` and `annotate`
 */
export async function configurationFor(
  options: BootOptions,
  { optionsPath, spec }: SandboxOrder,
): Promise<Configuration> {
  const { environment, searchPath, lib, log } = options;
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
  const annotated = annotate(configuration, spec.annotations);
  if (annotated.ignored.length > 0) {
    log.warn('annotations without effect', { names: annotated.ignored.join(', ') });
  }
  return annotated.configuration;
}

/**
 * A sandbox that is not booted yet.
 * @throws KataError for a size or a network that cannot be had
 */
export function newSandbox(
  options: BootOptions,
  configuration: Configuration,
  order: SandboxOrder,
  timeline: Timeline,
  observer: Observer,
): Sandbox {
  const { identity, socket, log, debug, parts } = options;
  return new Sandbox({
    identity,
    bundle: order.bundle,
    spec: order.spec,
    expected: order.expected,
    socket,
    log,
    config: vmConfig(configuration, identity, order.spec, debug),
    bootTimeoutMs: configuration.bootTimeoutMs,
    createContainerTimeoutMs: configuration.createContainerTimeoutMs,
    disableGuestSeccomp: configuration.disableGuestSeccomp,
    guestHookPath: configuration.guestHookPath,
    kernelModules: configuration.kernelModules,
    readsInFlight: configuration.ownGuest ? OWN_READS_IN_FLIGHT : KATA_READS_IN_FLIGHT,
    inOrder: configuration.ownGuest,
    oomGraceMs: configuration.ownGuest ? OOM_GRACE_MS.own : OOM_GRACE_MS.kata,
    parts: parts(configuration),
    timeline,
    observer,
    attended: options.attended,
  });
}

function vmConfig(configuration: Configuration, identity: Identity, spec: SandboxSpec, debug: boolean): VmConfig {
  const size = sizeOf(spec.sizing, configuration);
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
    remote: remoteVm(configuration, spec),
  };
}

function remoteVm({ remote }: Configuration, { annotations, pod }: SandboxSpec): RemoteVm | undefined {
  if (!remote) return undefined;
  const first = (names: readonly string[]): string => {
    const name = names.find((each) => Object.hasOwn(annotations, each));
    return name === undefined ? '' : (annotations[name] ?? '');
  };
  return {
    ...remote,
    podName: pod?.metadata?.name || first(POD_NAMES),
    podNamespace: pod?.metadata?.namespace || first(POD_NAMESPACES),
  };
}
