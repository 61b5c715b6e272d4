/** configuration.toml as the program uses it: typed, checked, with defaults for all that is not set. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { KataError } from '../error.ts';
import { type Merged, readMerged, type Table } from './files.ts';
import { isOfType, KEYS, TYPE_NAMES, type ValueType } from './keys.ts';

/** Least memory a guest of ours runs in, MiB. */
export const MIN_MEMORY_MIB = 64;
/** Most vCPUs of a guest. */
export const MAX_VCPUS = 240;
/** Defaults where the configuration is silent. MiB, seconds. */
export const DEFAULT_MEMORY_MIB = 256;
export const DEFAULT_OVERHEAD_MEMORY_MIB = 128;
export const DEFAULT_DIAL_TIMEOUT_S = 45;
export const DEFAULT_CREATE_CONTAINER_TIMEOUT_S = 60;
const DEFAULT_VIRTIO_FS_CACHE = 'auto';
const DEFAULT_SECCOMP_SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

export interface Configuration {
  /** Resolved path; undefined: no file, all defaults. */
  readonly file: string | undefined;
  readonly qemuPath: string;
  readonly machineType: string;
  readonly machineAccelerators: string;
  readonly cpuFeatures: string;
  readonly kernel: string;
  /** Exactly one of the two is set. */
  readonly initrd: string | undefined;
  readonly image: string | undefined;
  readonly kernelParams: string;
  readonly seccompSandbox: string;
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryMib: number;
  /** Added to what a workload asks for. */
  readonly overheadVcpus: number;
  readonly overheadMemoryMib: number;
  /** Empty: where distributions put it. */
  readonly virtiofsd: string;
  readonly virtioFsCache: string;
  readonly virtioFsExtraArgs: readonly string[];
  readonly blockDevices: boolean;
  readonly debug: boolean;
  readonly guestHookPath: string;
  readonly kernelModules: readonly string[];
  readonly bootTimeoutMs: number;
  readonly createContainerTimeoutMs: number;
  readonly disableGuestSeccomp: boolean;
  /** Whether the guest is our own: its agent listens on a virtio-serial port, a Kata guest's on vsock. */
  readonly ownGuest: boolean;
  /** auto, virtio-serial, vsock or hybrid-vsock; empty: auto. */
  readonly agentTransport: string;
  /** Keys that have no effect, for the log: `table.key (file)`. */
  readonly unknown: readonly string[];
}

export interface Machine {
  /** Node's name: x64, arm64. */
  readonly arch: string;
  /** Directory of our guest's kernel and initramfs. */
  readonly guest: string;
  readonly cpus: number;
}

/** This machine, with guest assets beside the program at `lib`. */
export function thisMachine(lib: string): Machine {
  const arch = process.arch;
  const debian = arch === 'x64' ? 'amd64' : arch;
  return { arch, guest: join(lib, '..', 'share', 'guest', debian), cpus: availableParallelism() };
}

/**
 * Reads a configuration.
 * @param file resolved path; undefined: defaults
 * @throws KataError `invalid_argument` naming file, key and what is expected; `failed_precondition` for an asset that
 *   does not exist
 */
export async function loadConfiguration(file: string | undefined, machine: Machine): Promise<Configuration> {
  let merged: Merged = new Map();
  if (file !== undefined) {
    // Loaded for this only: nodes without a configuration file do not pay for a TOML parser.
    const { parse } = await import('smol-toml');
    merged = readMerged(file, (text) => parse(text) as Table);
  }
  return configure(new Values(merged), file, machine);
}

/** Typed access to what the files say. */
class Values {
  constructor(private readonly merged: Merged) {}

  string(table: string, key: string, fallback: string): string {
    return (this.get(table, key, 'string') as string | undefined) ?? fallback;
  }
  number(table: string, key: string, fallback: number): number {
    return (this.get(table, key, KEYS[table]?.[key] ?? 'number') as number | undefined) ?? fallback;
  }
  boolean(table: string, key: string, fallback: boolean): boolean {
    return (this.get(table, key, 'boolean') as boolean | undefined) ?? fallback;
  }
  strings(table: string, key: string): readonly string[] {
    return (this.get(table, key, 'strings') as string[] | undefined) ?? [];
  }

