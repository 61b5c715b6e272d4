/** Where a sandbox's management socket lies, and the link by which Kata's tools find it. */
import { lstatSync, mkdirSync, readlinkSync, rmdirSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';

/** Where Kata's monitor and command line look for sandboxes by id. */
export const LINK_DIRECTORY = '/run/vc/sbs';
const SOCKET_NAME = 'shim-monitor.sock';

/** @param directory of the sandbox */
export function monitorSocket(directory: string): string {
  return `${directory}/${SOCKET_NAME}`;
}

/** @param root tests use their own */
export function monitorLink(id: string, root: string = LINK_DIRECTORY): string {
  return `${root}/${id}/${SOCKET_NAME}`;
}

/**
 * Makes the link, unless another sandbox of this id has it: ids repeat between namespaces, and Kata's own shims put their sockets there.
 * @returns whether it leads to `socket`
 * @throws what the file system refuses
 */
export function claimLink(link: string, socket: string): boolean {
  mkdirSync(dirname(link), { recursive: true, mode: 0o700 });
  // Of one whose sandbox has gone without a word.
  if (isLink(link) && !leadsSomewhere(link)) unlinkSync(link);
  try {
    symlinkSync(socket, link);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
  return targetOf(link) === socket;
}

/** Removes the link and its directory, unless they are another's. Idempotent. */
export function releaseLink(link: string, socket: string): void {
  if (targetOf(link) !== socket) return;
  try {
    unlinkSync(link);
    rmdirSync(dirname(link));
  } catch {
    // Gone already, or somebody keeps more there.
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

function leadsSomewhere(link: string): boolean {
  return statSync(link, { throwIfNoEntry: false }) !== undefined;
}
