/** Making and removing directories of a hierarchy, whatever its version. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CgroupFiles } from './cgroup-host.ts';
import { OVERHEAD_PARENT, PREFIX } from './cgroup-path.ts';

/** How long a cgroup's last process may take to be gone, ms; then it is left for the next who cleans up. */
export const REMOVE_WAIT_MS = 2000;
const POLL_MS = 10;
/** How often a cgroup is made anew when others remove its parents meanwhile. */
const MAKE_ATTEMPTS = 5;

/** Called from the top down: with each directory that is about to get a child, then with that child. */
export interface Levels {
  beforeChild(directory: string): Promise<void>;
  ready(directory: string, parent: string): Promise<void>;
}

/**
 * Makes a directory and the parents it lacks.
 * @param point where the hierarchy is mounted
 * @param path below it, starting with `/`
 * @returns the directories to remove in the end, the deepest first: what was made, and a directory at the top that only
 *   sandboxes of this kind share
 * @throws the system's error; what was made is removed
 */
export async function makeCgroup(files: CgroupFiles, point: string, path: string, levels: Levels): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    const made: string[] = [];
    try {
      await makeLevels(files, point, path, levels, made);
      return made;
    } catch (thrown) {
      for (const directory of made) await files.rmdir(directory).catch(() => {});
      if (codeOf(thrown) !== 'ENOENT' || attempt === MAKE_ATTEMPTS) throw thrown;
    }
  }
}

async function makeLevels(
  files: CgroupFiles,
  point: string,
  path: string,
  levels: Levels,
  made: string[],
): Promise<void> {
  const names = path.split('/').filter((name) => name !== '');
  let directory = point;
  for (const [depth, name] of names.entries()) {
    const parent = directory;
    directory = `${parent}/${name}`;
    await levels.beforeChild(parent);
    const leaf = depth === names.length - 1;
    const isNew = await makeOne(files, directory);
    // A sandbox that crashed may have left its own behind: it is ours.
    if (isNew || leaf || (depth === 0 && (await isShared(files, point, directory)))) made.unshift(directory);
    await levels.ready(directory, parent);
  }
}

/** @returns false when it was there */
async function makeOne(files: CgroupFiles, directory: string): Promise<boolean> {
  try {
    await files.mkdir(directory);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return false;
    throw thrown;
  }
}

/** Whether only sandboxes are in a directory: the last of them removes it, whoever made it. */
async function isShared(files: CgroupFiles, point: string, directory: string): Promise<boolean> {
  if (directory === `${point}${OVERHEAD_PARENT}`) return true;
  const children = await files.children(directory);
  return children.length > 0 && children.every((name) => name.startsWith(PREFIX));
}

/**
 * Removes one directory; what is in it stays, and so does it then.
 * @param end how long it may be busy, by performance.now()
 * @returns why it is still there; undefined: it is not
 */
export async function removeCgroup(files: CgroupFiles, directory: string, end: number): Promise<string | undefined> {
  for (;;) {
    try {
      await files.rmdir(directory);
      return undefined;
    } catch (thrown) {
      const code = codeOf(thrown);
      if (code === 'ENOENT') return undefined;
      if (code !== 'EBUSY' || performance.now() >= end) return code;
    }
    await sleep(POLL_MS);
  }
}

/** Whether a directory is a sandbox's own, not a parent of several. */
export function isOwn(directory: string): boolean {
  const [parent, name = ''] = directory.split('/').slice(-2);
  if (name.endsWith('.scope')) return true;
  return name.startsWith(PREFIX) ? name !== OVERHEAD_PARENT.slice(1) : parent === OVERHEAD_PARENT.slice(1);
}

/** `EBUSY`, …; the text of what is no system error. */
export function codeOf(thrown: unknown): string {
  return (thrown as { code?: string }).code ?? String(thrown);
}
