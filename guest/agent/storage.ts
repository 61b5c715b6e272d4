/** What the host gives a sandbox or container to mount: by driver, counted by mount point. */
import type { FSGroup, Storage } from '../../host/proto/messages/agent.ts';
import { FSGroupChangePolicy } from '../../host/proto/messages/types.ts';
import { beneath } from './beneath.ts';
import { blockDevice } from './block-device.ts';
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { attempt, exists, list, mkdirs } from './files.ts';
import { ephemeral, groupOf, local, setGroup } from './memory-storage.ts';
import { checkPath, mountAt, unmount } from './mount.ts';
import { type Guest, programPath } from './options.ts';
import { watched } from './watched.ts';

/** Most storages mounted at a time. */
export const MAX_STORAGES = 1024;
/** Most files whose group is changed for an fs_group. */
const MAX_GROUP_FILES = 1_000_000;
/** Between two tries to mount a file system whose device is on its way, ms. */
const RETRY_MS = 20;

const SETGID = 0o2000;
const DIRECTORY_MODE = 0o755;
const CREATE_DIRECTORY = 'io.katacontainers.volume.overlayfs.create_directory=';
const OVERLAY_RW = 'io.katacontainers.fs-opt.overlay-rw';
const CREATE_FILESYSTEM = 'create_filesystem';
/** Our own host's: the source is a directory below this one. */
const MAKE_BENEATH = 'io.katacontainers.edge.make_beneath=';

interface Entry {
  users: number;
  /** Takes it away again. */
  undo: () => void;
  /** Settles when the first user's mount has. */
  ready: Promise<void>;
  /** Stays until the sandbox ends. */
  readonly keep: boolean;
}

/** Returns whether it mounted something, or how to undo what it did. */
type Driver = (guest: Guest, storage: Storage, target: string) => Promise<boolean> | boolean | (() => void);

const DRIVERS: Readonly<Record<string, Driver>> = {
  'virtio-fs': mountShare,
  '9p': mountShare,
  ephemeral,
  local,
  blk: disk,
  mmioblk: disk,
  nvdimm: disk,
  overlayfs: overlay,
  bind,
  'watchable-bind': (guest, storage, target) =>
    watched(guest, checkPath(storage.source, 'source'), target) ?? bind(guest, storage, target),
};

/** For GetGuestDetails. */
export const STORAGE_HANDLERS: readonly string[] = Object.keys(DRIVERS);

export class Storages {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly guest: Guest) {}

  /**
   * Mounts a storage, or counts one more user of its mount point.
   * @returns takes that user away again
   * @throws AgentError
   */
  async add(storage: Storage): Promise<() => void> {
    const driver = DRIVERS[storage.driver];
    if (!driver) {
      const known = STORAGE_HANDLERS.join(', ');
      throw new AgentError('unimplemented', `storage driver ${JSON.stringify(storage.driver)} is not one of ${known}`);
    }
    const target = checkPath(storage.mount_point, 'mount point');
    const known = this.entries.get(target);
    if (known) {
      known.users++;
      await known.ready;
      return () => this.release(target);
    }
    if (this.entries.size >= MAX_STORAGES) {
      throw new AgentError('resource_exhausted', `${MAX_STORAGES} storages are mounted`);
    }
    const entry: Entry = { users: 1, undo: () => {}, keep: storage.shared, ready: Promise.resolve() };
    // Entered before the mount, which may wait: a second container counts instead of mounting again.
    this.entries.set(target, entry);
    entry.ready = this.mount(driver, storage, target, entry);
    await entry.ready;
    return () => this.release(target);
  }

  /** Changes a mounted tmpfs, e.g. options `remount,size=…`. */
  update(storage: Storage): void {
    const target = checkPath(storage.mount_point, 'mount point');
    if (storage.driver !== 'ephemeral') {
      throw new AgentError(
        'invalid_argument',
        `storage driver ${JSON.stringify(storage.driver)}: only ephemeral ones change`,
      );
    }
    mountAt(this.guest.sys, storage.source, target, storage.fstype || 'tmpfs', storage.options);
  }

  /** Unmounts everything, latest first. */
  clear(): void {
    for (const { undo } of [...this.entries.values()].reverse()) undo();
    this.entries.clear();
  }

  private async mount(driver: Driver, storage: Storage, target: string, entry: Entry): Promise<void> {
    try {
      const done = await driver(this.guest, storage, target);
      if (typeof done === 'function') entry.undo = done;
      else if (done) entry.undo = () => this.takeAway(target);
      if (storage.fs_group) applyGroup(this.guest, target, storage.fs_group);
    } catch (thrown) {
      this.entries.delete(target);
      entry.undo();
      throw thrown;
    }
  }

  private release(target: string): void {
    const entry = this.entries.get(target);
    if (!entry || --entry.users > 0 || entry.keep) return;
    this.entries.delete(target);
    entry.undo();
  }

  private takeAway(target: string): void {
    attempt(() => unmount(this.guest.sys, target));
    attempt(() => this.guest.sys.rmdir(target));
  }
}

