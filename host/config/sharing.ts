/** What of the host's files a guest sees, and how. */
import { existsSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import { reservedArgument } from '../storage/virtiofsd.ts';
import { QEMU, REMOTE, show, type Values } from './values.ts';

const SHARED_FS = ['virtio-fs', 'none'] as const;
export type SharedFs = (typeof SHARED_FS)[number];
const CACHES = ['never', 'metadata', 'auto', 'always'] as const;
export type VirtioFsCache = (typeof CACHES)[number];
/** Where Kata's files say that virtiofsd is, whatever the distribution: Debian has it elsewhere. */
const SHIPPED_DAEMON = '/usr/libexec/virtiofsd';

/** Entries of a virtio-fs queue: QEMU takes powers of two, up to 1024. */
export const DEFAULT_QUEUE_SIZE = 1024;
export const MIN_QUEUE_SIZE = 2;
export const MAX_QUEUE_SIZE = 1024;
/** Most `sandbox_bind_mounts`. */
export const MAX_SANDBOX_BIND_MOUNTS = 64;
const DEFAULT_KUBELET_ROOT = '/var/lib/kubelet';

/** A file or directory of the host that every sandbox sees at `…/sandbox-mounts/<name>`. */
export interface SandboxBindMount {
  /** Resolved path; it exists. */
  readonly path: string;
  /** Its last name, which no other has. */
  readonly name: string;
  readonly readOnly: boolean;
}

export interface Sharing {
  readonly sharedFs: SharedFs;
  /** Empty: where distributions put it. */
  readonly virtiofsd: string;
  readonly virtioFsCache: VirtioFsCache;
  readonly virtioFsQueueSize: number;
  readonly virtioFsExtraArgs: readonly string[];
  readonly blockDevices: boolean;
  readonly sandboxBindMounts: readonly SandboxBindMount[];
  /** Whether emptyDir volumes on disk are made in the guest (`disable_guest_empty_dir = false`) instead of shared. */
  readonly emptyDirInGuest: boolean;
  /** Whether they are disks of the guest's (`emptydir_mode = "block-plain"`). */
  readonly emptyDirDisks: boolean;
  /** Below it kubelet keeps volumes. */
  readonly kubeletRoot: string;
  /** Whether the guest pulls every image, whatever the snapshotter says. */
  readonly forceGuestPull: boolean;
}

/** @throws KataError `invalid_argument` naming file and key, `failed_precondition` for a bind mount without source */
export function sharingOf(values: Values): Sharing {
  return {
    sharedFs: sharedFs(values),
    virtiofsd: isElsewhere(values) ? '' : values.path(QEMU, 'virtio_fs_daemon', ''),
    virtioFsCache: values.choice(QEMU, 'virtio_fs_cache', CACHES, 'auto'),
    virtioFsQueueSize: queueSize(values),
    virtioFsExtraArgs: extraArguments(values),
    blockDevices: values.hypervisor === QEMU && !values.boolean(QEMU, 'disable_block_device_use', false),
    sandboxBindMounts: bindMounts(values),
    emptyDirInGuest: !values.boolean('runtime', 'disable_guest_empty_dir', true),
    emptyDirDisks: emptyDirDisks(values),
    kubeletRoot: values.path('runtime', 'kubelet_root_dir', DEFAULT_KUBELET_ROOT),
    // The second is how Kata's Rust runtime spells it.
    forceGuestPull:
      values.boolean('runtime', 'experimental_force_guest_pull', false) ||
      values.strings('runtime', 'experimental').includes('force_guest_pull'),
  };
}

/** What is done otherwise than the files say. */
export function notesOf(values: Values): string[] {
  if (!isElsewhere(values)) return [];
  const where = values.where(QEMU, 'virtio_fs_daemon');
  return [`${where}: there is no ${SHIPPED_DAEMON}; virtiofsd is taken from where this distribution has it`];
}

/** Whether the daemon is not where Kata's files say. A path of somebody's own is never replaced. */
function isElsewhere(values: Values): boolean {
  return values.string(QEMU, 'virtio_fs_daemon', '') === SHIPPED_DAEMON && !existsSync(SHIPPED_DAEMON);
}

/** Encrypted ones are refused by the schema. */
function emptyDirDisks(values: Values): boolean {
  if (values.string('runtime', 'emptydir_mode', '') !== 'block-plain') return false;
  if (values.hypervisor === QEMU) return true;
  throw values.invalid(
    'runtime',
    'emptydir_mode',
    `is "block-plain"; with [${REMOTE}] there are no disks of this node`,
  );
}

/** A remote machine sees nothing of this host. */
function sharedFs(values: Values): SharedFs {
  if (values.hypervisor === REMOTE) return values.choice(REMOTE, 'shared_fs', ['none'] as const, 'none');
  return values.choice(QEMU, 'shared_fs', SHARED_FS, 'virtio-fs');
}

function extraArguments(values: Values): readonly string[] {
  const args = values.strings(QEMU, 'virtio_fs_extra_args');
  const reserved = reservedArgument(args);
  if (reserved === undefined) return args;
  throw values.invalid(
    QEMU,
    'virtio_fs_extra_args',
    `has ${show(reserved)}; what is shared, and the daemon's sandbox, are fixed: remove it`,
  );
}

/** 0: the default, as a missing key. */
function queueSize(values: Values): number {
  const size = values.number(QEMU, 'virtio_fs_queue_size', 0) || DEFAULT_QUEUE_SIZE;
  if (size >= MIN_QUEUE_SIZE && size <= MAX_QUEUE_SIZE && Number.isInteger(Math.log2(size))) return size;
  throw values.invalid(
    QEMU,
    'virtio_fs_queue_size',
    `is ${size}; it must be a power of two from ${MIN_QUEUE_SIZE} to ${MAX_QUEUE_SIZE}`,
  );
}

/** `path`, `path:ro` or `path:rw`; read-only where nothing is said. */
function bindMounts(values: Values): SandboxBindMount[] {
  const key = 'sandbox_bind_mounts';
  const entries = values.strings('runtime', key);
  if (entries.length > MAX_SANDBOX_BIND_MOUNTS) {
    throw values.invalid('runtime', key, `has ${entries.length} entries; at most ${MAX_SANDBOX_BIND_MOUNTS} are taken`);
  }
  const mounts: SandboxBindMount[] = [];
  for (const entry of entries) {
    const path = entry.replace(/:r[ow]$/, '');
    const name = basename(path);
    if (!path.startsWith('/') || name === '' || name === '..' || name === '.') {
      throw values.invalid('runtime', key, `has ${show(entry)}; it must be an absolute path, and :ro or :rw after it`);
    }
    if (mounts.some((other) => other.name === name)) {
      throw values.invalid(
        'runtime',
        key,
        `has two paths that end in ${show(name)}; the guest could not tell them apart`,
      );
    }
    mounts.push({ path: resolved(values, key, path), name, readOnly: !entry.endsWith(':rw') });
  }
  return mounts;
}

function resolved(values: Values, key: string, path: string): string {
  try {
    return realpathSync(path);
  } catch (thrown) {
    throw new KataError('failed_precondition', `${values.where('runtime', key)}: ${path}: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}
