/** Small things done with files again and again. */
import { errnoOf } from './error.ts';
import type { Sys } from './sys.ts';

/** Most bytes of one file of /proc, /sys or a cgroup. */
export const MAX_KERNEL_FILE_BYTES = 1024 * 1024;
/** Deepest tree that is removed. */
const MAX_TREE_DEPTH = 32;

const decoder = new TextDecoder();

/** A file's text. Throws SysError. */
export function readText(sys: Sys, path: string): string {
  return decoder.decode(sys.readFile(path, MAX_KERNEL_FILE_BYTES));
}

/** A file's text, or undefined where there is none or it cannot be read. */
export function readTextIfAny(sys: Sys, path: string): string | undefined {
  try {
    return readText(sys, path);
  } catch {
    return undefined;
  }
}

export function exists(sys: Sys, path: string): boolean {
  try {
    sys.lstat(path);
    return true;
  } catch {
    return false;
  }
}

/** Makes a directory and its parents; an existing one is kept as it is. */
export function mkdirs(sys: Sys, path: string, mode: number): void {
  const missing: string[] = [];
  for (let at = path; at.length > 1 && !exists(sys, at); at = at.slice(0, Math.max(1, at.lastIndexOf('/'))))
    missing.push(at);
  for (const each of missing.reverse()) {
    try {
      sys.mkdir(each, mode);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    }
  }
}

/** Names in a directory; none where it cannot be read. */
export function list(sys: Sys, path: string): string[] {
  try {
    return sys.readdir(path).filter((name) => name !== '.' && name !== '..');
  } catch {
    return [];
  }
}

/** Removes a tree, following no link and entering no other file system. What cannot be removed stays. */
export function removeTree(sys: Sys, path: string, depth = 0, device?: number): void {
  let stat: ReturnType<Sys['lstat']>;
  try {
    stat = sys.lstat(path);
  } catch {
    return;
  }
  if (depth > MAX_TREE_DEPTH || (device !== undefined && stat.dev !== device)) return;
  if (stat.type === 'dir') {
    for (const name of list(sys, path)) removeTree(sys, `${path}/${name}`, depth + 1, stat.dev);
    attempt(() => sys.rmdir(path));
  } else attempt(() => sys.unlink(path));
}

/** Does what may fail without consequence; says whether it did not. */
export function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
