/**
 * Looks on for a moment after a message, where messages come fast. To fall asleep and be woken takes a processor that goes idle
 * meanwhile tens of microseconds at each end, several times what a small call takes. It costs nothing where messages are
 * farther apart than that moment, and one moment after the last of those that were not.
 */
import { availableParallelism } from 'node:os';

/** How long is looked on, and how soon after the one before a message must have come for that, ms. */
export const LINGER_MS = 0.1;
/** Reads from this size on are data on their way, bytes: who writes and who takes them needs the processors. */
export const BULK_BYTES = 16 * 1024;

export class Linger {
  readonly #now: () => number;
  #last = Number.NEGATIVE_INFINITY;
  #until = 0;
  #looking = false;
  readonly #look = (): void => {
    if (this.#now() < this.#until) setImmediate(this.#look);
    else this.#looking = false;
  };

  /** @param now milliseconds, for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether the event loop looks for what comes instead of sleeping until it does. */
  get looking(): boolean {
    return this.#looking;
  }

  /** So many bytes have been read. */
  received(length: number): void {
    const now = this.#now();
    const fast = now - this.#last < LINGER_MS && length < BULK_BYTES;
    this.#last = now;
    if (!fast) return;
    this.#until = now + LINGER_MS;
    if (this.#looking) return;
    this.#looking = true;
    setImmediate(this.#look);
  }
}

let shared: Linger | undefined | null = null;

/** The process's; undefined on a single processor, which the peer needs. */
export function linger(): Linger | undefined {
  if (shared === null) shared = availableParallelism() > 1 ? new Linger() : undefined;
  return shared;
}
