/** What is told of a sandbox: from its shim, or where that does not answer, from its state file and /proc. */
import { readChildren, readPss } from '../metrics/process.ts';
import { isAlive } from '../process.ts';
import type { SandboxRecord } from '../sandbox/census.ts';
import type { ProcessName } from '../sandbox/state-file.ts';
import { ask } from './sandbox.ts';

/** How long a shim may take for an answer before its state file has to do, ms. */
export const ANSWER_MS = 1000;
/** Largest answer, bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** What the shim's own process is called. */
const SHIM = 'shim';
/** Most containers that are told of. */
const MAX_CONTAINERS = 1024;

export interface ContainerReport {
  readonly id: string;
  /** As its pod calls it; empty: the pod's own, or none. */
  readonly name: string;
  readonly state: string;
  readonly pid: number;
  /** Milliseconds since the epoch; 0: not known. */
  readonly createdAt: number;
  /** Processes that were started in it and have not ended; undefined: not known. */
  readonly processes: number | undefined;
}

export interface SandboxReport {
  readonly id: string;
  /** containerd's. */
  readonly namespace: string;
  readonly pod: { readonly name: string; readonly namespace: string; readonly uid: string } | undefined;
  /** What the shim says; `dead`: it has ended, `unknown`: it does not answer. */
  readonly state: string;
  /** Milliseconds since the epoch; 0: not known. */
  readonly createdAt: number;
  /** Living processes of the host, by part. */
  readonly pids: Readonly<Record<string, number>>;
  /** Their share of memory (PSS), bytes; undefined: it cannot be read. */
  readonly memoryBytes: number | undefined;
  readonly accelerator: string;
  readonly transport: string;
  readonly version: string;
  readonly configuration: string;
  readonly vcpus: number | undefined;
  /** Of the guest. */
  readonly guestMemoryMib: number | undefined;
  readonly containers: readonly ContainerReport[];
}

/** Never throws: a sandbox that does not answer is one to tell of. */
export async function reportOf(record: SandboxRecord): Promise<SandboxReport> {
  const { state, shimAlive } = record;
  const said = shimAlive ? await view(record) : undefined;
  const living = [{ ...state.shim, name: SHIM }, ...state.children].filter(isAlive);
  const pids = Object.fromEntries(living.map(({ name, pid }) => [name, pid]));
  return {
    id: state.id,
    namespace: state.namespace,
    pod: state.pod,
    state: said ? text(said.state) || 'unknown' : shimAlive ? 'unknown' : 'dead',
    createdAt: state.createdAt ?? 0,
    pids,
    memoryBytes: memoryOf(living),
    accelerator: state.accelerator ?? '',
    transport: state.transport ?? '',
    version: state.program?.version ?? '',
    configuration: state.configuration ?? '',
    vcpus: count(said?.vcpus),
    guestMemoryMib: count(said?.memoryMib),
    containers: list(said?.containers).slice(0, MAX_CONTAINERS).map(containerOf),
  };
}

async function view(record: SandboxRecord): Promise<Record<string, unknown> | undefined> {
  try {
    const options = { method: 'GET', path: '/sandbox', timeoutMs: ANSWER_MS, maxBytes: MAX_ANSWER_BYTES };
    return object(JSON.parse((await ask(record, options)).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Proportional shares: what several processes have in common is counted once. */
function memoryOf(living: readonly ProcessName[]): number | undefined {
  // virtiofsd's process that we know waits for its child, which serves. The shim's children are the others.
  const pids = living.flatMap(({ name, pid }) => (name === SHIM ? [pid] : [pid, ...readChildren(pid)]));
  const known = pids.map((pid) => readPss(pid)?.total).filter((bytes) => bytes !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, bytes) => sum + bytes, 0);
}

function containerOf(value: unknown): ContainerReport {
  const { id, name, state, pid, createdAt, processes } = object(value);
  return {
    id: text(id),
    name: text(name),
    state: text(state),
    pid: count(pid) ?? 0,
    createdAt: count(createdAt) ?? 0,
    processes: count(processes),
  };
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
