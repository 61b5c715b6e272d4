/**
 * CopyFile: the host's files, where no file system is shared. Containers can write where they land, so nothing on the way
 * is trusted: every element is opened without following links.
 */
import type { CopyFileRequest } from '../../host/proto/messages/agent.ts';
import { beneath, type Directory, noFollow, O_CREAT, O_EXCL, O_WRONLY } from './beneath.ts';
import { AgentError, errnoOf } from './error.ts';
import { attempt, mkdirs, removeTree } from './files.ts';
import { type Guest, sharedDir } from './options.ts';

/** Directories made on the way, where the request names no mode. */
const DEFAULT_DIRECTORY_MODE = 0o750;
const ROOT_MODE = 0o755;
const PERMISSIONS = 0o7777;
/** Containers of which it is known that something was copied for them alone. */
export const MAX_KNOWN = 4096;
/** Longest part of a name that goes into the name of its unfinished copy, characters. */
const MAX_NAME_PART = 48;

// File types of st_mode, inode(7).
const TYPE_MASK = 0o170000;
const TYPE_FILE = 0o100000;
const TYPE_DIRECTORY = 0o040000;
const TYPE_LINK = 0o120000;

/**
 * Writes one chunk of a file, or makes a directory or link. A file appears under its name when its last byte is there.
 * @throws AgentError invalid_argument for paths outside the shared directory, sizes and types; permission_denied for links on the way
 */
export function copyFile(guest: Guest, request: CopyFileRequest): void {
  const root = sharedDir(guest.options);
  if (!request.path.startsWith(`${root}/`)) {
    throw new AgentError(
      'invalid_argument',
      `path ${JSON.stringify(request.path.slice(0, 4096))} is not below ${root}`,
    );
  }
  mkdirs(guest.sys, root, ROOT_MODE);
  const mode = request.dir_mode & PERMISSIONS || DEFAULT_DIRECTORY_MODE;
  beneath(guest.sys, root, request.path.slice(root.length), mode, (parent, name) => {
    const type = request.file_mode & TYPE_MASK;
    if (type === TYPE_DIRECTORY) copyDirectory(guest, request, parent, name);
    else if (type === TYPE_LINK) copyLink(guest, request, parent, name);
    else if (type === TYPE_FILE || type === 0) copyChunk(guest, request, parent, name);
    else
      throw new AgentError(
        'invalid_argument',
        `file_mode 0${request.file_mode.toString(8)}: no file, directory or link`,
      );
  });
}

/** What was copied below the name of one container goes with that container. */
export class CopiedFiles {
  private readonly names = new Set<string>();

  constructor(private readonly guest: Guest) {}

  /** As `copyFile`, and remembers for whom it was. */
  copy(request: CopyFileRequest): void {
    copyFile(this.guest, request);
    const [name = '', below] = request.path.slice(sharedDir(this.guest.options).length + 1).split('/');
    // Volumes are a pod's: their names are no container's.
    if (below !== undefined && this.names.size < MAX_KNOWN) this.names.add(name);
  }

  /** Removes a container's copies; only what CopyFile has made: a file system that is shared is the host's. Idempotent. */
  remove(containerId: string): void {
    const { sys, options } = this.guest;
    if (this.names.delete(containerId)) removeTree(sys, `${sharedDir(options)}/${containerId}`);
  }
}

function copyDirectory({ sys }: Guest, request: CopyFileRequest, parent: Directory, name: string): void {
  const mode = request.file_mode & PERMISSIONS;
  const directory = parent.child(name, mode);
  try {
    sys.lchown(parent.path(name), request.uid, request.gid);
    sys.chmod(`/proc/self/fd/${directory.fd}`, mode);
  } finally {
    directory.close();
  }
}

function copyLink({ sys }: Guest, request: CopyFileRequest, parent: Directory, name: string): void {
  const target = new TextDecoder().decode(request.data);
  if (target === '' || target.includes('\0'))
    throw new AgentError('invalid_argument', 'a link needs its target in data');
  const unfinished = parent.path(unfinishedName(name));
  anew(sys, unfinished, () => sys.symlink(target, unfinished));
  sys.lchown(unfinished, request.uid, request.gid);
  replace(sys, unfinished, parent.path(name));
}

function copyChunk({ sys }: Guest, request: CopyFileRequest, parent: Directory, name: string): void {
  const [size, offset] = [Number(request.file_size), Number(request.offset)];
  if (!(offset >= 0) || !(size >= 0) || offset + request.data.length > size) {
    const text = `${request.data.length} bytes at ${offset} of a file of ${size} bytes`;
    throw new AgentError('invalid_argument', `${request.path}: ${text}`);
  }
  const unfinished = parent.path(unfinishedName(name));
  const first = offset === 0;
  const open = () => sys.open(unfinished, O_WRONLY | noFollow(sys) | (first ? O_CREAT | O_EXCL : 0), 0o600);
  let fd: number;
  try {
    fd = first ? anew(sys, unfinished, open) : open();
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw thrown;
    throw new AgentError('invalid_argument', `${request.path}: a chunk at ${offset} without the one at 0`);
  }
  try {
    for (let at = 0; at < request.data.length; ) at += sys.pwrite(fd, request.data.subarray(at), offset + at);
    const own = `/proc/self/fd/${fd}`;
    if (sys.stat(own).size < size) return;
    sys.lchown(unfinished, request.uid, request.gid);
    // After chown, which takes set-user-id away.
    sys.chmod(own, request.file_mode & PERMISSIONS);
    replace(sys, unfinished, parent.path(name));
  } catch (thrown) {
    attempt(() => sys.unlink(unfinished));
    throw thrown;
  } finally {
    sys.close(fd);
  }
}

/** Makes something that must not be there; what a copy that was broken off has left is removed. */
function anew<T>(sys: Guest['sys'], path: string, make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EEXIST') throw thrown;
  }
  attempt(() => sys.unlink(path));
  return make();
}

/** At every moment the name leads to the old or the new one. Only a directory in its place refuses the rename. */
function replace(sys: Guest['sys'], unfinished: string, path: string): void {
  try {
    sys.rename(unfinished, path);
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EISDIR') throw thrown;
    removeTree(sys, path);
    sys.rename(unfinished, path);
  }
}

/** Beside the target, unlike any other's, and no longer than a name may be. */
function unfinishedName(name: string): string {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return `.copying-${hash.toString(16)}-${name.length}-${name.slice(0, MAX_NAME_PART)}`;
}
