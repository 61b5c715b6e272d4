/** The sandboxes of this node that can be asked for metrics: this project's, and those of Kata's own shims beside them. */
import { lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { listSandboxes, MAX_SANDBOXES } from '../sandbox/census.ts';
import { checkIdentifier, RUNTIME_DIRECTORY } from '../sandbox/identity.ts';
import { LINK_DIRECTORY, monitorSocket } from '../sandbox/monitor-link.ts';
import type { PodName } from '../sandbox/state-file.ts';

/** Where the shims of Kata's Go and Rust runtimes have their sockets, by sandbox id. */
export const KATA_DIRECTORIES: readonly string[] = [LINK_DIRECTORY, '/run/kata'];
/** include/linux/proc_ns.h: PROC_PID_INIT_INO */
const HOST_PIDS = 'pid:[4026531836]';
const SOCKET_NAME = 'shim-monitor.sock';

export interface Found {
  /** As the label `sandbox_id` and the queries have it. */
  readonly id: string;
  /** Path of its management socket. */
  readonly socket: string;
  /** Names this life of the sandbox and no other, so that its start is counted once. */
  readonly key: string;
  /** undefined: the CRI may know. */
  readonly pod: PodName | undefined;
  /** Milliseconds since its shim started, by moment; undefined for those of Kata's. */
  readonly timeline: Readonly<Record<string, number>> | undefined;
}

export interface Places {
  readonly runtimeDirectory?: string;
  readonly kataDirectories?: readonly string[];
  /** Whether pids are those of the host; absent: the kernel is asked. */
  readonly seesProcesses?: boolean;
}

/** @returns at most MAX_SANDBOXES, each id once */
export function discover({
  runtimeDirectory = RUNTIME_DIRECTORY,
  kataDirectories = KATA_DIRECTORIES,
  seesProcesses = isHostPids(),
}: Places = {}): Found[] {
  const found = new Map<string, Found>();
  const sockets = new Set<string>();
  for (const { directory, state, shimAlive } of listSandboxes(runtimeDirectory)) {
    const socket = monitorSocket(directory);
    // Its link in Kata's directory, if it has one, is no sandbox of its own.
    sockets.add(socket);
    // Without the host's processes in sight, as in a container of Kubernetes, a socket stands for its shim.
    if (!shimAlive && (seesProcesses || socketAt(socket) === undefined)) continue;
    // Ids repeat between namespaces; label values must not.
    const id = found.has(state.id) ? `${state.namespace}/${state.id}` : state.id;
    const { pid, startTime } = state.shim;
    found.set(id, { id, socket, key: `${directory} ${pid} ${startTime}`, pod: state.pod, timeline: state.timeline });
  }
  for (const directory of kataDirectories) {
    for (const id of namesIn(directory)) {
      const socket = join(directory, id, SOCKET_NAME);
      if (found.size >= MAX_SANDBOXES || found.has(id) || !isIdentifier(id)) continue;
      const real = socketAt(socket);
      if (real === undefined || sockets.has(real)) continue;
      found.set(id, { id, socket, key: socket, pod: undefined, timeline: undefined });
    }
  }
  return [...found.values()];
}

/** Whether this process is in the pid namespace that the kernel began with. */
function isHostPids(): boolean {
  try {
    return readlinkSync('/proc/self/ns/pid') === HOST_PIDS;
  } catch {
    return true;
  }
}

/** Where a socket, or a link to one, leads; undefined: nowhere. */
function socketAt(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return lstatSync(real).isSocket() ? real : undefined;
  } catch {
    return undefined;
  }
}

function isIdentifier(text: string): boolean {
  try {
    checkIdentifier('sandbox id', text);
    return true;
  } catch {
    return false;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
