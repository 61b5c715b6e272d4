/** What a machine has besides its guest, its memory and its disks: firmware, random numbers, IOMMU, monitors. */
import { statSync } from 'node:fs';
import { KataError } from '../error.ts';
import { QEMU, REMOTE, show, type Values } from './values.ts';

const MONITORS = ['hmp', 'qmp', 'qmp-pretty'] as const;
export type MonitorKind = (typeof MONITORS)[number];
const PORTS = ['no-port', 'bridge-port', 'root-port', 'switch-port'] as const;
export type VfioPort = (typeof PORTS)[number];

/** Most root ports: slots of the root bus beyond those of devices that are there from the start. */
export const MAX_ROOT_PORTS = 16;
/** Images of flash memory a machine takes: the firmware, and its variables. */
const PFLASHES = 2;
/** `-sandbox` of qemu(1): what its parts may be. */
const SANDBOX_PARTS: Readonly<Record<string, readonly string[]>> = {
  obsolete: ['allow', 'deny'],
  elevateprivileges: ['allow', 'deny', 'children'],
  spawn: ['allow', 'deny'],
  resourcecontrol: ['allow', 'deny'],
};

export interface MachineDevices {
  /** Device of the host behind the guest's virtio-rng; undefined: not configured, and then Kata's guests alone have one. */
  readonly entropySource: string | undefined;
  /** Whether the host's kernel moves packets itself, where it can. */
  readonly vhostNet: boolean;
  readonly iommu: boolean;
  /** Whether disks and NICs are behind the IOMMU. */
  readonly iommuPlatform: boolean;
  /** A second monitor, for a human; with enable_debug only. */
  readonly monitor: MonitorKind | undefined;
  /** Whether a Kata guest's console is a UART instead of a virtio device. */
  readonly legacySerial: boolean;
  /** Path for `-bios`; undefined: QEMU's own. */
  readonly firmware: string | undefined;
  /** None, or firmware and its variables; the second is copied for each machine. */
  readonly pflashes: readonly string[];
  /** Where the memory of a guest that panicked is written. */
  readonly dump: { readonly directory: string; readonly paging: boolean } | undefined;
  /** `kernel_verity_params`, checked. */
  readonly verity: Verity | undefined;
  /** Whether QEMU runs as a user of its own. */
  readonly rootless: boolean;
  /** Least number of root ports of a machine that plugs devices into those; 0: as many as it has by itself. */
  readonly rootPorts: number;
  /** Where passed-through devices would go; anything but `no-port` is refused when a machine is made. */
  readonly vfioPort: VfioPort;
}

/** dm-verity of an image's first partition by its second. */
export interface Verity {
  /** Hexadecimal. */
  readonly rootHash: string;
  readonly salt: string;
  readonly dataBlocks: number;
  /** Bytes. */
  readonly dataBlockSize: number;
  readonly hashBlockSize: number;
}

/**
 * @throws KataError `invalid_argument` naming file and key, `failed_precondition` for a file that does not exist
 */
export function machineDevicesOf(values: Values): MachineDevices {
  const qemu = values.hypervisor !== REMOTE;
  const debug = values.boolean(QEMU, 'enable_debug', false);
  const monitorKey =
    values.string(QEMU, 'extra_monitor_socket', '') === '' ? 'dbg_monitor_socket' : 'extra_monitor_socket';
  const monitor = values.choice(QEMU, monitorKey, [...MONITORS, ''] as const, '') || undefined;
  const firmware = qemu ? firmwareOf(values) : { firmware: undefined, pflashes: [] };
  const rootless = values.boolean(QEMU, 'rootless', false);
  if (rootless && firmware.pflashes.length > 0) {
    throw values.invalid(
      QEMU,
      'rootless',
      "is true, but that user cannot open the firmware's variables; use firmware without firmware_volume and pflashes",
    );
  }
  return {
    entropySource: qemu ? entropySource(values) : undefined,
    vhostNet: !values.boolean(QEMU, 'disable_vhost_net', false),
    iommu: values.boolean(QEMU, 'enable_iommu', false),
    iommuPlatform: values.boolean(QEMU, 'enable_iommu_platform', false),
    monitor: debug ? monitor : undefined,
    legacySerial: values.boolean(QEMU, 'use_legacy_serial', false),
    ...firmware,
    dump: dumpOf(values),
    verity: verityOf(values),
    rootless,
    rootPorts: rootPorts(values),
    vfioPort: vfioPort(values),
  };
}

/**
 * The value of QEMU's `-sandbox`.
 * @returns empty where nothing is configured
 * @throws KataError `invalid_argument` naming file, key and the part that QEMU would not take
 */
export function seccompOf(values: Values): string {
  const key = values.string(QEMU, 'seccompsandbox', '') === '' ? 'seccomp_sandbox' : 'seccompsandbox';
  const text = values.string(QEMU, key, '');
  if (text === '') return '';
  const [enable = '', ...parts] = text.split(',');
  const wrong = /^(enable=)?(on|off)$/.test(enable) ? parts.find((part) => !isSandboxPart(part)) : enable;
  if (wrong === undefined) return text;
  throw values.invalid(
    QEMU,
    key,
    `is ${show(text)}: QEMU does not know ${show(wrong)}; it must be on or off, and after a comma any of ` +
      `${Object.entries(SANDBOX_PARTS)
        .map(([name, words]) => `${name}=${words.join('|')}`)
        .join(', ')}`,
  );
}

/**
 * Reads `kernel_verity_params`: `root_hash=…,salt=…,data_blocks=…,data_block_size=…,hash_block_size=…`.
 * @returns a text that tells what is wrong
 */
