/** One process of a container as containerd sees it: its init, or an exec. CREATED → RUNNING → STOPPED. */
import type { AgentClient, ProcessRef } from '../agent/client.ts';
import { KataError } from '../error.ts';
import { DISCARD, openSink, type Sink } from './fifo.ts';
import type { LoggingBinary } from './logging-binary.ts';
import { OutputRelay, StdinPump } from './stdio.ts';

/** How long output may make no progress at all once its process has ended, ms: then its reader has given it up. */
export const DRAIN_STALL_MS = 10_000;
/** How often progress is looked at, ms. */
const DRAIN_LOOK_MS = 250;

/** Exit status of a process whose VM is gone: 128 + SIGKILL. */
export const KILLED = 137;
/** Exit status of a process whose end the guest does not tell. */
export const UNKNOWN_STATUS = 255;
/** Exit status of an exec that was removed before it began, as other runtimes have it. */
export const NEVER_RAN = 0;

export type ProcessState = 'created' | 'running' | 'paused' | 'stopped';

export interface Exit {
  readonly status: number;
  readonly at: Date;
}

/** The streams containerd named. Empty: none. */
export interface StreamPaths {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** Names a container or exec to a logging binary. */
export interface StreamOwner {
  readonly id: string;
  readonly namespace: string;
  /** Whether containerd is there: whoever leaves a stream while it is not may come back. */
  readonly attended: () => boolean;
}

export class GuestProcess {
  state: ProcessState = 'created';
  exit: Exit | undefined;
  /** Settles (never rejects) when the process has ended, its output is written, and `exit` is set. */
  readonly exited: Promise<Exit>;
  private settle: (exit: Exit) => void = () => {};
  private ending: Promise<void> | undefined;
  private stdin: StdinPump | undefined;
  private stdinClosed = false;
  private sinks: Sink[] = [];
  private relays: OutputRelay[] = [];
  private binary: LoggingBinary | undefined;
  private size: { readonly rows: number; readonly columns: number } | undefined;
  /** Set while and after the process is started; never rejects. */
  private starting: Promise<void> | undefined;
  /** Runs when the process has ended and its output is written, before anybody is told. */
  beforeExit: (status: number) => Promise<void> = () => Promise.resolve();

