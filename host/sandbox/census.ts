/** The sandboxes of this machine, read from their state files. Whatever else lies there is passed over. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { KataError } from '../error.ts';
import { isAlive } from '../process.ts';
import { RUNTIME_DIRECTORY } from './identity.ts';
import { readState, type SandboxState } from './state-file.ts';

/** Most sandboxes that are listed. */
export const MAX_SANDBOXES = 4096;
/** Characters of an id that are enough to name a sandbox, if no other begins with them. */
export const MIN_PREFIX_LENGTH = 4;
/** Most candidates that an error names. */
const MAX_NAMED = 10;
/** A sandbox's directory: see `Identity.key`. Kata's own programs keep other things beside them. */
const KEY = /^[0-9a-f]{32}$/;

export interface SandboxRecord {
  readonly directory: string;
  readonly state: SandboxState;
  /** Whether the very process that wrote the state still runs. */
  readonly shimAlive: boolean;
}

/**
 * Every sandbox that has a state file, oldest first; those whose shim has died too.
 * @param runtimeDirectory absolute; tests use their own
 * @returns at most MAX_SANDBOXES
 */
export function listSandboxes(runtimeDirectory: string = RUNTIME_DIRECTORY): SandboxRecord[] {
  const records: SandboxRecord[] = [];
  for (const name of namesIn(runtimeDirectory)) {
    const directory = join(runtimeDirectory, name);
    const state = isDirectory(directory) ? readState(directory) : undefined;
    if (!state) continue;
    records.push({ directory, state, shimAlive: isAlive(state.shim) });
    if (records.length === MAX_SANDBOXES) break;
  }
  return records.sort((a, b) => (a.state.createdAt ?? 0) - (b.state.createdAt ?? 0) || order(a.state.id, b.state.id));
}

/**
 * The sandbox that a user means.
 * @param text its id, the beginning of it (MIN_PREFIX_LENGTH characters at least), the pod's name, or `<namespace>/<name>` of the pod
 * @throws KataError `not_found`; `invalid_argument` where it may be several, naming them
 */
export function findSandbox(text: string, runtimeDirectory: string = RUNTIME_DIRECTORY): SandboxRecord {
  const all = listSandboxes(runtimeDirectory);
  const found = matches(text, all);
  const alive = found.filter(({ shimAlive }) => shimAlive);
  // What a crash has left behind is in nobody's way.
  const [first, ...others] = alive.length > 0 ? alive : found;
  if (!first) throw new KataError('not_found', notFound(text, all));
  if (others.length === 0) return first;
  const named = [first, ...others].slice(0, MAX_NAMED).map(describe).join(', ');
  const more = others.length >= MAX_NAMED ? `, and ${others.length + 1 - MAX_NAMED} more` : '';
  throw new KataError(
    'invalid_argument',
    `${JSON.stringify(text)} may be any of ${others.length + 1} sandboxes: ${named}${more}; give the whole id, or <namespace>/<pod name>`,
  );
}

/** What names a sandbox best: an id, before a pod's name, before the beginning of an id. */
function matches(text: string, all: readonly SandboxRecord[]): readonly SandboxRecord[] {
  const ways: readonly ((state: SandboxState) => boolean)[] = [
    ({ id }) => id === text,
    ({ pod }) => pod !== undefined && (pod.name === text || `${pod.namespace}/${pod.name}` === text),
    ({ id, namespace }) => `${namespace}/${id}` === text,
    ({ id }) => text.length >= MIN_PREFIX_LENGTH && id.startsWith(text),
  ];
  if (text === '') return [];
  for (const way of ways) {
    const found = all.filter(({ state }) => way(state));
    if (found.length > 0) return found;
  }
  return [];
}

function notFound(text: string, all: readonly SandboxRecord[]): string {
  const what = `no sandbox of this node is called ${JSON.stringify(text.slice(0, 256))}`;
  if (all.length === 0) return `${what}: none runs here`;
  const short = text.length < MIN_PREFIX_LENGTH ? ` (of an id give ${MIN_PREFIX_LENGTH} characters at least)` : '';
  return `${what}${short}; "kata-runtime list" shows those there are`;
}

function describe({ state: { id, namespace, pod } }: SandboxRecord): string {
  return pod?.name ? `${id} (pod ${pod.namespace}/${pod.name})` : `${id} (namespace ${namespace})`;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => KEY.test(name));
  } catch {
    return [];
  }
}

/** Not a link to one. */
function isDirectory(path: string): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