/** A file system of the host. Its device may just have been plugged in. */
async function mountShare(guest: Guest, storage: Storage, target: string): Promise<boolean> {
  const { hotplugTimeoutMs } = guest.options;
  for (let waited = 0; ; waited += RETRY_MS) {
    try {
      mountAt(guest.sys, storage.source, target, storage.fstype || 'virtiofs', storage.options);
      return true;
    } catch (thrown) {
      if (waited >= hotplugTimeoutMs) throw thrown;
      await guest.loop.sleep(RETRY_MS);
    }
  }
}

async function disk(guest: Guest, storage: Storage, target: string): Promise<boolean> {
  const refused = storage.driver_options.find((option) => option.startsWith('encryption_key='));
  if (refused) throw new AgentError('unimplemented', `driver option ${refused}: this guest encrypts no disks`);
  const device = await blockDevice(guest, storage.source);
  if (storage.driver_options.some((option) => option.split('=')[0] === CREATE_FILESYSTEM)) {
    await makeFileSystem(guest, device);
  }
  mountAt(guest.sys, device, target, storage.fstype || 'ext4', storage.options);
  return true;
}

async function makeFileSystem(guest: Guest, device: string): Promise<void> {
  const { sys, loop } = guest;
  const program = programPath(guest, 'mkfs.ext4');
  if (!program) throw new AgentError('unimplemented', 'create_filesystem: this guest has no mkfs.ext4');
  const argv = [program, '-F', '-q', '-O', '^has_journal', '-m', '0', '-i', '163840', '-I', '128', device];
  const status = await loop.exited(sys.spawn({ argv, env: [], stdio: [-1, -1, -1] }));
  if (status !== 0) throw new AgentError('internal', `mkfs.ext4 of ${device} ended with status ${status}`);
}

function overlay(guest: Guest, storage: Storage, target: string): boolean {
  const { sys, options } = guest;
  for (const option of storage.driver_options.filter((each) => each.startsWith(CREATE_DIRECTORY))) {
    mkdirs(sys, checkPath(option.slice(CREATE_DIRECTORY.length), 'directory'), DIRECTORY_MODE);
  }
  const own = storage.options.filter((option) => option !== OVERLAY_RW);
  if (own.length < storage.options.length) {
    const id = target.split('/').at(-2) ?? '';
    const base = `${options.runDir}/overlay/${id}`;
    for (const name of ['upper', 'work']) mkdirs(sys, `${base}/${name}`, DIRECTORY_MODE);
    own.push(`upperdir=${base}/upper`, `workdir=${base}/work`);
  }
  mountAt(sys, storage.source || 'overlay', target, storage.fstype || 'overlay', own);
  return true;
}

function bind(guest: Guest, storage: Storage, target: string): boolean {
  const source = checkPath(storage.source, 'source');
  const beneathOption = storage.driver_options.find((option) => option.startsWith(MAKE_BENEATH));
  if (beneathOption !== undefined) return bindBeneath(guest, storage, beneathOption.slice(MAKE_BENEATH.length), target);
  const options = storage.options.some((option) => option === 'bind' || option === 'rbind') ? [] : ['rbind'];
  mountAt(guest.sys, source, target, 'bind', [...options, ...storage.options]);
  return true;
}

/** Binds a directory of a volume, made where it is missing. Containers own what is in there: a link of theirs is an error. */
function bindBeneath(guest: Guest, { source, options }: Storage, root: string, target: string): boolean {
  const { sys } = guest;
  if (!source.startsWith(`${checkPath(root, 'root')}/`)) {
    throw new AgentError('invalid_argument', `source ${JSON.stringify(source)} is not below ${root}`);
  }
  const { group, rest } = groupOf(options);
  const mode = rest.find((option) => option.startsWith('mode='));
  const permissions = mode ? Number.parseInt(mode.slice('mode='.length), 8) : DIRECTORY_MODE;
  beneath(sys, root, source.slice(root.length), DIRECTORY_MODE, (parent, name) => {
    const existed = exists(sys, parent.path(name));
    const directory = parent.child(name, existed ? undefined : permissions);
    try {
      const path = `/proc/self/fd/${directory.fd}`;
      if (!existed && group !== undefined) setGroup(guest, `${path}/.`, group);
      mountAt(sys, path, target, 'bind', ['bind']);
    } finally {
      directory.close();
    }
  });
  return true;
}

/** Gives a volume to a group: every file, unless the policy asks only when the root does not fit. Follows no link. */
function applyGroup(guest: Guest, root: string, { group_id: group, group_change_policy: policy }: FSGroup): void {
  const { sys } = guest;
  const top = sys.stat(root);
  if (policy === FSGroupChangePolicy.OnRootMismatch && top.gid === group && (top.mode & SETGID) !== 0) return;
  const waiting = [root];
  for (let done = 0; waiting.length > 0; done++) {
    if (done >= MAX_GROUP_FILES)
      throw new AgentError('resource_exhausted', `${root}: more than ${MAX_GROUP_FILES} files`);
    const path = waiting.pop() as string;
    try {
      const stat = sys.lstat(path);
      sys.lchown(path, -1, group);
      if (stat.type === 'link') continue;
      const directory = stat.type === 'dir';
      // As kubelet: the group may do what the owner may, new files inherit it.
      sys.chmod(path, (stat.mode & 0o7777) | (directory ? SETGID | 0o070 : 0o060));
      if (directory) for (const name of list(sys, path)) waiting.push(`${path}/${name}`);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') throw new AgentError('internal', `group of ${path}: ${reasonOf(thrown)}`);
    }
  }
}
