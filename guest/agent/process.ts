/** One process of a container: its exit status, who waits for it, and its streams. */
import { AgentError, errnoOf } from './error.ts';
import { InputStream } from './input.ts';
import type { Call, Loop } from './loop-interface.ts';
import { OutputStream, SharedFd } from './stream.ts';
import type { Sys } from './sys.ts';

export const SIGKILL = 9;
export const SIGTERM = 15;
/** Linux's highest signal number. */
export const MAX_SIGNAL = 64;
/** Most waits for one process. */
export const MAX_WAITERS = 256;

/** Most bytes of a file of /proc that is read here. */
const MAX_PROC_BYTES = 64 * 1024;

/** Our ends of a process's stdio, non-blocking. */
export type Stdio =
  | { readonly terminal: false; readonly stdin: number; readonly stdout: number; readonly stderr: number }
  | { readonly terminal: true; readonly master: number };

export class Process {
  /** Exit status, 128 + signal; undefined while it runs. */
  status: number | undefined;
  /** A wait has been answered: the protocol lets nobody wait again. */
  waited = false;
  /** What has to be told before its end is. */
  beforeExit: () => Promise<void> | undefined = () => undefined;
  readonly terminal: boolean;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream | undefined;
  /** Resolves with `status`. */
  readonly exited: Promise<number>;
  private readonly master: number;
  private waiters = 0;

  constructor(
    private readonly sys: Sys,
    loop: Loop,
    readonly id: string,
    readonly pid: number,
    stdio: Stdio,
  ) {
    this.terminal = stdio.terminal;
    if (stdio.terminal) {
      const shared = new SharedFd(sys, stdio.master, 2);
      this.master = stdio.master;
      this.stdin = new InputStream(sys, loop, shared, true);
      this.stdout = new OutputStream(sys, loop, shared);
    } else {
      this.master = -1;
      this.stdin = new InputStream(sys, loop, new SharedFd(sys, stdio.stdin, 1), false);
      this.stdout = new OutputStream(sys, loop, new SharedFd(sys, stdio.stdout, 1), true);
      this.stderr = new OutputStream(sys, loop, new SharedFd(sys, stdio.stderr, 1), true);
    }
    this.exited = loop.exited(pid).then(async (status) => {
      // At once: the pid may be another process's from here on.
      this.status = status;
      this.stdin.abort('EPIPE: Broken pipe: the process has exited');
      this.stdout.processEnded();
      this.stderr?.processEnded();
      await this.beforeExit();
      return status;
    });
  }

  /** Everything has been told: the entry may go. */
  get finished(): boolean {
    return this.waited && this.stdout.ended && (this.stderr?.ended ?? true);
  }

  /**
   * The exit status; all who wait at that moment get it, nobody later.
   * @throws AgentError not_found once it was told, resource_exhausted over MAX_WAITERS
   */
  async wait(call?: Call): Promise<number> {
    if (this.waited) throw new AgentError('not_found', `process ${this.id} has exited and was waited for already`);
    if (this.waiters >= MAX_WAITERS) throw new AgentError('resource_exhausted', `${MAX_WAITERS} waits for ${this.id}`);
    this.waiters++;
    try {
      const status = await this.exited;
      if (!call?.gone) this.waited = true;
      return status;
    } finally {
      this.waiters--;
    }
  }

  /** Sends a signal; a process that is gone takes any. */
  signal(signal: number): void {
    if (this.status !== undefined) return;
    try {
      this.sys.kill(this.pid, signal);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ESRCH') throw thrown;
    }
  }

  /** SIGKILL in place of a SIGTERM that would have no effect: the kernel spares a pid namespace's init that has no handler. */
  effectiveSignal(signal: number): number {
    if (signal !== SIGTERM || this.status !== undefined) return signal;
    return handles(this.sys, this.pid, SIGTERM) ? signal : SIGKILL;
  }

  /** @throws AgentError unavailable without a terminal, invalid_argument for sizes beyond 16 bits */
  resize(rows: number, columns: number): void {
    if (!this.terminal) throw new AgentError('unavailable', 'no tty');
    if (rows > 0xffff || columns > 0xffff) {
      throw new AgentError('invalid_argument', `terminal size ${rows}x${columns}: at most 65535 rows and columns`);
    }
    if (this.stdout.ended || this.status !== undefined) return;
    this.sys.setWindowSize(this.master, rows, columns);
  }

  /** Closes all streams. */
  close(): void {
    this.stdin.abort('the process is removed');
    this.stdout.close();
    this.stderr?.close();
  }
}

/** Whether a process blocks, ignores or catches `signal`: masks SigBlk, SigIgn and SigCgt of /proc/<pid>/status, proc(5). */
export function handles(sys: Sys, pid: number, signal: number): boolean {
  let text: string;
  try {
    text = new TextDecoder().decode(sys.readFile(`/proc/${pid}/status`, MAX_PROC_BYTES));
  } catch {
    return true;
  }
  const bit = 1n << BigInt(signal - 1);
  for (const match of text.matchAll(/^Sig(?:Blk|Ign|Cgt):\s*([0-9a-f]+)$/gm)) {
    if ((BigInt(`0x${match[1]}`) & bit) !== 0n) return true;
  }
  return false;
}
