/** `delete`: containerd lost the shim. Cleans up from the sandbox's state file alone and answers how its task ended. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { KataError } from '../error.ts';
import { identityOf, kill, waitGone } from '../process.ts';
import { encode } from '../proto/codec.ts';
import { DeleteResponse } from '../proto/messages/task_v2.ts';
import { cleanUp, KILL_WAIT_MS, removeSocket, SHIM_GRACE_MS, unmountBelow } from '../sandbox/cleanup.ts';
import { type Identity, SOCKET_DIRECTORY } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import { KILLED } from '../sandbox/process.ts';
import { timestamp } from './time.ts';

/**
 * Removes what is left of a sandbox or container. Works when nothing is.
 * @param bundle its bundle; empty: the working directory
 * @param sockets directory of the shims' sockets; tests use their own
 * @returns an encoded DeleteResponse, all that may go to stdout
 * @throws KataError `invalid_argument`
 */
export async function deleteTask(
  identity: Identity,
  bundle: string,
  log: Log,
  sockets: string = SOCKET_DIRECTORY,
): Promise<Uint8Array> {
  const directory = resolve(bundle);
  if (directory === '/')
    throw new KataError('invalid_argument', 'the bundle must not be the root directory; name it by -bundle');
  const { pid } = await cleanUp(identity.directory, log);
  // One that had no state file then may have written it since.
  if (await endShim(identity, directory, sockets, log)) await cleanUp(identity.directory, log);
  unmountBelow(join(directory, 'rootfs'), log);
  return encode(DeleteResponse, { pid, exit_status: KILLED, exited_at: timestamp(new Date()) });
}

/**
 * Ends a shim that serves nobody: its Create has failed or was given up, and it has no state file any more, or none yet.
 * One that has just shut down may still be sending its last events.
 * @returns whether there was one to end
 */
async function endShim({ id, hash }: Identity, bundle: string, sockets: string, log: Log): Promise<boolean> {
  const shim = identityOf(pidIn(join(bundle, 'shim.pid')));
  if (!shim || !isShimOf(shim.pid, id) || (await waitGone(shim, SHIM_GRACE_MS))) return false;
  kill(shim, 'SIGTERM');
  if (await waitGone(shim, KILL_WAIT_MS)) return true;
  kill(shim, 'SIGKILL');
  await waitGone(shim, KILL_WAIT_MS);
  // It could not take its socket along.
  removeSocket(`${sockets}/${hash}`);
  log.warn('the shim did not end by SIGTERM', { pid: shim.pid });
  return true;
}

function pidIn(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1'));
  } catch {
    return 0;
  }
}

/** Pids are used again: the process must be one of this program, started for this id. */
function isShimOf(pid: number, id: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some((word) => word.endsWith('/shim.cjs')) && words.includes(id);
  } catch {
    return false;
  }
}
