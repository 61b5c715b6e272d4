/** Empty files and directories of ours that something is mounted on. */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { makeDirectory, removeDirectory, unmount } from './mounts.ts';

export type PlaceKind = 'file' | 'directory';

/** Makes something empty to mount on in a directory of ours. A link that is there already is an error: it would lead the mount elsewhere. */
export function makePlace(path: string, kind: PlaceKind): void {
  if (kind === 'directory') makeDirectory(path);
  else
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600));
}

/** Undoes what is mounted there and removes the place itself: what was mounted is never touched. */
export function removePlace(path: string, kind: PlaceKind): void {
  unmount(path);
  if (kind === 'directory') removeDirectory(path);
  else rmSync(path, { force: true });
}