  constructor(
    readonly ref: ProcessRef,
    readonly streams: StreamPaths,
    private readonly owner: StreamOwner,
  ) {
    this.exited = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  /**
   * Opens the host's ends of the streams.
   * @throws KataError `invalid_argument`; nothing stays open
   */
  async openStreams(): Promise<void> {
    const { stdin, stdout, stderr, terminal } = this.streams;
    try {
      this.stdin = new StdinPump(stdin, this.owner.attended);
      if (this.stdinClosed) this.stdin.close();
      if (stdout.startsWith('binary://')) await this.openBinary(stdout);
      else this.sinks = terminal ? [openSink(stdout)] : [openSink(stdout), openSink(stderr)];
    } catch (thrown) {
      this.closeStreams();
      throw thrown;
    }
  }

  private async openBinary(uri: string): Promise<void> {
    const { startLoggingBinary } = await import('./logging-binary.ts');
    this.binary = await startLoggingBinary(uri, this.owner);
    this.sinks = this.streams.terminal ? [this.binary.stdout] : [this.binary.stdout, this.binary.stderr];
  }

  /**
   * Starts the process, once.
   * @param begin has the guest start it
   * @param readsInFlight per stream of output
   * @param started runs as soon as it has, before its end can be told
   * @throws KataError `failed_precondition` when it was started before or has ended; what `begin` throws
   */
  async start(
    agent: AgentClient,
    readsInFlight: number,
    begin: () => Promise<void>,
    started: () => void,
  ): Promise<void> {
    if (this.starting || this.ending) {
      const why = this.ending ? 'has ended' : 'was started before';
      throw new KataError('failed_precondition', `process ${this.ref.exec_id} of ${this.ref.container_id} ${why}`);
    }
    const attempt = begin().then(() => {
      this.running(agent, readsInFlight);
      started();
    });
    this.starting = attempt.catch(() => {});
    await attempt;
  }

  /** From here on its streams move. */
  private running(agent: AgentClient, readsInFlight: number): void {
    if (this.state === 'stopped') return;
    this.state = 'running';
    const [stdout = DISCARD, stderr] = this.sinks;
    this.relays.push(new OutputRelay(agent, this.ref, 'ReadStdout', stdout, readsInFlight));
    if (stderr) this.relays.push(new OutputRelay(agent, this.ref, 'ReadStderr', stderr, readsInFlight));
    // An agent of which several reads may be asked is ours, which takes input as a whole.
    this.stdin?.start(agent, this.ref, this.streams.terminal, readsInFlight > 1);
    if (this.size) this.applySize(agent);
  }

  /** Asks the guest for the process's end. Never rejects. */
  async watch(agent: AgentClient): Promise<void> {
    let status: number;
    try {
      status = (await agent.wait(this.ref)) & 0xff;
    } catch (thrown) {
      // A lost connection is the sandbox's business: it ends every process itself, as killed.
      if (thrown instanceof KataError && thrown.code === 'unavailable') return;
      status = UNKNOWN_STATUS;
    }
    await this.end(status);
  }

  /**
   * Ends the process with a status: output is written first, then `exit` is set and `exited` settles. Idempotent;
   * the first status counts.
   */
  end(status: number): Promise<void> {
    this.ending ??= this.finish(status);
    return this.ending;
  }

  /** Whether the process is known to have ended; its output may still be on its way. */
  get ended(): boolean {
    return this.ending !== undefined;
  }

  /** CloseIO. Never waits; the streams of an exec are opened by its start, and may come after it. */
  closeStdin(): void {
    this.stdinClosed = true;
    this.stdin?.close();
  }

  /** Remembers the terminal's size, and applies it if the process runs. */
  async resize(agent: AgentClient | undefined, rows: number, columns: number): Promise<void> {
    this.size = { rows, columns };
    if (agent && this.state === 'running') await agent.resize(this.ref, rows, columns);
  }

  /** Lets go of the host's ends of the streams. Idempotent. */
  closeStreams(): void {
    this.endStreams();
    for (const sink of this.sinks) sink.close();
    this.sinks = [];
  }

  private endStreams(): void {
    this.stdin?.stop();
    for (const relay of this.relays) relay.stop();
    this.binary?.close();
  }

  private applySize(agent: AgentClient): void {
    if (!this.size) return;
    // The process may have ended already; its size is of no interest then.
    agent.resize(this.ref, this.size.rows, this.size.columns).catch(() => {});
  }

  private async finish(status: number): Promise<void> {
    const at = new Date();
    // The guest may tell the end before it has answered the start.
    await this.starting;
    this.stdin?.stop();
    for (const sink of this.sinks) sink.release();
    await this.drained();
    await this.beforeExit(status);
    for (const sink of this.sinks) sink.end();
    this.endStreams();
    this.state = 'stopped';
    this.exit = { status, at };
    this.settle(this.exit);
  }

  /** Waits until the output is written, or its reader has stopped reading for DRAIN_STALL_MS. */
  private async drained(): Promise<void> {
    const done = Promise.all(this.relays.map((relay) => relay.done));
    let moved = this.moved();
    let still = 0;
    while (still < DRAIN_STALL_MS) {
      if (await settlesWithin(done, DRAIN_LOOK_MS)) return;
      still = this.moved() === moved ? still + DRAIN_LOOK_MS : 0;
      moved = this.moved();
    }
  }

  private moved(): number {
    let sum = 0;
    for (const relay of this.relays) sum += relay.moved;
    return sum;
  }
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const first = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return first;
}
