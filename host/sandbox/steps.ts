/** Steps of a start that run beside each other. */
import { KataError } from '../error.ts';

/** Waits for all; throws what was thrown first, when all have settled. */
export async function firstFailure(steps: readonly Promise<unknown>[]): Promise<void> {
  let failed = false;
  let first: unknown;
  await Promise.all(
    steps.map((step) =>
      step.catch((thrown) => {
        if (!failed) first = thrown;
        failed = true;
      }),
    ),
  );
  if (failed) throw first;
}

/** Rejects with `cancelled` when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new KataError('cancelled', 'the start of the virtual machine was given up'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

/** @param ms milliseconds */
export function sleep(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined));
}
