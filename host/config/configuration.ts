/** configuration.toml as the program uses it: typed, checked, with defaults for all that is not set. */
import type { KataError } from '../error.ts';
import type { SharedMount } from '../proto/messages/agent.ts';
import { type AgentSettings, agentObstacles, agentOf, unheardKeys } from './agent-params.ts';
import { expressionFault } from './annotations-enabled.ts';
import { type Assets, assetProblems, assetsOf, remoteAssetsOf } from './assets.ts';
import { type BlockSettings, blockOf } from './block.ts';
import { type Debugging, debuggingOf } from './debugging.ts';
import { type IgnoredKey, ignoredKeys, type UnknownKey, unknownKeys } from './effects.ts';
import { dropInsOf, type Merged, readMerged } from './files.ts';
import { hypervisorTable } from './hypervisor-table.ts';
import type { Machine } from './machine.ts';
import { type MachineDevices, machineDevicesOf, seccompOf } from './machine-devices.ts';
import { type ManagementSettings, managementOf } from './management.ts';
import { type MemorySettings, memoryOf } from './memory.ts';
import { type Networking, networkingOf } from './networking.ts';
import { type Rates, ratesOf } from './rates.ts';
import { refusalsOf } from './refusals.ts';
import { type RemoteSettings, remoteSettings } from './remote.ts';
import { sharedMountObstacles, sharedMountsOf } from './shared-mounts.ts';
import { notesOf, type Sharing, sharingOf } from './sharing.ts';
import { MAX_MEMORY_MIB, MAX_VCPUS, type Sizes, sizesOf } from './sizes.ts';
import { QEMU, REMOTE, show, throwFirst, Values } from './values.ts';

export { type Machine, thisMachine } from './machine.ts';
export { MAX_VCPUS, MIN_MEMORY_MIB } from './sizes.ts';

/** Defaults where the configuration is silent, seconds. */
export const DEFAULT_DIAL_TIMEOUT_S = 45;
export const DEFAULT_CREATE_CONTAINER_TIMEOUT_S = 60;
/** Longest time a timeout may give, seconds: a day. */
export const MAX_TIMEOUT_S = 86_400;
const DEFAULT_SECCOMP_SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

export interface Configuration extends Assets, Sizes, Sharing, Networking, Rates, ManagementSettings {
  /** Resolved path; undefined: no file, all defaults. */
  readonly file: string | undefined;
  /** What it was made of. */
  readonly values: Values;
  /** The machine whose limits hold: with a remote hypervisor not this one. */
  readonly machine: Machine;
  /** undefined: the hypervisor is QEMU. */
  readonly remote: RemoteSettings | undefined;
  readonly qemuPath: string;
  readonly machineType: string;
  readonly machineAccelerators: string;
  readonly cpuFeatures: string;
  readonly kernelParams: string;
  readonly seccompSandbox: string;
  readonly block: BlockSettings;
  readonly memory: MemorySettings;
  readonly devices: MachineDevices;
  /** enable_vcpus_pinning. */
  readonly pinVcpus: boolean;
  readonly debug: boolean;
  /** Never a pod's choice. */
  readonly debugging: Debugging;
  readonly guestHookPath: string;
  readonly kernelModules: readonly string[];
  /** Directories of one container that another of the pod sees, by names of containers. */
  readonly sharedMounts: readonly SharedMount[];
  /** Of the guest's agent. */
  readonly agent: AgentSettings;
  readonly bootTimeoutMs: number;
  readonly createContainerTimeoutMs: number;
  readonly disableGuestSeccomp: boolean;
  /** Whether shim, QEMU and virtiofsd are in the pod's cgroup; otherwise the vCPUs alone. */
  readonly sandboxCgroupOnly: boolean;
  /** Regular expressions: hypervisor annotations that a pod may use. */
  readonly enableAnnotations: readonly string[];
  /** auto, virtio-serial, vsock or hybrid-vsock; empty: auto. */
  readonly agentTransport: string;
  /** Keys that are known and have no effect. */
  readonly ignored: readonly IgnoredKey[];
  readonly unknown: readonly UnknownKey[];
  /** What is done otherwise than the files say, for the log. */
  readonly notes: readonly string[];
}

/**
 * Reads a configuration of which a sandbox can be made.
 * @param file resolved path; undefined: defaults
 * @throws KataError `invalid_argument` naming file, line, key and what is expected; `permission_denied` for a file that others
 *   could have written; `unimplemented` for a setting that a pod counts on and that we do not have; `failed_precondition` for
 *   an asset that does not exist
 */
export async function loadConfiguration(file: string | undefined, machine: Machine): Promise<Configuration> {
  const merged: Merged = file === undefined ? new Map() : await readMerged([file, ...dropInsOf(file)]);
  const values = new Values(merged, hypervisorTable(merged, file));
  throwFirst(refusalsOf(merged, values.hypervisor));
  return usable(interpret(values, file, machine));
}

/**
 * What a configuration says, whether or not a sandbox can be made of it.
 * @throws KataError `invalid_argument` naming file, line, key and what is expected
 */
export function interpret(values: Values, file: string | undefined, machine: Machine): Configuration {
  return configure(values, file, values.hypervisor === REMOTE ? unlimited(machine) : machine, debuggingOf(values));
}

