/** What the host itself needs to know of a container's spec. */
import { KataError } from '../error.ts';
import { decode, type Int64, type MessageType } from '../proto/codec.ts';
import {
  type Box,
  type Hooks,
  type LinuxDevice,
  type LinuxNamespace,
  type Mount,
  Spec,
} from '../proto/messages/oci.ts';
import { applyEdit, dropField, type FieldPath, noEdit } from './edit.ts';
import { CONTAINER_TYPES, type ContainerType, SANDBOX_IDS, SECCOMP } from './rules.ts';

export interface SpecView {
  readonly containerType: ContainerType;
  /** The pod's sandbox; set for a pod_container only. */
  readonly sandboxId: string | undefined;
  readonly args: readonly string[];
  readonly terminal: boolean;
  /** Undefined where the spec gives none. */
  readonly consoleSize: Box | undefined;
  /** As in the spec: absolute, or relative to the bundle. Never empty. */
  readonly rootPath: string;
  readonly rootReadonly: boolean;
  readonly hostname: string;
  readonly mounts: readonly Mount[];
  readonly namespaces: readonly LinuxNamespace[];
  readonly devices: readonly LinuxDevice[];
  /** Without prototype: keys are the user's. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly cgroupsPath: string;
  readonly resources: {
    /** Bytes; 0: not given, negative: unlimited. */
    readonly memoryLimit: number;
    /** Microseconds per period; 0: not given, negative: unlimited. */
    readonly cpuQuota: number;
    /** Microseconds; 0: not given. */
    readonly cpuPeriod: number;
    /** Relative weight; 0: not given. */
    readonly cpuShares: number;
  };
  readonly hooks: Hooks | undefined;
}

/** Large fields that the host never looks at: cut off undecoded. */
const UNREAD: readonly FieldPath[] = [SECCOMP, ['Process', 'Capabilities'], ['Process', 'Env']];

/**
 * Reads a spec that `translateSpec` made.
 * @throws KataError `invalid_argument` where it lacks what every container needs, or its annotations make no sense
 */
export function readSpec(spec: Uint8Array): SpecView {
  const edit = noEdit();
  for (const path of UNREAD) dropField(edit, Spec as MessageType<unknown>, path);
  const {
    Process: process,
    Root: root,
    Annotations: annotations,
    Linux: linux,
    ...rest
  } = decode(Spec, applyEdit(spec, edit));
  if (!process) throw lacking('process', 'the program to run stands in process.args');
  if (process.Args.length === 0) throw lacking('process.args', 'name the program to run');
  if (!root) throw lacking('root', 'root.path names the root file system');
  if (root.Path === '') throw lacking('root.path', 'it names the root file system');
  const containerType = containerTypeOf(annotations);
  return {
    containerType,
    sandboxId: containerType === 'pod_container' ? sandboxIdOf(annotations) : undefined,
    args: process.Args,
    terminal: process.Terminal,
    consoleSize: process.ConsoleSize,
    rootPath: root.Path,
    rootReadonly: root.Readonly,
    hostname: rest.Hostname,
    mounts: rest.Mounts,
    namespaces: linux?.Namespaces ?? [],
    devices: linux?.Devices ?? [],
    annotations,
    cgroupsPath: linux?.CgroupsPath ?? '',
    resources: {
      memoryLimit: asNumber(linux?.Resources?.Memory?.Limit),
      cpuQuota: asNumber(linux?.Resources?.CPU?.Quota),
      cpuPeriod: asNumber(linux?.Resources?.CPU?.Period),
      cpuShares: asNumber(linux?.Resources?.CPU?.Shares),
    },
    hooks: rest.Hooks,
  };
}

function containerTypeOf(annotations: Readonly<Record<string, string>>): ContainerType {
  for (const { key, values } of CONTAINER_TYPES) {
    const value = annotations[key];
    if (value === undefined) continue;
    const type = Object.hasOwn(values, value) ? values[value] : undefined;
    if (type) return type;
    const known = Object.keys(values).join(' or ');
    throw new KataError(
      'invalid_argument',
      `config.json: annotation ${key} is ${JSON.stringify(value)}; it must be ${known}`,
    );
  }
  return 'single_container';
}

function sandboxIdOf(annotations: Readonly<Record<string, string>>): string {
  for (const key of SANDBOX_IDS) {
    const id = annotations[key];
    if (id) return id;
  }
  throw new KataError(
    'invalid_argument',
    `config.json: a container of a pod without its sandbox's id; set the annotation ${SANDBOX_IDS.join(' or ')}`,
  );
}

function lacking(field: string, advice: string): KataError {
  return new KataError('invalid_argument', `config.json: ${field} is missing; ${advice}`);
}

/** Limits beyond 2^53 mean "as much as there is": rounding does not matter. */
function asNumber(value: Int64 | undefined): number {
  return Number(value ?? 0);
}
