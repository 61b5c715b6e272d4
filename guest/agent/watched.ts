/**
 * ConfigMaps and Secrets as copies in the guest's memory: programs that wait for changes by inotify hear nothing of those
 * made on the host. kubelet publishes a state by exchanging one link, so that is all that has to be looked at.
 */
import { AgentError, errnoOf, reasonOf } from './error.ts';
import { attempt, list, mkdirs, removeTree } from './files.ts';
import { mountAt } from './mount.ts';
import type { Guest } from './options.ts';
import type { Sys } from './sys.ts';

/** Most files and directories of one volume; a larger one is bound as it is. */
export const MAX_WATCHED_ENTRIES = 16;
/** Most bytes of one volume. */
export const MAX_WATCHED_BYTES = 1024 * 1024;
/** Between two looks at a volume, ms. */
export const WATCH_MS = 2000;

/** The link to the directory that holds the state. */
const DATA = '..data';
const DIRECTORY_MODE = 0o755;
const PERMISSIONS = 0o7777;

/**
 * Keeps a copy of a volume in step with it.
 * @param target where the copy is made
 * @param everyMs tests have less patience
 * @returns ends that and removes the copy; undefined: the volume is none of kubelet's, or too large
 * @throws AgentError internal
 */
export function watched(guest: Guest, source: string, target: string, everyMs = WATCH_MS): (() => void) | undefined {
  const { sys, loop } = guest;
  let current = stateOf(sys, source);
  if (current === undefined || !fits(sys, `${source}/${current}`)) return undefined;
  try {
    makeTarget(sys, target);
    publish(sys, source, target, current);
  } catch (thrown) {
    removeTree(sys, target);
    throw new AgentError('internal', `copy of ${source}: ${reasonOf(thrown)}`);
  }
  let ended = false;
  const look = (): void => {
    if (ended) return;
    const state = stateOf(sys, source);
    try {
      if (state !== undefined && state !== current) publish(sys, source, target, state);
      current = state ?? current;
    } catch (thrown) {
      // Exchanged once more meanwhile, most likely; the next look finds that.
      sys.log(`agent: copy of ${source}: ${reasonOf(thrown)}`);
    }
    loop.sleep(everyMs).then(look);
  };
  loop.sleep(everyMs).then(look);
  return () => {
    ended = true;
    removeTree(sys, target);
  };
}

/** Name of the directory that is published; undefined: none is. */
function stateOf(sys: Sys, source: string): string | undefined {
  try {
    const name = sys.readlink(`${source}/${DATA}`);
    return name.startsWith('..') && name !== '..' && !name.includes('/') ? name : undefined;
  } catch {
    return undefined;
  }
}

function fits(sys: Sys, root: string): boolean {
  let [entries, bytes] = [0, 0];
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const stat = sys.lstat(path);
    if (path !== root) entries++;
    if (stat.type === 'dir') waiting.push(...list(sys, path).map((name) => `${path}/${name}`));
    else bytes += stat.size;
    if (entries > MAX_WATCHED_ENTRIES || bytes > MAX_WATCHED_BYTES) return false;
  }
  return true;
}

/** Kata's host wants copies inside the share, which is read-only: then they get a file system of their own there. */
function makeTarget(sys: Sys, target: string): void {
  try {
    mkdirs(sys, target, DIRECTORY_MODE);
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EROFS') throw thrown;
    const parent = target.slice(0, target.lastIndexOf('/'));
    mountAt(sys, 'tmpfs', parent, 'tmpfs', ['nosuid', 'nodev', 'mode=0755']);
    mkdirs(sys, target, DIRECTORY_MODE);
  }
}

/** In kubelet's own order: the state, the link to it, the names that lead through it, then what is no longer wanted. */
function publish(sys: Sys, source: string, target: string, state: string): void {
  if (!fits(sys, `${source}/${state}`)) {
    throw new Error(`more than ${MAX_WATCHED_ENTRIES} files or ${MAX_WATCHED_BYTES} bytes; the old state stays`);
  }
  like(sys, source, target);
  removeTree(sys, `${target}/${state}`);
  copy(sys, `${source}/${state}`, `${target}/${state}`);
  link(sys, target, DATA, state);
  const names = list(sys, source).filter((name) => !name.startsWith('..'));
  for (const name of names) {
    const path = `${source}/${name}`;
    if (sys.lstat(path).type === 'link') link(sys, target, name, sys.readlink(path));
  }
  const wanted = new Set([...names, DATA, state]);
  for (const name of list(sys, target)) if (!wanted.has(name)) removeTree(sys, `${target}/${name}`);
}

function copy(sys: Sys, from: string, to: string): void {
  const { type } = sys.lstat(from);
  if (type === 'dir') {
    sys.mkdir(to, DIRECTORY_MODE);
    for (const name of list(sys, from)) copy(sys, `${from}/${name}`, `${to}/${name}`);
  } else if (type === 'link') sys.symlink(sys.readlink(from), to);
  else if (type === 'file') sys.writeFile(to, sys.readFile(from, MAX_WATCHED_BYTES), 0o600);
  else return;
  like(sys, from, to);
}

/** Owner and mode. */
function like(sys: Sys, from: string, to: string): void {
  const { uid, gid, mode, type } = sys.lstat(from);
  sys.lchown(to, uid, gid);
  if (type !== 'link') sys.chmod(to, mode & PERMISSIONS);
}

/** Makes or exchanges a link, so that the name is never without one. */
function link(sys: Sys, directory: string, name: string, to: string): void {
  const path = `${directory}/${name}`;
  let known = '';
  attempt(() => {
    known = sys.readlink(path);
  });
  if (known === to) return;
  const fresh = `${directory}/..${name}_tmp`;
  attempt(() => sys.unlink(fresh));
  sys.symlink(to, fresh);
  sys.rename(fresh, path);
}