/** Why no sandbox can be made of a configuration: what it asks for and we do not have, then what is missing on this machine. */
export function obstacles(configuration: Configuration): KataError[] {
  const { values } = configuration;
  return [
    ...refusalsOf(values.merged, values.hypervisor),
    ...agentObstacles(values, configuration.ownGuest),
    ...sharedMountObstacles(values, configuration.ownGuest),
    ...assetProblems(configuration),
  ];
}

/**
 * The configuration with some keys set otherwise, as annotations do: typed and checked as a whole, like a file.
 * @throws KataError as `loadConfiguration`, naming what set the key
 */
export function reconfigure(configuration: Configuration, overrides: Merged): Configuration {
  const { values, file, machine, debugging } = configuration;
  return usable(configure(values.overlaid(overrides), file, machine, debugging));
}

function usable(configuration: Configuration): Configuration {
  throwFirst(obstacles(configuration));
  return configuration;
}

function configure(values: Values, file: string | undefined, machine: Machine, debugging: Debugging): Configuration {
  const { hypervisor } = values;
  const arm = machine.arch === 'arm64';
  const remote = hypervisor === REMOTE ? remoteSettings(values) : undefined;
  const assets = remote ? remoteAssetsOf(values) : assetsOf(values, machine.guest, arm ? 'Image' : 'vmlinux');
  return {
    file,
    values,
    machine,
    remote,
    qemuPath: values.path(QEMU, 'path', `/usr/bin/qemu-system-${arm ? 'aarch64' : 'x86_64'}`),
    machineType: values.string(hypervisor, 'machine_type', '') || (remote ? '' : arm ? 'virt' : 'q35'),
    machineAccelerators: values.string(QEMU, 'machine_accelerators', ''),
    cpuFeatures: values.string(QEMU, 'cpu_features', ''),
    ...assets,
    kernelParams: values.string(QEMU, 'kernel_params', ''),
    seccompSandbox: seccompOf(values) || DEFAULT_SECCOMP_SANDBOX,
    ...sizesOf(values, machine),
    ...sharingOf(values),
    ...networkingOf(values),
    ...managementOf(values),
    ...ratesOf(values),
    block: blockOf(values),
    memory: memoryOf(values),
    devices: machineDevicesOf(values),
    pinVcpus: values.boolean('runtime', 'enable_vcpus_pinning', false),
    debug: values.boolean(hypervisor, 'enable_debug', false) || values.boolean('runtime', 'enable_debug', false),
    debugging,
    guestHookPath: values.string(hypervisor, 'guest_hook_path', ''),
    // Kata's too sends a remote machine none.
    kernelModules: remote ? [] : values.strings('agent.kata', 'kernel_modules'),
    sharedMounts: sharedMountsOf(values),
    agent: agentOf(values, assets.ownGuest),
    bootTimeoutMs: (remote?.timeoutMs ?? 0) + dialTimeout(values),
    createContainerTimeoutMs: createTimeout(values),
    disableGuestSeccomp: values.boolean('runtime', 'disable_guest_seccomp', true),
    sandboxCgroupOnly: values.boolean('runtime', 'sandbox_cgroup_only', true),
    enableAnnotations: expressions(values),
    agentTransport: values.string('edge', 'agent_transport', ''),
    ignored: ignoredKeys(values.merged, hypervisor, unheardKeys(values.merged, assets.ownGuest, remote !== undefined)),
    unknown: unknownKeys(values.merged, hypervisor),
    notes: [...notesOf(values), ...debugging.notices],
  };
}

/** The sizes of a peer's machines are the peer's business. */
function unlimited(machine: Machine): Machine {
  return { ...machine, cpus: MAX_VCPUS, memoryMib: MAX_MEMORY_MIB };
}

function expressions(values: Values): readonly string[] {
  const { hypervisor } = values;
  const list = values.strings(hypervisor, 'enable_annotations');
  for (const expression of list) {
    const fault = expressionFault(expression);
    if (fault !== undefined) {
      throw values.invalid(hypervisor, 'enable_annotations', `has ${show(expression)}, which ${fault}`);
    }
  }
  return list;
}

/** Kata's Rust runtime has another name for it, and a default that only hosts with KVM can keep: it can only add time. */
function dialTimeout(values: Values): number {
  const goMs = seconds(values, 'agent.kata', 'dial_timeout', DEFAULT_DIAL_TIMEOUT_S);
  const rsMs = values.number('agent.kata', 'reconnect_timeout_ms', 0);
  if (rsMs > MAX_TIMEOUT_S * 1000) {
    throw values.invalid(
      'agent.kata',
      'reconnect_timeout_ms',
      `is ${rsMs}; at most ${MAX_TIMEOUT_S * 1000} ms are taken`,
    );
  }
  return values.isSet('agent.kata', 'dial_timeout') ? goMs : Math.max(goMs, rsMs);
}

function createTimeout(values: Values): number {
  const table = values.isSet('runtime', 'create_container_timeout') ? 'runtime' : 'agent.kata';
  return seconds(values, table, 'create_container_timeout', DEFAULT_CREATE_CONTAINER_TIMEOUT_S);
}

/** Milliseconds; 0 means the default, as a missing key does. */
function seconds(values: Values, table: string, key: string, fallback: number): number {
  const given = values.number(table, key, fallback) || fallback;
  if (given <= MAX_TIMEOUT_S) return given * 1000;
  throw values.invalid(table, key, `is ${given} s; at most ${MAX_TIMEOUT_S} s are taken`);
}
