/** Mounts as containerd writes them, and undone without ever following what a guest may have made. */
import { closeSync, lstatSync, mkdirSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import { MNT_DETACH, MS, native, O_PATH, UMOUNT_NOFOLLOW } from '../native.ts';

/** Most mounts of one root file system. */
export const MAX_MOUNTS = 512;
/** Longest text of mount options the kernel takes, bytes: one page less its terminating zero. */
export const MAX_DATA_BYTES = 4095;

/** Descriptor on which the launcher hands down the host's mount namespace. */
export const HOST_NAMESPACE_FD = 5;

/** The fields of containerd's Mount. */
export interface MountRequest {
  readonly type: string;
  readonly source: string;
  /** Directory below the mount point; empty: the mount point itself. */
  readonly target: string;
  readonly options: readonly string[];
}

/** Options taken apart. */
export interface ParsedOptions {
  /** Bits of MS. */
  readonly flags: number;
  /** One of MS.PRIVATE, SLAVE, SHARED, perhaps with REC; 0: none. */
  readonly propagation: number;
  readonly loop: boolean;
  /** What is left for the file system. */
  readonly data: readonly string[];
}

/** A positive option sets its bit, a negative one clears it. */
const FLAGS: Readonly<Record<string, readonly [set: boolean, bit: number]>> = {
  async: [false, MS.SYNCHRONOUS],
  atime: [false, MS.NOATIME],
  bind: [true, MS.BIND],
  defaults: [true, 0],
  dev: [false, MS.NODEV],
  diratime: [false, MS.NODIRATIME],
  dirsync: [true, MS.DIRSYNC],
  exec: [false, MS.NOEXEC],
  mand: [true, MS.MANDLOCK],
  noatime: [true, MS.NOATIME],
  nodev: [true, MS.NODEV],
  nodiratime: [true, MS.NODIRATIME],
  noexec: [true, MS.NOEXEC],
  nomand: [false, MS.MANDLOCK],
  norelatime: [false, MS.RELATIME],
  nostrictatime: [false, MS.STRICTATIME],
  nosuid: [true, MS.NOSUID],
  rbind: [true, MS.BIND | MS.REC],
  relatime: [true, MS.RELATIME],
  remount: [true, MS.REMOUNT],
  ro: [true, MS.RDONLY],
  rw: [false, MS.RDONLY],
  strictatime: [true, MS.STRICTATIME],
  suid: [false, MS.NOSUID],
  sync: [true, MS.SYNCHRONOUS],
};

const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS.PRIVATE,
  rprivate: MS.PRIVATE | MS.REC,
  rshared: MS.SHARED | MS.REC,
  rslave: MS.SLAVE | MS.REC,
  shared: MS.SHARED,
  slave: MS.SLAVE,
};

/** Attributes a bind mount takes only from a second call. */
const ATTRIBUTES =
  MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.NOATIME | MS.NODIRATIME | MS.RELATIME | MS.STRICTATIME;

/**
 * Gets this process's mounts ready for sharing with a daemon: what the host mounts still arrives, what is mounted
 * here stays here but reaches the namespaces made from ours. Once, by the serving process, before any sandbox.
 * @throws KataError `failed_precondition` when the process shares the host's mount namespace
 */
export function privateMounts(): void {
  if (inHostNamespace()) {
    throw new KataError(
      'failed_precondition',
      'the shim runs in the host\'s mount namespace; start it by its launcher, or under "unshare -m --propagation slave"',
    );
  }
  native().mount('none', '/', '', MS.SLAVE | MS.REC, '', '');
  native().mount('none', '/', '', MS.SHARED | MS.REC, '', '');
}

/**
 * The mount namespace the launcher was called in, which it hands down on HOST_NAMESPACE_FD.
 * @returns a path for `VirtiofsdConfig.hostNamespace`; undefined: it did not, or it is this process's own
 */
