/** Messages of one stream that have come and wait to be taken. */
import { KataError } from '../error.ts';
import type { ReadGate } from './read-gate.ts';

interface Taker<T> {
  readonly resolve: (message: T | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Taken messages that stay in the list until it is cut: cutting costs as much as moving what is left. */
const CUT_MESSAGES = 64;

export class Inbox<T> {
  readonly #gate: ReadGate;
  readonly #read: (data: Uint8Array) => T;
  readonly #onEmpty: () => void;
  #waiting: Uint8Array[] = [];
  /** Messages at the front of #waiting that have been taken. */
  #taken = 0;
  #taker: Taker<T> | undefined;
  #ended = false;
  #error: KataError | undefined;

  /**
   * @param read decodes a message; what it throws is what `take` fails with
   * @param onEmpty called once it has ended and nothing waits any more
   */
  constructor(gate: ReadGate, read: (data: Uint8Array) => T, onEmpty: () => void = () => {}) {
    this.#gate = gate;
    this.#read = read;
    this.#onEmpty = onEmpty;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** @param data is kept */
  put(data: Uint8Array): void {
    if (this.#ended) return;
    const taker = this.#taker;
    if (taker) {
      this.#taker = undefined;
      this.#hand(taker, data);
      return;
    }
    this.#waiting.push(data);
    this.#gate.hold(data.length);
  }

  /** No more messages come. What waits can still be taken; then `take` fails with the error, if there is one. */
  end(error?: KataError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (this.#waiting.length === 0) this.#onEmpty();
    const taker = this.#taker;
    this.#taker = undefined;
    if (!taker) return;
    if (error) taker.reject(error);
    else taker.resolve(undefined);
  }

  /** Drops what waits, and ends with `error` unless it had ended and been taken to its end. */
  drop(error: KataError): void {
    if (this.#ended && this.#waiting.length === 0) return;
    for (; this.#taken < this.#waiting.length; this.#taken++)
      this.#gate.free((this.#waiting[this.#taken] as Uint8Array).length);
    this.#waiting = [];
    this.#taken = 0;
    if (!this.#ended) {
      this.end(error);
      return;
    }
    this.#error = error;
    this.#onEmpty();
  }

  /** @returns the next message; undefined at the end */
  take(): Promise<T | undefined> {
    if (this.#taken < this.#waiting.length) return this.#next();
    if (this.#ended) return this.#error ? Promise.reject(this.#error) : Promise.resolve(undefined);
    if (this.#taker)
      return Promise.reject(new KataError('failed_precondition', 'receive: one call at a time: await the one before'));
    return new Promise((resolve, reject) => {
      this.#taker = { resolve, reject };
    });
  }

  #next(): Promise<T> {
    const data = this.#waiting[this.#taken++] as Uint8Array;
    if (this.#taken === this.#waiting.length || this.#taken === CUT_MESSAGES) {
      this.#waiting = this.#waiting.slice(this.#taken);
      this.#taken = 0;
    }
    if (this.#ended && this.#waiting.length === 0) this.#onEmpty();
    return new Promise((resolve, reject) => {
      this.#hand({ resolve: resolve as Taker<T>['resolve'], reject }, data);
      // Reading goes on only then: what it brings comes behind this.
      this.#gate.free(data.length);
    });
  }

  #hand({ resolve, reject }: Taker<T>, data: Uint8Array): void {
    try {
      resolve(this.#read(data));
    } catch (error) {
      reject(error);
    }
  }
}
