/**
 * Where mounts go when the image has links on the way. crun follows links within the container's root, but fails at one that
 * leads to nothing yet when a directory is to be mounted there; other runtimes make what is missing.
 */
import type { Mount } from '../../host/proto/messages/oci.ts';
import { AgentError, errnoOf } from './error.ts';
import type { Stat, Sys } from './sys.ts';

/** Most links on the way to one destination, as the kernel's own limit. */
export const MAX_LINKS = 40;

/**
 * Destinations of bound directories, with dangling links replaced by what they name. Others stay as they are.
 * @param rootfs of a container that does not run yet: nobody changes it meanwhile
 * @throws AgentError invalid_argument for links without end
 */
export function withDestinations(sys: Sys, rootfs: string, mounts: readonly Mount[]): Mount[] {
  return mounts.map((mount, index) => {
    if (mount.type !== 'bind' || !isDirectory(sys, mount.source)) return mount;
    const destination = danglingTarget(sys, rootfs, mount.destination);
    if (destination === undefined) return mount;
    // What the image has there is covered by another mount.
    const covered = mounts
      .slice(0, index)
      .some((other) => isBelow(mount.destination, other.destination) || isBelow(destination, other.destination));
    return covered ? mount : { ...mount, destination };
  });
}

/** What a path means within a root, if a link on its way leads to nothing; undefined: there is none. */
function danglingTarget(sys: Sys, rootfs: string, path: string): string | undefined {
  const waiting = path.split('/').reverse();
  const found: string[] = [];
  let links = 0;
  let missing = false;
  for (let element = waiting.pop(); element !== undefined; element = waiting.pop()) {
    if (element === '' || element === '.') continue;
    if (element === '..') {
      found.pop();
      continue;
    }
    const at = [rootfs, ...found, element].join('/');
    const stat = statOf(sys, at);
    missing ||= stat === undefined;
    if (stat?.type !== 'link') {
      found.push(element);
      continue;
    }
    if (++links > MAX_LINKS) {
      throw new AgentError(
        'invalid_argument',
        `mount destination ${JSON.stringify(path)}: more than ${MAX_LINKS} links`,
      );
    }
    const target = sys.readlink(at);
    if (target.startsWith('/')) found.length = 0;
    waiting.push(...target.split('/').reverse());
  }
  return links > 0 && missing ? `/${found.join('/')}` : undefined;
}

function statOf(sys: Sys, path: string): Stat | undefined {
  try {
    return sys.lstat(path);
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT' || errnoOf(thrown) === 'ENOTDIR') return undefined;
    throw thrown;
  }
}

function isDirectory(sys: Sys, path: string): boolean {
  try {
    return sys.stat(path).type === 'dir';
  } catch {
    return false;
  }
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory.replace(/\/+$/, '')}/`) && directory !== '/';
}