  /** Where a key was set, for messages. */
  where(table: string, key: string): string {
    return `${this.merged.get(table)?.get(key)?.file ?? 'the defaults'}: ${table}.${key}`;
  }

  isSet(table: string, key: string): boolean {
    return this.merged.get(table)?.has(key) ?? false;
  }

  tables(): string[] {
    return [...this.merged.keys()];
  }

  /** Set keys that have no effect. */
  unknown(): string[] {
    const found: string[] = [];
    for (const [table, keys] of this.merged) {
      for (const [key, { file }] of keys) {
        if (!Object.hasOwn(KEYS[table] ?? {}, key)) found.push(`${table === '' ? '' : `${table}.`}${key} (${file})`);
      }
    }
    return found;
  }

  private get(table: string, key: string, type: ValueType): unknown {
    const origin = this.merged.get(table)?.get(key);
    if (!origin) return undefined;
    if (!isOfType(type, origin.value)) {
      throw new KataError(
        'invalid_argument',
        `${this.where(table, key)} is ${show(origin.value)}; it must be ${TYPE_NAMES[type]}`,
      );
    }
    return origin.value;
  }
}

const QEMU = 'hypervisor.qemu';

function configure(values: Values, file: string | undefined, machine: Machine): Configuration {
  checkHypervisor(values, file);
  const arm = machine.arch === 'arm64';
  const maxVcpus = clampVcpus(values.number(QEMU, 'default_maxvcpus', 0), machine.cpus);
  const vcpus = bootVcpus(values, machine.cpus);
  const memoryMib = values.number(QEMU, 'default_memory', DEFAULT_MEMORY_MIB);
  if (memoryMib < MIN_MEMORY_MIB) {
    throw invalid(values, 'default_memory', `is ${memoryMib} MiB; a guest needs ${MIN_MEMORY_MIB} at least`);
  }
  return {
    file,
    qemuPath: absolute(values, 'path', `/usr/bin/qemu-system-${arm ? 'aarch64' : 'x86_64'}`),
    machineType: values.string(QEMU, 'machine_type', arm ? 'virt' : 'q35'),
    machineAccelerators: values.string(QEMU, 'machine_accelerators', ''),
    cpuFeatures: values.string(QEMU, 'cpu_features', ''),
    ...assets(values, machine, arm),
    kernelParams: values.string(QEMU, 'kernel_params', ''),
    seccompSandbox: seccomp(values),
    vcpus,
    maxVcpus: Math.max(maxVcpus, vcpus),
    memoryMib,
    overheadVcpus: values.number(QEMU, 'overhead_vcpus', 0),
    overheadMemoryMib: values.number(QEMU, 'overhead_memory', DEFAULT_OVERHEAD_MEMORY_MIB),
    virtiofsd: absolute(values, 'virtio_fs_daemon', ''),
    virtioFsCache: values.string(QEMU, 'virtio_fs_cache', DEFAULT_VIRTIO_FS_CACHE),
    virtioFsExtraArgs: values.strings(QEMU, 'virtio_fs_extra_args'),
    blockDevices: !values.boolean(QEMU, 'disable_block_device_use', false),
    debug: values.boolean(QEMU, 'enable_debug', false) || values.boolean('runtime', 'enable_debug', false),
    guestHookPath: values.string(QEMU, 'guest_hook_path', ''),
    kernelModules: values.strings('agent.kata', 'kernel_modules'),
    bootTimeoutMs: seconds(values, 'agent.kata', 'dial_timeout', DEFAULT_DIAL_TIMEOUT_S),
    createContainerTimeoutMs: createTimeout(values),
    disableGuestSeccomp: values.boolean('runtime', 'disable_guest_seccomp', true),
    agentTransport: values.string('edge', 'agent_transport', ''),
    unknown: values.unknown(),
  };
}

