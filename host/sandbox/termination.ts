/**
 * Termination messages where volumes are copies: what a container wrote into its message is in the guest, and is fetched
 * when the container ends.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { AgentClient } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { SpecView } from '../oci/rewrite.ts';
import type { Log } from './log.ts';

/** kubelet reads no more of a message, bytes. */
export const MAX_TERMINATION_BYTES = 4096;
/** Where the message is in the container; containerd hands the annotation on where its configuration names it. */
const PATH_ANNOTATION = 'io.kubernetes.container.terminationMessagePath';
const DEFAULT_PATH = '/dev/termination-log';

/** @returns the host's file for a container's message; undefined: it has none */
export function terminationFile({ annotations, mounts }: Pick<SpecView, 'annotations' | 'mounts'>): string | undefined {
  const path = annotations[PATH_ANNOTATION] ?? DEFAULT_PATH;
  return mounts.find(({ destination, type }) => destination === path && type === 'bind')?.source;
}

/** Writes a container's message into the host's file. Never rejects: a message is worth no failure. */
export async function fetchTermination(
  agent: Pick<AgentClient, 'terminationMessage'>,
  containerId: string,
  file: string,
  log: Log,
): Promise<void> {
  try {
    const message = await agent.terminationMessage(containerId);
    if (message !== '') overwrite(file, Buffer.from(message).subarray(0, MAX_TERMINATION_BYTES));
  } catch (thrown) {
    log.warn('the termination message stays in the guest', { container: containerId, error: reasonOf(thrown) });
  }
}

/** @throws Error for what is no regular file, a link included */
function overwrite(path: string, bytes: Uint8Array): void {
  // Neither a link is followed nor a reader of a named pipe waited for.
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path} is no regular file`);
    ftruncateSync(fd);
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, done);
  } finally {
    closeSync(fd);
  }
}