export function hostNamespace(): string | undefined {
  const path = `/proc/self/fd/${HOST_NAMESPACE_FD}`;
  try {
    const found = readlinkSync(path);
    return found.startsWith('mnt:[') && found !== readlinkSync('/proc/self/ns/mnt') ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Takes mount options apart as containerd's mount package does; the last of two contrary options wins. */
export function parseOptions(options: readonly string[]): ParsedOptions {
  let flags = 0;
  let propagation = 0;
  let loop = false;
  const data: string[] = [];
  for (const option of options) {
    const flag = Object.hasOwn(FLAGS, option) ? FLAGS[option] : undefined;
    if (flag) flags = flag[0] ? flags | flag[1] : flags & ~flag[1];
    else if (Object.hasOwn(PROPAGATION, option)) propagation = PROPAGATION[option] ?? 0;
    else if (option === 'loop') loop = true;
    else if (option !== '' && !option.startsWith('X-') && !option.startsWith('x-')) data.push(option);
  }
  return { flags, propagation, loop, data };
}

/**
 * Performs mounts in order on `target`, an existing empty directory of ours.
 * @param extra MS flags that every one of them gets
 * @returns how many lie on `target` itself, for `unmountAll`; those further down go with them
 * @throws KataError `invalid_argument`, `not_found` (a source that does not exist); what was mounted is undone
 */
export function mountAll(mounts: readonly MountRequest[], target: string, extra = 0): number {
  if (mounts.length > MAX_MOUNTS) {
    throw new KataError('invalid_argument', `${mounts.length} rootfs mounts exceed the limit of ${MAX_MOUNTS}`);
  }
  let done = 0;
  try {
    for (const mount of mounts) {
      mountOne(mount, target, extra);
      if (mount.target === '') done += 1;
    }
  } catch (thrown) {
    unmountAll(target, done);
    throw thrown;
  }
  return done;
}

/** Takes `count` mounts off a path, with all that is mounted below them. */
export function unmountAll(target: string, count: number): void {
  for (let left = count; left > 0; left--) unmount(target);
}

/** Takes the topmost mount off a path, at once and without following a link. Idempotent. */
export function unmount(target: string): void {
  try {
    native().umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch (thrown) {
    // EINVAL: not a mount point (any more).
    if (!['EINVAL', 'ENOENT'].includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
  }
}

/**
 * Makes a directory 0700 in one of ours. One that is there already is taken as it is, anything else is not: a link
 * would lead a mount elsewhere.
 * @throws KataError `already_exists`
 */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    if (!lstatSync(path).isDirectory()) throw new KataError('already_exists', `${path} exists and is not a directory`);
  }
}

/** Removes a directory of ours if it is empty: never what is in it. */
export function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (thrown) {
    if (!['ENOENT', 'ENOTDIR'].includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
  }
}

/**
 * Joins overlay's options, shortened where they would exceed a page: the lower directories become relative to the
 * deepest directory they share, as containerd does for images of many layers.
 * @returns the text, and the directory from which the mount must be made ('' for any)
 * @throws KataError `invalid_argument` when it does not fit even so
 */
export function compactOverlay(data: readonly string[], limit = MAX_DATA_BYTES): { data: string; directory: string } {
  const plain = data.join(',');
  if (Buffer.byteLength(plain) <= limit) return { data: plain, directory: '' };
  const lower = data.find((option) => option.startsWith('lowerdir='));
  const layers = lower?.slice('lowerdir='.length).split(':') ?? [];
  const directory = commonDirectory(layers);
  if (directory !== '') {
    const relative = layers.map((layer) => layer.slice(directory.length + 1)).join(':');
    const short = data.map((option) => (option === lower ? `lowerdir=${relative}` : option)).join(',');
    if (Buffer.byteLength(short) <= limit) return { data: short, directory };
  }
  throw new KataError(
    'invalid_argument',
    `overlay options of ${layers.length} layers take ${Buffer.byteLength(plain)} bytes, the kernel takes ${limit}: use an image of fewer layers`,
  );
}

/** The deepest directory above all of some absolute paths; '' when that is the root, or a path is relative. */
function commonDirectory(paths: readonly string[]): string {
  const [first, ...rest] = paths;
  if (first === undefined || !paths.every((path) => path.startsWith('/'))) return '';
  let directory = first.slice(0, first.lastIndexOf('/'));
  while (directory !== '' && !rest.every((path) => path.startsWith(`${directory}/`))) {
    directory = directory.slice(0, directory.lastIndexOf('/'));
  }
  return directory;
}

function inHostNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt');
  } catch {
    // Inside some containers even root may not look at pid 1: then the launcher's word has to do.
    return false;
  }
}

