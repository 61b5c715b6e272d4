/** Which processes there are, and which of them belong to one private containerd. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot: with the pid it names one process for good. */
  readonly startTime: string;
  readonly name: string;
  /** Arguments joined by spaces. */
  readonly command: string;
}

/** All processes but kernel threads, zombies (reported by their parent's fault, not by ours) included. */
export function processes(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const process = readProcess(pid);
    if (process !== undefined) found.push(process);
  }
  return found;
}

/** The process with that pid, or undefined. Kernel threads count as none. */
export function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name is in parentheses and may hold any byte; fields after the last one: state, ppid, …, start time is the 20th.
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    const parent = Number(fields[1]);
    if (parent === 2 || pid === 2) return undefined;
    return { pid, parent, startTime: fields[19] ?? '', name: stat.slice(stat.indexOf('(') + 1, end), command };
  } catch {
    return undefined;
  }
}

/**
 * Processes that belong to the containerd whose directory is `mark`: it is in their arguments, environment or working
 * directory, or they are in the cgroup named after its last part, or a parent of theirs belongs. That holds for shims and their
 * children whatever became of their parents.
 */
export function markedProcesses(mark: string): Process[] {
  const all = processes();
  const cgroup = `/${mark.split('/').pop()}`;
  const marked = new Set(all.filter((process) => carries(process.pid, mark, cgroup)).map((process) => process.pid));
  marked.delete(process.pid);
  for (let size = -1; size !== marked.size; ) {
    size = marked.size;
    for (const process of all) if (marked.has(process.parent)) marked.add(process.pid);
  }
  return all.filter((process) => marked.has(process.pid));
}

/** SIGKILL, unless the pid has gone to another process since. */
export function kill(target: Process): void {
  if (readProcess(target.pid)?.startTime !== target.startTime) return;
  try {
    process.kill(target.pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function carries(pid: number, mark: string, cgroup: string): boolean {
  const contains = (file: string, text: string) => read(`/proc/${pid}/${file}`).includes(text);
  return (
    contains('cmdline', mark) ||
    contains('environ', mark) ||
    link(`/proc/${pid}/cwd`).startsWith(mark) ||
    contains('cgroup', cgroup)
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
