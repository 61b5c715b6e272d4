/** Calls whose caller may give up before they are done. */
import { KataError } from '../error.ts';

/** A Create that is under way. */
export class Creation {
  /** Nobody waits for it any more. */
  abandoned = false;
  /** Settles (never rejects) when it has succeeded, or failed and been undone. */
  readonly settled: Promise<void>;
  settle: () => void = () => {};

  constructor(private readonly tell: () => void) {
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  abandon(): void {
    if (this.abandoned) return;
    this.abandoned = true;
    this.tell();
  }
}

/** The caller that gave up gets no answer; what it waited for goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new KataError('cancelled', 'the caller gave up'));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    void promise.then((value) => {
      signal.removeEventListener('abort', abort);
      resolve(value);
    });
  });
}
