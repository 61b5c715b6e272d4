/**
 * The host's OCI hooks: programs of the node's administrator, run beside a container's life. createContainer and
 * startContainer belong into the container's namespaces, which are the guest's: see guest_hook_path.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import type { Hook, Hooks } from '../proto/messages/oci.ts';
import { oneLine, Tail } from '../tail.ts';
import type { Log } from './log.ts';

/** How long a hook without a timeout of its own may run, ms. */
export const HOOK_TIMEOUT_MS = 60_000;
/** Longest timeout a hook may ask for, s: containerd gives up on Create sooner. */
export const MAX_HOOK_TIMEOUT_S = 600;
/** Most hooks of one kind. */
export const MAX_HOOKS = 64;
/** How long a hook that has failed may keep its output open, ms. */
const LAST_WORDS_MS = 100;
/** Version of the state's form. */
const STATE_VERSION = '1.0.2';
/** Files a hook makes are the node's, not the sandbox's. */
const HOOK_UMASK = 0o022;

export type HookKind = 'Prestart' | 'CreateRuntime' | 'Poststart' | 'Poststop';

/** What a hook reads on its stdin, as JSON. */
export interface HookState {
  readonly id: string;
  readonly status: 'creating' | 'created' | 'running' | 'stopped';
  /** A process in the sandbox's namespaces on the host; 0: there is none any more. */
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Whose hooks run: a container, or the sandbox for the one that will own it. */
export interface HookOwner extends Pick<HookState, 'id' | 'bundle' | 'annotations'> {
  readonly hooks: Hooks | undefined;
}

/**
 * Runs what comes before there is a container.
 * @param pid of the VMM: a process in the sandbox's network namespace
 * @throws KataError of `runHooks`
 */
export async function runStartHooks(owner: HookOwner, pid: number): Promise<void> {
  const state = stateOf(owner, 'creating', pid);
  await runHooks('Prestart', owner.hooks?.Prestart ?? [], state);
  await runHooks('CreateRuntime', owner.hooks?.CreateRuntime ?? [], state);
}

/** Never rejects. */
export async function runPoststart(owner: HookOwner, pid: number, log: Log): Promise<void> {
  await runHooksLoosely('Poststart', owner.hooks?.Poststart ?? [], stateOf(owner, 'running', pid), log);
}

/** Never rejects. */
export async function runPoststop(owner: HookOwner, log: Log): Promise<void> {
  await runHooksLoosely('Poststop', owner.hooks?.Poststop ?? [], stateOf(owner, 'stopped', 0), log);
}

/**
 * Runs the hooks of one kind, one after the other.
 * @throws KataError `failed_precondition` with the hook's last words when one cannot be started, fails or is late;
 *   those after it do not run
 */
export async function runHooks(kind: HookKind, hooks: readonly Hook[], state: HookState): Promise<void> {
  if (hooks.length > MAX_HOOKS) {
    throw new KataError('invalid_argument', `${hooks.length} ${kind} hooks; at most ${MAX_HOOKS} are run`);
  }
  const { pid, ...rest } = state;
  const json = JSON.stringify({ ociVersion: STATE_VERSION, ...rest, ...(pid > 0 ? { pid } : {}) });
  for (const hook of hooks) await run(kind, hook, json, state.bundle);
}

/** As `runHooks`, for hooks whose failure changes nothing any more: it is logged, and the next one runs. Never rejects. */
export async function runHooksLoosely(
  kind: HookKind,
  hooks: readonly Hook[],
  state: HookState,
  log: Log,
): Promise<void> {
  for (const hook of hooks) {
    await runHooks(kind, [hook], state).catch((thrown) => {
      log.warn('a hook failed', { hook: hook.Path, container: state.id, error: reasonOf(thrown) });
    });
  }
}

function stateOf({ id, bundle, annotations }: HookOwner, status: HookState['status'], pid: number): HookState {
  return { id, bundle, annotations, status, pid };
}

async function run(kind: HookKind, hook: Hook, state: string, bundle: string): Promise<void> {
  const { Path: path, Timeout } = hook;
  if (!isAbsolute(path)) {
    throw new KataError('invalid_argument', `${kind} hook ${JSON.stringify(path)} must be an absolute path`);
  }
  const seconds = Math.min(Number(Timeout), MAX_HOOK_TIMEOUT_S);
  const limit = seconds > 0 ? seconds * 1000 : HOOK_TIMEOUT_MS;
  const output = new Tail();
  const child = start(hook, bundle);
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stdin?.on('error', () => {});
  child.stdin?.end(state);
  const failure = await endOf(child, limit);
  for (const stream of child.stdio) stream?.destroy();
  if (failure === '') return;
  const words = oneLine(output.text());
  throw new KataError('failed_precondition', `${kind} hook ${path} ${failure}${words ? `: ${words}` : ''}`);
}

function start({ Path, Args, Env }: Hook, bundle: string): ChildProcess {
  const env = Object.fromEntries(
    Env.map((line) => {
      const equals = line.indexOf('=');
      return equals < 0 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
  native().closeOnExec();
  const umask = process.umask(HOOK_UMASK);
  try {
    return spawn(Path, Args.slice(1), {
      argv0: Args[0] ?? Path,
      env,
      cwd: bundle,
      stdio: 'pipe',
      // A group of its own, so that what it started goes with it.
      detached: true,
    });
  } finally {
    process.umask(umask);
  }
}

/** How the hook failed, in words; empty: it did not. */
function endOf(child: ChildProcess, limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      killGroup(child);
      resolve(`did not end within ${limitMs / 1000} s and was killed`);
    }, limitMs);
    child.once('error', (thrown) => {
      clearTimeout(timer);
      resolve(`cannot be started (${reasonOf(thrown)})`);
    });
    // A daemon that a hook leaves behind may keep its output open: the hook's own end counts.
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve('');
      else lastWords(child, () => resolve(signal ? `was ended by ${signal}` : `failed with status ${code}`));
    });
  });
}

/** What it said last may still be in the pipe. */
function lastWords(child: ChildProcess, then: () => void): void {
  const timer = setTimeout(then, LAST_WORDS_MS);
  child.once('close', () => {
    clearTimeout(timer);
    then();
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: it has just ended.
  }
}
