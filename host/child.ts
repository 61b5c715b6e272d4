/** A child process that cannot outlive this one, is reaped once, and whose last words are kept. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { KataError, reasonOf } from './error.ts';
import { native } from './native.ts';
import { childrenOf, identityOf, kill, type ProcessIdentity, waitGone } from './process.ts';
import { Tail } from './tail.ts';

/** How long stderr is still read after a child's end, ms: a grandchild may hold it open for ever. */
const LAST_WORDS_MS = 100;
/** How long a child whose own child was killed may take to notice, ms. */
const OWN_END_MS = 500;
/** How long a killed child's own children may take to go, ms. */
const GONE_MS = 5000;
/** Where the descriptors of `ChildOptions.descriptors` start in the child: after stdin, stdout and stderr. */
export const FIRST_DESCRIPTOR = 3;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last lines of stderr, escaped and bounded. */
  readonly stderr: string;
}

export interface ChildOptions {
  /** Descriptors from 3 on: `pipe` makes a socket pair whose near end `stream` returns, a number is handed down. */
  readonly descriptors: readonly ('pipe' | number)[];
  /** Takes every capability from the child; it stays root, so files of root's remain open to it. */
  readonly dropCapabilities: boolean;
  /** Path of the network namespace the child is born in; absent or empty: this process's. */
  readonly networkNamespace?: string | undefined;
  /** Whom the child runs as, without supplementary groups but those named; absent: this process's user. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined;
  /** Is given what the child writes on stderr, as it comes. */
  readonly stderr?: ((chunk: Buffer) => void) | undefined;
}

export class Child {
  readonly pid: number;
  readonly identity: ProcessIdentity;
  /** Settles when the child has ended and was reaped. Never rejects. */
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  readonly #stderr = new Tail();

  private constructor(child: ChildProcess, pid: number) {
    this.#process = child;
    this.pid = pid;
    this.identity = identityOf(pid) ?? { pid, startTime: -1 };
    child.stderr?.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    child.on('error', () => {});
    for (const stream of child.stdio) stream?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      child.on('exit', async (code, signal) => {
        await lastWords(child.stderr);
        resolve({ code, signal, stderr: this.#stderr.text() });
      });
    });
  }

  /**
   * Starts a program. The kernel kills it when this process dies, however it dies.
   * @param path absolute path of the program
   * @throws KataError `failed_precondition` when setpriv (util-linux) is missing
   */
  static async spawn(path: string, args: readonly string[], options: ChildOptions): Promise<Child> {
    const confine = ['--pdeathsig', 'KILL', '--no-new-privs'];
    if (options.dropCapabilities) confine.push('--bounding-set=-all', '--inh-caps=-all');
    if (options.user) confine.push(...userArguments(options.user));
    native().closeOnExec();
    const start = (): ChildProcess =>
      spawn('setpriv', [...confine, '--', path, ...args], {
        stdio: ['ignore', 'ignore', 'pipe', ...options.descriptors],
        cwd: '/',
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      });
    // libuv forks on the calling thread, so that the child has this thread's namespace.
    const { networkNamespace } = options;
    const child = networkNamespace ? native().inNetworkNamespace(networkNamespace, start) : start();
    if (child.pid === undefined) {
      const thrown = await new Promise<Error>((resolve) => child.once('error', resolve));
      throw new KataError(
        'failed_precondition',
        `${path} cannot be started through setpriv (${reasonOf(thrown)}): install the package util-linux`,
        { cause: thrown },
      );
    }
    if (options.stderr) child.stderr?.on('data', options.stderr);
    return new Child(child, child.pid);
  }

  /** The near end of the descriptor `3 + index`, which was asked for as `pipe`. */
  stream(index: number): Duplex {
    return this.#process.stdio[(FIRST_DESCRIPTOR + index) as 3] as unknown as Duplex;
  }

  /** What stderr says so far. */
  stderr(): string {
    return this.#stderr.text();
  }

  /** SIGKILL for the child and its own children; resolves when all are gone. Idempotent. */
  async kill(): Promise<ChildExit> {
    const below = this.#ended ? [] : childrenOf(this.pid);
    for (const child of below) kill(child, 'SIGKILL');
    // A parent that waits for its child reaps it and ends by itself; killed first, it would leave a zombie to init.
    if (below.length > 0) await Promise.race([this.exited, sleep(OWN_END_MS, undefined, { ref: false })]);
    if (!this.#ended) this.#process.kill('SIGKILL');
    const exit = await this.exited;
    for (const stream of this.#process.stdio) stream?.destroy();
    await Promise.all(below.map((child) => waitGone(child, GONE_MS)));
    return exit;
  }

  get #ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}

function userArguments({ uid, gid, groups }: NonNullable<ChildOptions['user']>): string[] {
  const more = groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups';
  return [`--reuid=${uid}`, `--regid=${gid}`, more];
}

function lastWords(stderr: ChildProcess['stderr']): Promise<void> {
  if (stderr === null || stderr.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => stderr.destroy(), LAST_WORDS_MS);
    stderr.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