/** A file for another hypervisor is a mistake, not a wish for QEMU with its defaults. */
function checkHypervisor(values: Values, file: string | undefined): void {
  const others = values.tables().filter((table) => /^hypervisor\.[^.]+$/.test(table) && table !== QEMU);
  if (others.length > 0 && !values.tables().includes(QEMU)) {
    throw new KataError(
      'invalid_argument',
      `configuration ${file}: [${others[0]}] is not supported; the hypervisor is [${QEMU}]`,
    );
  }
}

function assets(
  values: Values,
  machine: Machine,
  arm: boolean,
): Pick<Configuration, 'kernel' | 'initrd' | 'image' | 'ownGuest'> {
  const kernel = absolute(values, 'kernel', '');
  const initrd = absolute(values, 'initrd', '');
  const image = absolute(values, 'image', '');
  if (initrd !== '' && image !== '') {
    throw invalid(values, 'image', 'is set together with initrd; a guest has one of them');
  }
  const standard = initrd === '' && image === '';
  const own = join(machine.guest, 'initramfs.cpio.gz');
  const found = {
    kernel: kernel || join(machine.guest, arm ? 'Image' : 'vmlinux'),
    initrd: standard ? own : initrd || undefined,
    image: image || undefined,
    ownGuest: standard || (initrd !== '' && isOwn(initrd)),
  };
  for (const [key, path] of [
    ['kernel', found.kernel],
    ['initrd', found.initrd],
    ['image', found.image],
  ] as const) {
    if (path !== undefined) checkAsset(values, key, path);
  }
  return found;
}

/** Our builds lie beside a manifest that names their channel. */
function isOwn(initrd: string): boolean {
  try {
    const manifest = JSON.parse(readFileSync(join(dirname(initrd), 'manifest.json'), 'utf8')) as {
      channel?: { kind?: unknown };
    };
    return manifest.channel?.kind === 'virtio-serial';
  } catch {
    return false;
  }
}

function checkAsset(values: Values, key: string, path: string): void {
  if (existsSync(path) && statSync(path).isFile() && statSync(path).size > 0) return;
  const advice = values.isSet(QEMU, key)
    ? 'correct the path'
    : 'build it with `npm run guest`, or name one in configuration.toml';
  throw new KataError(
    'failed_precondition',
    `${values.where(QEMU, key)}: there is no guest ${key} at ${path}; ${advice}`,
  );
}

function bootVcpus(values: Values, cpus: number): number {
  const wanted = values.number(QEMU, 'default_vcpus', 1);
  if (wanted < 0) return cpus;
  return clampVcpus(Math.ceil(wanted) || 1, cpus);
}

/** 0: as many as the host has. */
function clampVcpus(wanted: number, cpus: number): number {
  return Math.max(1, Math.min(wanted === 0 ? cpus : wanted, cpus, MAX_VCPUS));
}

function seccomp(values: Values): string {
  const set = values.string(QEMU, 'seccompsandbox', '') || values.string(QEMU, 'seccomp_sandbox', '');
  return set || DEFAULT_SECCOMP_SANDBOX;
}

function createTimeout(values: Values): number {
  const table = values.isSet('runtime', 'create_container_timeout') ? 'runtime' : 'agent.kata';
  return seconds(values, table, 'create_container_timeout', DEFAULT_CREATE_CONTAINER_TIMEOUT_S);
}

/** Milliseconds; 0 means the default, as a missing key does. */
function seconds(values: Values, table: string, key: string, fallback: number): number {
  return (values.number(table, key, fallback) || fallback) * 1000;
}

function absolute(values: Values, key: string, fallback: string): string {
  const path = values.string(QEMU, key, fallback) || fallback;
  if (path !== '' && !path.startsWith('/')) throw invalid(values, key, `is ${show(path)}; it must be an absolute path`);
  return path;
}

function invalid(values: Values, key: string, what: string): KataError {
  return new KataError('invalid_argument', `${values.where(QEMU, key)} ${what}`);
}

/** A value as a message quotes it, bounded. */
function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
