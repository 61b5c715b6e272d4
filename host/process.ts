/** Who a process is: its pid names it only together with its start time, since pids are used again. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often `waitGone` looks, ms. */
const POLL_MS = 5;

/** Written to the state file, so that a later program can end what an earlier one began. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot at which it was started: field 22 of /proc/<pid>/stat. */
  readonly startTime: number;
}

/** @returns the start time of a living process, undefined when there is none or it is a zombie */
export function startTimeOf(pid: number): number | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // Field 2 is the name in parentheses and may hold both spaces and parentheses; field 3 follows the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  if (state === 'Z' || state === 'X') return undefined;
  const startTime = Number(fields[22 - 3]);
  return Number.isSafeInteger(startTime) ? startTime : undefined;
}

/** @returns the identity of a living process, undefined when there is none */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Whether this very process still runs. A zombie does not. */
export function isAlive(process: ProcessIdentity): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/**
 * Sends a signal, unless the pid has passed to another process.
 * @returns whether it was sent
 */
export function kill(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Waits until a process has ended; works for processes of other parents too.
 * @param ms milliseconds to wait at most
 * @returns whether it has
 */
export async function waitGone(target: ProcessIdentity, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (isAlive(target)) {
    if (performance.now() >= end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** The children of a process's main thread, empty when it is gone. */
export function childrenOf(pid: number): ProcessIdentity[] {
  let listed: string;
  try {
    listed = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  } catch {
    return [];
  }
  return listed
    .split(' ')
    .map((child) => identityOf(Number(child)))
    .filter((child) => child !== undefined);
}
