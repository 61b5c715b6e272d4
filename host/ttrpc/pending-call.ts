/** One call that a client waits for. */
import { KataError, reasonOf } from '../error.ts';
import { MAX_TIMER_MS } from './call.ts';
import type { CallOptions } from './types.ts';

/** What ends a call: the payload is valid only until `onPayload` returns. */
export interface Outcome {
  readonly onPayload: (payload: Uint8Array) => void;
  readonly onError: (error: KataError) => void;
}

export class PendingCall {
  readonly #outcome: Outcome;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: (() => void) | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param onGivenUp called once when the deadline passes or the caller's signal aborts, before the call fails */
  constructor(
    readonly stream: number,
    readonly name: string,
    outcome: Outcome,
    { timeoutMs = 0, signal }: CallOptions,
    onGivenUp: (call: PendingCall) => void,
  ) {
    this.#outcome = outcome;
    if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) {
      this.#timer = setTimeout(() => {
        onGivenUp(this);
        this.fail(new KataError('deadline_exceeded', `${name}: no answer within ${timeoutMs} ms`));
      }, timeoutMs);
    }
    if (signal) {
      this.#signal = signal;
      this.#onAbort = () => {
        onGivenUp(this);
        this.fail(cancelled(name, signal));
      };
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  succeed(payload: Uint8Array): void {
    this.#forget();
    this.#outcome.onPayload(payload);
  }

  fail(error: KataError): void {
    this.#forget();
    this.#outcome.onError(error);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** The error of a call whose caller has given up. */
export function cancelled(name: string, signal: AbortSignal): KataError {
  const { reason } = signal;
  return reason instanceof KataError ? reason : new KataError('cancelled', `${name}: cancelled: ${reasonOf(reason)}`);
}
