/** `state.json`: what a sandbox has on this machine, written before it has it, so that anybody can clean up from it alone. */
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import type { RemoteTraces } from '../hypervisor/hypervisor.ts';
import type { NetworkTraces } from '../network/network.ts';
import { identityOf, type ProcessIdentity } from '../process.ts';

/** Largest state file that is read, bytes. */
export const MAX_STATE_BYTES = 256 * 1024;
/** Most children a state file names. */
export const MAX_CHILDREN = 64;
/** Most cgroups, and most network devices, that it names. */
export const MAX_TRACES = 1024;
export const STATE_VERSION = 1;

/** Longest text of the fields that describe a sandbox, characters; a longer one is not a state file of ours. */
export const MAX_TEXT = 4096;

/** A child, and what it is. */
export interface ProcessName extends ProcessIdentity {
  readonly name: string;
}

/** Which pod a sandbox is, as Kubernetes calls it. Each may be empty. */
export interface PodName {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

/** What describes a sandbox to people. State files of older programs have none of it. */
export interface SandboxDescription {
  /** Absent: a container by itself. */
  readonly pod?: PodName;
  /** The program that serves it: an upgrade leaves running sandboxes with theirs. */
  readonly program?: { readonly version: string; readonly lib: string };
  /** Resolved path of configuration.toml; empty: there was none. */
  readonly configuration?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt?: number;
  /** Path of the management socket. */
  readonly monitor?: string;
  /** Path of the link to it where Kata's tools look; made unless another sandbox has it. */
  readonly monitorLink?: string;
}

export interface SandboxState extends SandboxDescription {
  readonly version: number;
  readonly id: string;
  readonly namespace: string;
  /** containerd's gRPC socket. */
  readonly address: string;
  readonly bundle: string;
  /** Path of the shim's socket. */
  readonly socket: string;
  readonly shim: ProcessName;
  readonly children: readonly ProcessName[];
  /** A machine that somebody else made for the sandbox. */
  readonly remote?: RemoteTraces;
  /** What was made of the pod's network on the host. */
  readonly network?: NetworkTraces;
  /** Cgroups that were made. */
  readonly cgroups?: readonly string[];
  readonly accelerator?: string;
  readonly transport?: string;
  /** Milliseconds since the shim started, by event. */
  readonly timeline: Readonly<Record<string, number>>;
}

/** Path of the state file in a sandbox's directory. */
export function statePath(directory: string): string {
  return `${directory}/state.json`;
}

/**
 * Writes the file whole, or leaves the old one.
 * @throws KataError `internal`
 */
export function writeState(directory: string, state: SandboxState): void {
  const path = statePath(directory);
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (thrown) {
    throw new KataError('internal', `cannot write ${path}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/** @returns undefined when there is none, or none that can be understood */
export function readState(directory: string): SandboxState | undefined {
  try {
    const state: unknown = JSON.parse(readSmall(statePath(directory)));
    return isState(state) ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Nothing but a file is waited for, and none is larger. */
function readSmall(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.size > MAX_STATE_BYTES) throw new Error('no state file');
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Names a living process; undefined when there is none of that pid. */
export function nameProcess(name: string, pid: number): ProcessName | undefined {
  const identity = identityOf(pid);
  return identity && { name, ...identity };
}

function isState(value: unknown): value is SandboxState {
  if (typeof value !== 'object' || value === null) return false;
  const state = value as Record<string, unknown>;
  const { children } = state;
  return (
    state.version === STATE_VERSION &&
    typeof state.id === 'string' &&
    typeof state.socket === 'string' &&
    isProcessName(state.shim) &&
    Array.isArray(children) &&
    children.length <= MAX_CHILDREN &&
    children.every(isProcessName) &&
    (state.remote === undefined || isRemote(state.remote)) &&
    (state.network === undefined || isNetwork(state.network)) &&
    (state.cgroups === undefined || isTexts(state.cgroups)) &&
    isDescription(state)
  );
}

function isDescription(state: Record<string, unknown>): state is Record<string, unknown> & SandboxDescription {
  const { pod, program, configuration, createdAt, monitor, monitorLink } = state;
  return (
    (pod === undefined || hasTexts(pod, ['name', 'namespace', 'uid'])) &&
    (program === undefined || hasTexts(program, ['version', 'lib'])) &&
    [configuration, monitor, monitorLink].every((text) => text === undefined || isText(text)) &&
    (createdAt === undefined || (typeof createdAt === 'number' && Number.isSafeInteger(createdAt)))
  );
}

function hasTexts(value: unknown, names: readonly string[]): boolean {
  return typeof value === 'object' && value !== null && names.every((name) => isText((value as never)[name]));
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT;
}

function isRemote(value: unknown): value is RemoteTraces {
  if (typeof value !== 'object' || value === null) return false;
  const { socket, id } = value as Record<string, unknown>;
  return typeof socket === 'string' && typeof id === 'string';
}

function isNetwork(value: unknown): value is NetworkTraces {
  if (typeof value !== 'object' || value === null) return false;
  const { namespace, ownNamespace, devices } = value as Record<string, unknown>;
  return typeof namespace === 'string' && typeof ownNamespace === 'boolean' && isTexts(devices);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_TRACES && value.every((text) => typeof text === 'string');
}

function isProcessName(value: unknown): value is ProcessName {
  if (typeof value !== 'object' || value === null) return false;
  const { name, pid, startTime } = value as Record<string, unknown>;
  return typeof name === 'string' && typeof pid === 'number' && typeof startTime === 'number';
}
