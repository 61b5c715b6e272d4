/** Ends what a sandbox left behind, from its state file alone. Idempotent; harmless where there is nothing. */
import { lstatSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { stopRemote } from '../hypervisor/remote/calls.ts';
import { cleanUpNetwork } from '../network/clean-up.ts';
import { kill, waitGone } from '../process.ts';
import { cleanUpCgroups } from '../resources/choose-host-cgroup.ts';
import { mountsBelow, unmountBelow as takeMountsAway } from '../storage/mountinfo.ts';
import type { Log } from './log.ts';
import { releaseLink } from './monitor-link.ts';
import { type ProcessName, readState } from './state-file.ts';

/** How long a shim that is just ending may take, ms. */
export const SHIM_GRACE_MS = 1000;
/** How long a killed process may take to be gone, ms. */
export const KILL_WAIT_MS = 2000;

/** What `cleanUp` found. */
export interface Cleaned {
  /** Pid of the VMM; 0: the sandbox had none. */
  readonly pid: number;
}

/**
 * Ends a sandbox's processes and removes its directory and socket, and what it made in cgroups and its pod's network.
 * @param directory `/run/kata-containers/<key>`
 * @param keepSocket path of a socket that stays: the caller's own
 */
export async function cleanUp(directory: string, log: Log, keepSocket = ''): Promise<Cleaned> {
  const found = readState(directory);
  if (found && found.shim.pid !== process.pid) await end(found.shim, SHIM_GRACE_MS, log);
  // Until it ended, the shim may have made more, and written that down first.
  const state = readState(directory) ?? found;
  if (state) {
    // It may take longer than whoever called us waits: all else is done by then.
    const stopped = state.remote && stopRemote(state.remote, log);
    for (const child of state.children) await end(child, 0, log);
    if (state.network) cleanUpNetwork(state.network, log);
    if (state.cgroups) await cleanUpCgroups(state.cgroups, log);
    if (state.socket !== keepSocket) removeSocket(state.socket);
    if (state.monitor && state.monitorLink) releaseLink(state.monitorLink, state.monitor);
    await stopped;
  }
  removeDirectory(directory, log);
  return { pid: state?.children[0]?.pid ?? 0 };
}

/** Removes a sandbox's directory, and the one that holds all of them if it was the last. */
export function removeDirectory(directory: string, log: Log): void {
  removeTree(directory, log);
  try {
    rmdirSync(directory.slice(0, directory.lastIndexOf('/')));
  } catch {
    // ENOTEMPTY: other sandboxes live in it.
  }
}

/** Unmounts a path and everything below, as the caller's mount namespace has it. Idempotent. */
export function unmountBelow(path: string, log: Log): void {
  for (const failure of takeMountsAway(path)) log.warn('cannot unmount', { failure });
}

/**
 * Removes a directory, unless something is still mounted in it: what is behind a mount is not ours to remove.
 * Links are removed, never followed.
 */
export function removeTree(directory: string, log: Log): void {
  try {
    if (!lstatSync(directory).isDirectory()) return;
  } catch {
    return;
  }
  unmountBelow(directory, log);
  const left = mountsBelow(directory);
  if (left.length > 0) {
    log.error('directory kept: something is still mounted in it', { directory, mount: left[0]?.point });
    return;
  }
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch (thrown) {
    log.error('cannot remove the directory', { directory, error: String(thrown) });
  }
}

async function end(child: ProcessName, graceMs: number, log: Log): Promise<void> {
  if (graceMs > 0 && (await waitGone(child, graceMs))) return;
  kill(child, 'SIGKILL');
  if (!(await waitGone(child, KILL_WAIT_MS))) log.error('process does not end', { name: child.name, pid: child.pid });
}

/** Removes a socket; nothing else that may be there. Idempotent. */
export function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch {}
}
