/** One call that a server is answering. */
import type { KataError } from '../error.ts';
import type { CallContext } from './types.ts';

/** Longest delay of a timer, ms; a deadline farther away than this (24 days) is not enforced here. */
export const MAX_TIMER_MS = 0x7fff_ffff;

export class ServerCall implements CallContext {
  readonly deadline: number;
  /** Its place among the calls under way; -1: it is none of them. */
  index = -1;
  #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;
  #reason: KataError | undefined;

  /** @param timeoutMs 0: no deadline */
  constructor(
    readonly stream: number,
    readonly metadata: ReadonlyMap<string, string>,
    readonly timeoutMs: number,
  ) {
    this.deadline = timeoutMs > 0 ? Date.now() + timeoutMs : 0;
  }

  /** Made when first asked for: most handlers never look. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#reason) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** @param onDeadline called once if the deadline passes before `end` */
  start(onDeadline: (call: ServerCall) => void): void {
    const { timeoutMs } = this;
    if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) this.#timer = setTimeout(onDeadline, timeoutMs, this);
  }

  /** Tells the handler that nobody waits for its result. */
  abort(reason: KataError): void {
    this.end();
    this.#reason ??= reason;
    this.#abort?.abort(reason);
  }

  /** Stops the clock. */
  end(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }
}
