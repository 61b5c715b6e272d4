/** A caller's deadline and signal, while its call or stream is under way. */
import { KataError, reasonOf } from '../error.ts';
import { MAX_TIMER_MS } from './call.ts';
import type { CallOptions } from './types.ts';

export class Watch {
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: (() => void) | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /**
   * @param name for messages
   * @param onOver called when the deadline passes or the signal aborts, unless `end` was called before
   */
  constructor(name: string, { timeoutMs = 0, signal }: CallOptions, onOver: (reason: KataError) => void) {
    if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) {
      const late = (): void => onOver(new KataError('deadline_exceeded', `${name}: no answer within ${timeoutMs} ms`));
      this.#timer = setTimeout(late, timeoutMs);
    }
    if (signal) {
      this.#signal = signal;
      this.#onAbort = () => onOver(cancelled(name, signal));
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** The error of a call whose caller has given up. */
export function cancelled(name: string, signal: AbortSignal): KataError {
  const { reason } = signal;
  return reason instanceof KataError ? reason : new KataError('cancelled', `${name}: cancelled: ${reasonOf(reason)}`);
}
