/** One call that a server is answering. */
import type { KataError } from '../error.ts';
import type { CallContext } from './types.ts';

/** Longest delay of a timer, ms; a deadline farther away than this (24 days) is not enforced here. */
export const MAX_TIMER_MS = 0x7fff_ffff;

export class ServerCall implements CallContext {
  readonly deadline: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;
  #reason: KataError | undefined;

  /**
   * @param timeoutMs 0: no deadline
   * @param onDeadline called once if the deadline passes before `end`
   */
  constructor(
    readonly stream: number,
    readonly metadata: ReadonlyMap<string, string>,
    timeoutMs: number,
    onDeadline: (call: ServerCall) => void,
  ) {
    this.deadline = timeoutMs > 0 ? Date.now() + timeoutMs : 0;
    if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) this.#timer = setTimeout(onDeadline, timeoutMs, this);
  }

  /** Made when first asked for: most handlers never look. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#reason) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** Tells the handler that nobody waits for its result. */
  abort(reason: KataError): void {
    this.end();
    this.#reason ??= reason;
    this.#abort?.abort(reason);
  }

  /** Stops the clock. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
