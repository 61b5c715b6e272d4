/** From an order for a sandbox to its virtual machine: configuration, size, parts. */
import { annotate, type Ignored } from '../config/annotations.ts';
import { type Configuration, loadConfiguration, thisMachine } from '../config/configuration.ts';
import { kernelParamsFor } from '../config/debugging.ts';
import { tellKeys } from '../config/effects.ts';
import { findFile, searchPathOf } from '../config/files.ts';
import type { RemoteVm, VmConfig } from '../hypervisor/hypervisor.ts';
import type { Durations } from '../metrics/durations.ts';
import { sizeOf } from '../resources/sizing.ts';
import { ConsoleLog } from '../sandbox/console-log.ts';
import type { Identity } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import { monitorLink, monitorSocket } from '../sandbox/monitor-link.ts';
import { OOM_GRACE_MS } from '../sandbox/oom.ts';
import type { Expected, Parts } from '../sandbox/parts.ts';
import { podNameOf } from '../sandbox/pod-name.ts';
import { Sandbox } from '../sandbox/sandbox.ts';
import type { Observer } from '../sandbox/sandbox-options.ts';
import type { SandboxSpec } from '../sandbox/sandbox-spec.ts';
import type { SandboxDescription } from '../sandbox/state-file.ts';
import type { Timeline } from '../sandbox/timeline.ts';
import type { Trace } from '../sandbox/trace.ts';
import type { Door } from '../sandbox/vm.ts';
import { unusedSizes } from './unused-sizes.ts';

/** Reads of one stream in flight: our own agent answers them in order, a Kata agent need not. */
const OWN_READS_IN_FLIGHT = 2;
const KATA_READS_IN_FLIGHT = 1;
/** Vsock port where Kata's agent has its debug console; ours needs none. */
const KATA_CONSOLE_PORT = 1026;

/** Most annotations without effect that the log names: whoever makes pods writes them. */
const MAX_TOLD = 16;

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
  /** The program's own; absent: it is not known. */
  readonly version?: string | undefined;
  /** Makes the door by which people look in. Absent: there is none. */
  readonly door?: ((managed: Managed) => Door) | undefined;
  /** Where Kata's tools look for management sockets; tests name their own. */
  readonly linkDirectory?: string | undefined;
  readonly debug: boolean;
  /** Whether anybody is connected. */
  readonly attended: () => boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly parts: (configuration: Configuration) => Parts;
  /** Told of the configuration as soon as it is read. */
  readonly configured?: ((configuration: Configuration) => Promise<void>) | undefined;
  /** Where configuration.toml is looked for; tests name their own. */
  readonly searchPath?: readonly string[];
}

/** Whom a door leads to. */
export interface Managed {
  /** Once the door is open; it may not be booted yet. */
  readonly sandbox: () => Sandbox;
  readonly configuration: Configuration;
  readonly description: SandboxDescription;
  /** How long containerd's calls took. */
  readonly calls: Durations | undefined;
  readonly log: Log;
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
    searchPath: searchPath ?? searchPathOf(lib),
  });
  const configuration = await loadConfiguration(file, thisMachine(lib));
  await options.configured?.(configuration);
  log.info('configuration', { file: file ?? 'none: defaults' });
  const missed = [...configuration.ignored.filter(({ harmless }) => !harmless), ...configuration.unknown];
  if (missed.length > 0) log.warn('configuration keys without effect', { keys: tellKeys(missed) });
  for (const note of configuration.notes) log.warn('configuration', { note });
  const annotated = await annotate(configuration, spec.annotations);
  tellIgnored(log, annotated.ignored);
  if (annotated.hashes.length > 0) {
    const { checkHashes } = await import('../config/annotations-hash.ts');
    await checkHashes(annotated.hashes);
  }
  return annotated.configuration;
}

/** @returns undefined where traces are not wanted: nothing of them is loaded then */
export async function traceFor(
  { identity, version = '', environment, log }: BootOptions,
  { debugging }: Configuration,
  { spec }: SandboxOrder,
  timeline: Timeline,
): Promise<Trace | undefined> {
  if (debugging.traces === undefined) return undefined;
  const { startTrace } = await import('../tracing/start.ts');
  const { id: sandboxId, namespace } = identity;
  const about = { sandboxId, namespace, pod: podNameOf(spec), version, timeline };
  return startTrace(debugging.traces, environment, about, log);
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
  observer: Observer & { readonly durations?: Durations },
  trace?: Trace,
): Sandbox {
  const { identity, socket, log, parts } = options;
  const description = describe(options, configuration, order.spec);
  // It is opened by the sandbox it leads to.
  const door = options.door?.({ sandbox: () => sandbox, configuration, description, calls: observer.durations, log });
  const sandbox: Sandbox = new Sandbox({
    description,
    door,
    trace,
    identity,
    bundle: order.bundle,
    spec: order.spec,
    expected: order.expected,
    socket,
    log,
    config: vmConfig(configuration, identity, order.spec, options),
    bootTimeoutMs: configuration.bootTimeoutMs,
    healthTimeoutMs: configuration.agent.healthTimeoutMs,
    policy: configuration.agent.policy,
    sharedMounts: configuration.sharedMounts,
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
  return sandbox;
}

function describe(options: BootOptions, { file }: Configuration, spec: SandboxSpec): SandboxDescription {
  const { identity, version = '', lib, linkDirectory } = options;
  const pod = podNameOf(spec);
  const doors = {
    monitor: monitorSocket(identity.directory),
    monitorLink: monitorLink(identity.id, linkDirectory),
  };
  return {
    ...(pod ? { pod } : {}),
    program: { version, lib },
    configuration: file ?? '',
    createdAt: Date.now(),
    ...(options.door ? doors : {}),
  };
}

function tellIgnored(log: Log, ignored: readonly Ignored[]): void {
  if (ignored.length === 0) return;
  const names = ignored.slice(0, MAX_TOLD).map(({ name, why }) => `${name} (${why})`);
  const more = ignored.length - names.length;
  log.warn('annotations without effect', { names: names.join(', '), ...(more > 0 ? { more } : {}) });
}

function vmConfig(
  configuration: Configuration,
  identity: Identity,
  spec: SandboxSpec,
  { debug, log }: BootOptions,
): VmConfig {
  const size = sizeOf(spec.sizing, configuration);
  tellIgnored(log, unusedSizes(configuration, size));
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
    kernelParams: kernelParamsFor(
      `${configuration.agent.params} ${configuration.kernelParams}`,
      configuration.debugging.debugConsole,
      configuration.ownGuest ? 0 : KATA_CONSOLE_PORT,
    ),
    vcpus: size.vcpus,
    maxVcpus: configuration.maxVcpus,
    memoryMib: size.memoryMib,
    seccompSandbox: configuration.seccompSandbox,
    block: configuration.block,
    memory: configuration.memory,
    devices: configuration.devices,
    debug: debug || configuration.debug,
    ...(configuration.debugging.consoleLog ? { onConsole: consoleLog(log) } : {}),
    remote: remoteVm(configuration, spec),
  };
}

/** From the guest's first word on. */
function consoleLog(log: Log): (chunk: Uint8Array) => void {
  const lines = new ConsoleLog(log);
  return (chunk) => lines.push(chunk);
}

function remoteVm({ remote }: Configuration, spec: SandboxSpec): RemoteVm | undefined {
  if (!remote) return undefined;
  const pod = podNameOf(spec);
  return { ...remote, podName: pod?.name ?? '', podNamespace: pod?.namespace ?? '' };
}
