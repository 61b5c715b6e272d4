/** One call that a client waits for. */
import { KataError, reasonOf } from '../error.ts';
import type { MessageType } from '../proto/codec.ts';
import { MAX_TIMER_MS } from './call.ts';
import type { OnPart } from './frame-reader.ts';
import { readPayload } from './payload.ts';
import type { CallOptions } from './types.ts';

/** What a client has under way: a call, or a stream. */
export interface Pending {
  readonly stream: number;
  /** Takes the payload in [start, end) of `memory`, which is valid until this returns; nothing comes after it. */
  succeed(memory: Uint8Array, start: number, end: number): void;
  fail(error: KataError): void;
  /**
   * Takes a data frame.
   * @returns what the protocol has against it
   */
  data(memory: Uint8Array, start: number, end: number, flags: number): string | undefined;
  /** For messages: service and method. */
  readonly name: string;
  /** May take the answer's payload while it arrives; `succeed` then gets an empty one. */
  readonly onPart?: OnPart | undefined;
}

/** How a payload becomes a call's result: a message's type, or what reads a view of it. */
export type Result<Out> = MessageType<Out> | ((payload: Uint8Array) => Out);

export class PendingCall<Out> implements Pending {
  onPart: OnPart | undefined;
  #onAbort: (() => void) | undefined;
  #signal: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly stream: number,
    readonly service: string,
    readonly method: string,
    readonly result: Result<Out>,
    readonly resolve: (value: Out) => void,
    readonly reject: (error: unknown) => void,
  ) {}

  get name(): string {
    return `${this.service}/${this.method}`;
  }

  /** @param onGivenUp called once when the deadline passes or the caller's signal aborts, before the call fails */
  watch({ timeoutMs = 0, signal, onPart }: CallOptions, onGivenUp: (call: Pending) => void): void {
    this.onPart = onPart;
    if (timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) {
      this.#timer = setTimeout(() => {
        onGivenUp(this);
        this.fail(late(this.name, timeoutMs));
      }, timeoutMs);
    }
    if (signal) {
      this.#signal = signal;
      this.#onAbort = () => {
        onGivenUp(this);
        this.fail(cancelled(this.name, signal));
      };
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  succeed(memory: Uint8Array, start: number, end: number): void {
    this.#forget();
    const { result } = this;
    try {
      this.resolve(
        typeof result === 'function' ? result(memory.subarray(start, end)) : readPayload(result, memory, start, end),
      );
    } catch (error) {
      this.reject(internal(this.name, error));
    }
  }

  fail(error: KataError): void {
    this.#forget();
    this.reject(error);
  }

  data(): string {
    return 'a data frame for a call that is no stream';
  }

  #forget(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

/** The error of a call whose caller has given up. */
export function cancelled(name: string, signal: AbortSignal): KataError {
  const { reason } = signal;
  return reason instanceof KataError ? reason : new KataError('cancelled', `${name}: cancelled: ${reasonOf(reason)}`);
}

export function late(name: string, timeoutMs: number): KataError {
  return new KataError('deadline_exceeded', `${name}: no answer within ${timeoutMs} ms`);
}

/** What goes wrong on our side of a call, as a KataError. */
export function internal(name: string, error: unknown): KataError {
  return error instanceof KataError ? error : new KataError('internal', `${name}: ${reasonOf(error)}`);
}
