/** Finds a request's method by the hash its scan left, without making strings. */
import {
  RECORD_HASH,
  RECORD_METHOD,
  RECORD_METHOD_LENGTH,
  RECORD_SERVICE,
  RECORD_SERVICE_LENGTH,
} from '../../assembly/layout.ts';
import { KataError } from '../error.ts';
import type { MessageType } from '../proto/codec.ts';
import { hashNames } from './frame-scanner.ts';
import type { FrameScanner } from './frames.ts';
import type { Handler, Service, StreamHandler, Streaming } from './types.ts';

/** Longest part of an unknown name that is repeated to the caller, bytes. */
const MAX_NAME_BYTES = 256;

export interface Served {
  readonly service: Uint8Array;
  readonly method: Uint8Array;
  readonly request: MessageType<unknown>;
  readonly response: MessageType<unknown>;
  /** Of a unary method. */
  readonly handler: Handler<unknown, unknown>;
  /** Set where the method streams: then `handler` serves a stream. */
  readonly streaming: Streaming | undefined;
}

/** A streaming method's handler. */
export function streamHandlerOf({ handler }: Served): StreamHandler<unknown, unknown> {
  return handler as unknown as StreamHandler<unknown, unknown>;
}

export class Dispatch {
  readonly #services: ReadonlySet<string>;
  /** Methods whose names share a hash stand in one list. */
  readonly #methods = new Map<number, Served[]>();

  constructor(services: readonly Service[]) {
    this.#services = new Set(services.map((service) => service.name));
    for (const { name, methods, handlers } of services) {
      for (const [method, [request, response, streaming]] of Object.entries(methods)) {
        const handler = handlers[method] as Handler<unknown, unknown> | undefined;
        const names = { service: Buffer.from(name), method: Buffer.from(method) };
        if (handler) this.#add({ ...names, request, response, handler, streaming });
      }
    }
  }

  /** @throws KataError `unimplemented`, in the words of the reference implementation */
  find(scanner: FrameScanner, record: number): Served {
    const { records, bytes } = scanner;
    for (const served of this.#methods.get(records[record + RECORD_HASH] as number) ?? []) {
      if (
        equals(bytes, served.service, records[record + RECORD_SERVICE], records[record + RECORD_SERVICE_LENGTH]) &&
        equals(bytes, served.method, records[record + RECORD_METHOD], records[record + RECORD_METHOD_LENGTH])
      )
        return served;
    }
    const service = text(bytes, records[record + RECORD_SERVICE], records[record + RECORD_SERVICE_LENGTH]);
    if (!this.#services.has(service)) throw new KataError('unimplemented', `service ${service}`);
    const method = text(bytes, records[record + RECORD_METHOD], records[record + RECORD_METHOD_LENGTH]);
    throw new KataError('unimplemented', `method ${method}`);
  }

  #add(served: Served): void {
    const hash = hashNames(served.service, served.method);
    const list = this.#methods.get(hash);
    if (list) list.push(served);
    else this.#methods.set(hash, [served]);
  }
}

function equals(bytes: Uint8Array, name: Uint8Array, at = 0, length = 0): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== name[i]) return false;
  return true;
}

function text(bytes: Uint8Array, at = 0, length = 0): string {
  return new TextDecoder().decode(bytes.subarray(at, at + Math.min(length, MAX_NAME_BYTES)));
}
