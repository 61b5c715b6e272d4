/**
 * A host file or directory bound into a shared tree. It is put together in a private place and moved in when it is complete: at no
 * moment does the guest see it writable, or a set-uid or device file in force, and nothing done to it reaches the host's own mounts.
 */
import { MS, native } from '../native.ts';
import { mountsBelow } from './mountinfo.ts';
import { parseOptions, unmount } from './mounts.ts';

/** Moves a mount; its parent must not be shared. linux/mount.h. */
const MS_MOVE = 8192;
/** Kernel interfaces: the host's are none of the guest's business, and it has its own. */
const KERNEL_FILE_SYSTEMS: ReadonlySet<string> = new Set([
  ...['proc', 'sysfs', 'devtmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2', 'debugfs', 'tracefs', 'securityfs'],
  ...['configfs', 'efivarfs', 'pstore', 'bpf', 'binfmt_misc', 'fusectl', 'rpc_pipefs', 'autofs', 'nsfs', 'selinuxfs'],
]);

export interface BindPlace {
  /** An empty file or directory, like the source, on a private mount of ours. */
  readonly staging: string;
  /** Where it goes: empty as well. */
  readonly target: string;
  /** Directory of the host whose mounts are left out of what is bound. */
  readonly hidden: string;
}

/** What a spec's mount options ask for. */
export interface BindOptions {
  readonly readOnly: boolean;
  readonly recursive: boolean;
  /** What the host mounts below the source later shall appear in the guest. */
  readonly follow: boolean;
  /** What is mounted in the container should appear on the host, which it cannot. */
  readonly bidirectional: boolean;
}

export function bindOptions(options: readonly string[]): BindOptions {
  const { flags, propagation } = parseOptions(options);
  return {
    // `rro` differs from `ro` in the guest; here everything below is read-only in any case.
    readOnly: (flags & MS.RDONLY) !== 0 || options.includes('rro'),
    recursive: (flags & MS.REC) !== 0 || !options.includes('bind'),
    follow: (propagation & (MS.SLAVE | MS.SHARED)) !== 0,
    bidirectional: (propagation & MS.SHARED) !== 0,
  };
}

/** What is bound. VolumeSource is one. */
export interface BindSource {
  /** Leads to it, whatever has become of its name. */
  readonly path: string;
  /** Where it lies on the host. */
  readonly realPath: string;
  readonly kind: string;
  /** A copy of what is mounted there, as far as it is wanted, to be attached instead of bound. */
  readonly tree?: number | undefined;
}

/**
 * Binds a source at a place.
 * @throws what the addon throws; nothing is left mounted
 */
export function bindVolume(source: BindSource, place: BindPlace, options: BindOptions): void {
  const { staging, target, hidden } = place;
  const { realPath } = source;
  const recursive = source.kind === 'directory' && options.recursive;
  if (source.tree !== undefined) native().attachMount(source.tree, staging);
  else native().mount(source.path, staging, '', MS.BIND | (recursive ? MS.REC : 0), '', '');
  try {
    // First of all: until then what is done here happens to the host's mounts as well.
    native().mount('none', staging, '', (options.follow ? MS.SLAVE : MS.PRIVATE) | MS.REC, '', '');
    if (recursive) {
      for (const { point, fstype } of mountsBelow(staging).reverse()) {
        if (point === staging) continue;
        const below = (realPath === '/' ? '' : realPath) + point.slice(staging.length);
        if (KERNEL_FILE_SYSTEMS.has(fstype) || isWithin(below, hidden)) unmount(point);
        else confineOrLeaveOut(point, options.readOnly);
      }
    }
    confine(staging, options.readOnly);
    native().mount(staging, target, '', MS_MOVE, '', '');
  } catch (thrown) {
    unmount(staging);
    throw thrown;
  }
}

/** Some mounts refuse even root: a user's FUSE, a server that is gone. The volume shall not fail for what lies in it. */
function confineOrLeaveOut(point: string, readOnly: boolean): void {
  try {
    confine(point, readOnly);
  } catch {
    unmount(point);
  }
}

/** Neither devices nor set-uid bits of it count on the host; other attributes of the mount stay. */
function confine(point: string, readOnly: boolean): void {
  const flags = MS.NODEV | MS.NOSUID | (readOnly ? MS.RDONLY : 0);
  native().mount('none', point, '', MS.BIND | MS.REMOUNT | flags | native().mountFlags(point), '', '');
}

export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
