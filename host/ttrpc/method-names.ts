/** The names of methods as requests carry them, encoded once. */
import { encodeNames } from './outgoing.ts';

export class MethodNames {
  /** By service, then method: joining the two would cost more than both look-ups. */
  readonly #services = new Map<string, Map<string, Uint8Array>>();

  /** The service and method fields of a Request. */
  of(service: string, method: string): Uint8Array {
    let methods = this.#services.get(service);
    if (!methods) {
      methods = new Map();
      this.#services.set(service, methods);
    }
    let names = methods.get(method);
    if (!names) {
      names = encodeNames(service, method);
      methods.set(method, names);
    }
    return names;
  }
}
