/** One call that a client waits for. */
import { KataError, reasonOf } from '../error.ts';
import type { MessageType } from '../proto/codec.ts';
import type { OnPart } from './frame-reader.ts';
import { readPayload } from './payload.ts';
import type { CallOptions } from './types.ts';
import { Watch } from './watch.ts';

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
  #watch: Watch | undefined;

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
  follow(options: CallOptions, onGivenUp: (call: Pending) => void): void {
    this.onPart = options.onPart;
    if (!options.timeoutMs && !options.signal) return;
    this.#watch = new Watch(this.name, options, (reason) => {
      onGivenUp(this);
      this.fail(reason);
    });
  }

  succeed(memory: Uint8Array, start: number, end: number): void {
    this.#watch?.end();
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
    this.#watch?.end();
    this.reject(error);
  }

  data(): string {
    return 'a data frame for a call that is no stream';
  }
}

/** What goes wrong on our side of a call, as a KataError. */
export function internal(name: string, error: unknown): KataError {
  return error instanceof KataError ? error : new KataError('internal', `${name}: ${reasonOf(error)}`);
}