function mountOne(mount: MountRequest, root: string, extra: number): void {
  const { flags, propagation, loop, data } = parseOptions(mount.options);
  if (loop) {
    throw new KataError(
      'invalid_argument',
      `rootfs mount of ${mount.source}: loop devices are not made on the host; it must be the only rootfs mount`,
    );
  }
  if (mount.options.some((option) => /^[ug]idmap=/.test(option))) {
    throw new KataError(
      'unimplemented',
      'a pod in a user namespace of its own (hostUsers: false) cannot have its root file system mapped in the virtual machine, which keeps it apart without one; remove hostUsers: false, or use another RuntimeClass',
    );
  }
  const bind = (flags & MS.BIND) !== 0 || mount.type === 'bind' || mount.type === 'rbind';
  if (bind) requireDirectory(mount.source, 'rootfs');
  if (mount.type === 'overlay') for (const layer of layersOf(data)) requireDirectory(layer, 'overlay layer');
  const place = openTarget(root, mount.target);
  try {
    if (bind) bindMount(mount.source, place.path, flags | extra | (mount.type === 'rbind' ? MS.REC : 0));
    else {
      const { data: text, directory } = compactOverlay(data);
      native().mount(mount.source || 'none', place.path, mount.type, flags | extra, text, directory);
    }
    if (propagation !== 0 && mount.target === '') native().mount('none', root, '', propagation, '', '');
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError(
      'invalid_argument',
      `rootfs mount of type "${mount.type}" from ${mount.source || 'none'} failed: ${reasonOf(thrown)}`,
      { cause: thrown },
    );
  } finally {
    place.close();
  }
}

/**
 * A bind mount with its attributes; those the source's mount has are kept.
 * @throws what the addon throws; nothing is left mounted
 */
export function bindMount(source: string, target: string, flags: number): void {
  native().mount(source, target, '', MS.BIND | (flags & MS.REC), '', '');
  const attributes = flags & ATTRIBUTES;
  if (attributes === 0) return;
  try {
    native().mount('none', target, '', MS.BIND | MS.REMOUNT | attributes | native().mountFlags(target), '', '');
  } catch (thrown) {
    unmount(target);
    throw thrown;
  }
}

/** A place inside the root file system is found without leaving it: image content may hold links. */
function openTarget(root: string, target: string): { path: string; close: () => void } {
  if (target === '') return { path: root, close: () => {} };
  try {
    const fd = native().openBeneath(root, target.replace(/^\/+/, ''), O_PATH, 0);
    return { path: `/proc/self/fd/${fd}`, close: () => closeSync(fd) };
  } catch (thrown) {
    throw new KataError('invalid_argument', `mount target "${target}" in the rootfs: ${reasonOf(thrown)}`);
  }
}

function layersOf(data: readonly string[]): string[] {
  return data.flatMap((option) => {
    const [, key, value] = /^(lowerdir|upperdir|workdir)=(.*)$/s.exec(option) ?? [];
    if (key === undefined || value === undefined || value.includes('\\')) return [];
    return key === 'lowerdir' ? value.split(':').filter((layer) => layer !== '') : [value];
  });
}

function requireDirectory(path: string, what: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new KataError('not_found', `${what} ${path} does not exist or is not a directory`);
}