export function parseVerity(text: string): Verity | string {
  const parts = new Map<string, string>();
  for (const part of text.split(',')) {
    const [name = '', value = '', ...more] = part.split('=');
    if (more.length > 0 || value === '') return `has ${show(part)}, which is not name=value`;
    if (parts.has(name)) return `has ${show(name)} twice`;
    parts.set(name, value);
  }
  const names = ['root_hash', 'salt', 'data_blocks', 'data_block_size', 'hash_block_size'];
  const missing = names.find((name) => !parts.has(name));
  if (missing !== undefined) return `has no ${missing}`;
  const other = [...parts.keys()].find((name) => !names.includes(name));
  if (other !== undefined) return `has ${show(other)}, which is none of ${names.join(', ')}`;
  const part = (name: string): string => parts.get(name) ?? '';
  for (const name of ['root_hash', 'salt']) {
    if (!/^([0-9a-fA-F]{2}){1,256}$/.test(part(name)))
      return `has the ${name} ${show(part(name))}; it must be hexadecimal`;
  }
  const numbers = ['data_blocks', 'data_block_size', 'hash_block_size'].map((name) => {
    return /^[1-9][0-9]{0,14}$/.test(part(name)) ? Number(part(name)) : 0;
  });
  const [dataBlocks = 0, dataBlockSize = 0, hashBlockSize = 0] = numbers;
  if (dataBlocks === 0) return `has the data_blocks ${show(part('data_blocks'))}; it must be a whole number, 1 or more`;
  for (const [name, size] of Object.entries({ data_block_size: dataBlockSize, hash_block_size: hashBlockSize })) {
    if (size === 0 || size % 512 !== 0) return `has the ${name} ${show(part(name))}; it must be a multiple of 512`;
  }
  return { rootHash: part('root_hash'), salt: part('salt'), dataBlocks, dataBlockSize, hashBlockSize };
}

function isSandboxPart(part: string): boolean {
  const [name = '', word = '', ...more] = part.split('=');
  return more.length === 0 && Object.hasOwn(SANDBOX_PARTS, name) && (SANDBOX_PARTS[name] ?? []).includes(word);
}

function entropySource(values: Values): string | undefined {
  const path = values.path(QEMU, 'entropy_source', '');
  if (path === '') return undefined;
  if (statSync(path, { throwIfNoEntry: false })?.isCharacterDevice()) return path;
  throw new KataError(
    'failed_precondition',
    `${values.where(QEMU, 'entropy_source')}: ${path} is no character device; use /dev/urandom`,
  );
}

/** Flash memory comes by either pair of keys. */
function firmwareOf(values: Values): Pick<MachineDevices, 'firmware' | 'pflashes'> {
  const firmware = existing(values, 'firmware', values.path(QEMU, 'firmware', ''));
  const volume = existing(values, 'firmware_volume', values.path(QEMU, 'firmware_volume', ''));
  const pflashes = values.strings(QEMU, 'pflashes').map((path) => {
    if (path.startsWith('/')) return existing(values, 'pflashes', path);
    throw values.invalid(QEMU, 'pflashes', `has ${show(path)}; it must be an absolute path`);
  });
  if (pflashes.length !== 0 && pflashes.length !== PFLASHES) {
    throw values.invalid(
      QEMU,
      'pflashes',
      `has ${pflashes.length} images; it must have none, or two: the firmware, and its variables`,
    );
  }
  if (volume !== '' && firmware === '') {
    throw values.invalid(QEMU, 'firmware_volume', 'is set without firmware, whose variables it is for');
  }
  if (pflashes.length > 0) {
    if (firmware === '') return { firmware: undefined, pflashes };
    throw values.invalid(QEMU, 'pflashes', 'is set together with firmware; a machine boots by one of them');
  }
  if (volume !== '') return { firmware: undefined, pflashes: [firmware, volume] };
  return { firmware: firmware || undefined, pflashes };
}

function existing(values: Values, key: string, path: string): string {
  if (path === '') return '';
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.size > 0) return path;
  throw new KataError(
    'failed_precondition',
    `${values.where(QEMU, key)}: there is no firmware at ${path}; correct the path, or remove the key`,
  );
}

function dumpOf(values: Values): MachineDevices['dump'] {
  const directory = values.path(QEMU, 'guest_memory_dump_path', '');
  return directory === '' ? undefined : { directory, paging: values.boolean(QEMU, 'guest_memory_dump_paging', false) };
}

function verityOf(values: Values): Verity | undefined {
  const key = 'kernel_verity_params';
  const text = values.string(QEMU, key, '');
  if (text === '') return undefined;
  const verity = parseVerity(text);
  if (typeof verity === 'string') throw values.invalid(QEMU, key, verity);
  if (values.string(QEMU, 'image', '') !== '') return verity;
  throw values.invalid(
    QEMU,
    key,
    'is set, but image is not: it is for the disk of an image, which an initrd does not have',
  );
}

function rootPorts(values: Values): number {
  const ports = values.number(QEMU, 'pcie_root_port', 0);
  if (ports <= MAX_ROOT_PORTS) return ports;
  throw values.invalid(QEMU, 'pcie_root_port', `is ${ports}; it must be 0 to ${MAX_ROOT_PORTS}`);
}

function vfioPort(values: Values): VfioPort {
  const cold = values.choice(QEMU, 'cold_plug_vfio', PORTS, 'no-port');
  const hot = values.choice(QEMU, 'hot_plug_vfio', PORTS, 'no-port');
  return cold === 'no-port' ? hot : cold;
}
