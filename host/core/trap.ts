/**
 * Traps of the WASM core. No input is known that causes one: every length is checked before it is used. Should there be one
 * after all, it costs what asked for it (a connection, one translation), never the process, and the JavaScript twins do
 * the work from then on: an instance that broke off in the middle is not asked again.
 */
import { KataError, reasonOf } from '../error.ts';

/** What an instance has been through. */
export class Traps {
  #first: KataError | undefined;

  /** Why the instance is not to be called any more; undefined: it may be. */
  get first(): KataError | undefined {
    return this.#first;
  }

  /**
   * Notes what a call of the module threw.
   * @param name the function that was called
   * @returns the error that its caller may throw on, code `internal`
   * @throws `thrown` itself where it is no trap
   */
  note(name: string, thrown: unknown): KataError {
    if (!isTrap(thrown)) throw thrown;
    const error = new KataError('internal', `the WASM core trapped in ${name}: ${reasonOf(thrown)}`, { cause: thrown });
    if (!this.#first) {
      this.#first = error;
      report(error);
    }
    return error;
  }
}

let report: (error: KataError) => void = () => {};

/** Tells `listener` of each instance's first trap. One listener a process: its log. */
export function onTrap(listener: (error: KataError) => void): void {
  report = listener;
}

/** Whether WebAssembly gave up: unreachable, out of bounds, division, or (V8's RangeError) the end of the stack. */
function isTrap(thrown: unknown): boolean {
  return thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError;
}
