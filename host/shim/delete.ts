/** `delete`: containerd lost the shim. Cleans up from the sandbox's state file alone and answers how its task ended. */
import { join, resolve } from 'node:path';
import { KataError } from '../error.ts';
import { encode } from '../proto/codec.ts';
import { DeleteResponse } from '../proto/messages/task_v2.ts';
import { cleanUp, unmountBelow } from '../sandbox/cleanup.ts';
import type { Identity } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import { KILLED } from '../sandbox/process.ts';
import { timestamp } from './time.ts';

/**
 * Removes what is left of a sandbox or container. Works when nothing is.
 * @param bundle its bundle; empty: the working directory
 * @returns an encoded DeleteResponse, all that may go to stdout
 * @throws KataError `invalid_argument`
 */
export async function deleteTask(identity: Identity, bundle: string, log: Log): Promise<Uint8Array> {
  const directory = resolve(bundle);
  if (directory === '/')
    throw new KataError('invalid_argument', 'the bundle must not be the root directory; name it by -bundle');
  const { pid } = await cleanUp(identity.directory, log);
  unmountBelow(join(directory, 'rootfs'), log);
  return encode(DeleteResponse, { pid, exit_status: KILLED, exited_at: timestamp(new Date()) });
}
