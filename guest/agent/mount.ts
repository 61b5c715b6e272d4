/** mount(2) by fstab-like options. */
import { AgentError, reasonOf } from './error.ts';
import { exists, mkdirs } from './files.ts';
import type { Sys } from './sys.ts';

// Numbers of <sys/mount.h>, the same on all architectures.
export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
const MS_PRIVATE = 0x4_0000;
const MS_SLAVE = 0x8_0000;
const MS_SHARED = 0x10_0000;
const MS_UNBINDABLE = 0x2_0000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

const DIRECTORY_MODE = 0o755;

/** Flags set, and flags cleared, by an option. */
const FLAGS: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  defaults: [0, 0],
  ro: [MS_RDONLY, 0],
  rw: [0, MS_RDONLY],
  nosuid: [MS_NOSUID, 0],
  suid: [0, MS_NOSUID],
  nodev: [MS_NODEV, 0],
  dev: [0, MS_NODEV],
  noexec: [MS_NOEXEC, 0],
  exec: [0, MS_NOEXEC],
  sync: [0x10, 0],
  async: [0, 0x10],
  remount: [MS_REMOUNT, 0],
  mand: [0x40, 0],
  nomand: [0, 0x40],
  dirsync: [0x80, 0],
  noatime: [0x400, 0],
  atime: [0, 0x400],
  nodiratime: [0x800, 0],
  diratime: [0, 0x800],
  bind: [MS_BIND, 0],
  rbind: [MS_BIND | MS_REC, 0],
  silent: [0x8000, 0],
  loud: [0, 0x8000],
  relatime: [0x20_0000, 0],
  norelatime: [0, 0x20_0000],
  strictatime: [0x100_0000, 0],
  nostrictatime: [0, 0x100_0000],
  lazytime: [0x200_0000, 0],
  nolazytime: [0, 0x200_0000],
};

const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
};

export interface MountOptions {
  readonly flags: number;
  /** Changes of propagation, each a mount call of its own. */
  readonly propagation: readonly number[];
  /** For the file system, joined by commas. */
  readonly data: string;
}

export function parseOptions(options: readonly string[]): MountOptions {
  let flags = 0;
  const propagation: number[] = [];
  const data: string[] = [];
  for (const option of options.flatMap((each) => each.split(',')).filter((each) => each !== '')) {
    const flag = FLAGS[option];
    const change = PROPAGATION[option];
    if (flag) flags = (flags & ~flag[1]) | flag[0];
    else if (change !== undefined) propagation.push(change);
    else data.push(option);
  }
  return { flags, propagation, data: data.join(',') };
}

/**
 * Mounts, making the mount point: a directory, or a file where a file is bound.
 * @throws AgentError internal naming source and target
 */
export function mountAt(sys: Sys, source: string, target: string, fstype: string, options: readonly string[]): void {
  const { flags, propagation, data } = parseOptions(options);
  const bind = (flags & MS_BIND) !== 0 || fstype === 'bind';
  try {
    if ((flags & MS_REMOUNT) === 0) makeTarget(sys, target, bind ? source : undefined);
    if (bind && (flags & MS_REMOUNT) === 0) bindAt(sys, source, target, flags);
    else sys.mount(source, target, fstype, flags, data);
    for (const change of propagation) sys.mount('none', target, '', change, '');
  } catch (thrown) {
    const what = `mounting ${source} (${fstype}) at ${target}`;
    throw new AgentError('internal', `${what}: ${reasonOf(thrown)}`);
  }
}

/** Takes a mount away, even one in use: it goes when its last user does. Follows no link. Throws SysError. */
export function unmount(sys: Sys, target: string): void {
  sys.umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
}

/** A path from the host: absolute and not leading upwards. @throws AgentError invalid_argument */
export function checkPath(path: string, what: string): string {
  if (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..')) {
    throw new AgentError('invalid_argument', `${what} ${JSON.stringify(path)}: give an absolute path without ".."`);
  }
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

function bindAt(sys: Sys, source: string, target: string, flags: number): void {
  sys.mount(source, target, 'bind', MS_BIND | (flags & MS_REC), '');
  // The kernel takes other flags of a bind mount only in a second step.
  const rest = flags & ~(MS_BIND | MS_REC);
  if (rest !== 0) sys.mount(source, target, 'bind', MS_BIND | MS_REMOUNT | rest, '');
}

function makeTarget(sys: Sys, target: string, source: string | undefined): void {
  if (source !== undefined && sys.stat(source).type !== 'dir') {
    mkdirs(sys, target.slice(0, target.lastIndexOf('/')), DIRECTORY_MODE);
    if (!exists(sys, target)) sys.writeFile(target, '', 0o644);
  } else mkdirs(sys, target, DIRECTORY_MODE);
}
