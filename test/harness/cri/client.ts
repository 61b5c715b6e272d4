/** Calls of the CRI over gRPC, by the protobuf definition that Debian packages: no generated code, no copy of it here. */
import { readFileSync } from 'node:fs';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import type { Calls } from './messages.ts';

/** Milliseconds for a call when the caller says nothing; a pod boots a virtual machine without KVM. */
export const CALL_TIMEOUT_MS = 120_000;
/** Bytes of the largest reply; ExecSync gives 16 MiB of each stream. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
/** Milliseconds before a daemon that was away is tried again. */
const RECONNECT_MS = 100;
const SERVICES = ['RuntimeService', 'ImageService'];

export interface CallOptions {
  readonly timeoutMs?: number;
}

/** Failed calls throw grpc-js's ServiceError: `code` is the gRPC code, `details` the daemon's text. */
export class CriClient {
  readonly #client: Client;
  readonly #methods: Map<string, protobuf.Method>;

  /**
   * @param address path of the daemon's socket
   * @param apiProto path of api.proto
   */
  constructor(address: string, apiProto: string) {
    this.#methods = methodsOf(apiProto);
    this.#client = new Client(`unix:${address}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAX_REPLY_BYTES,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MS,
    });
  }

  /** One call. @throws ServiceError */
  call<K extends keyof Calls>(name: K, request: Calls[K][0], options: CallOptions = {}): Promise<Calls[K][1]> {
    const { path, request: input, reply } = this.#method(name);
    const deadline = Date.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        (value: object) => Buffer.from(input.encode(input.fromObject(value)).finish()),
        (bytes: Buffer) => plain(reply, bytes),
        request,
        { deadline },
        (error: ServiceError | null, value?: object) =>
          error === null ? resolve(value as Calls[K][1]) : reject(located(error, name)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }

  #method(name: string): { path: string; request: protobuf.Type; reply: protobuf.Type } {
    const method = this.#methods.get(name);
    const { resolvedRequestType: request, resolvedResponseType: reply } = method ?? {};
    if (!method || !request || !reply) throw new Error(`the CRI has no call ${name}`);
    return { path: `/runtime.v1.${method.parent?.name}/${name}`, request, reply };
  }
}

/** The gRPC code of a failed call; undefined for any other error. */
export function codeOf(error: unknown): number | undefined {
  const code = (error as Partial<ServiceError>).code;
  return typeof code === 'number' ? code : undefined;
}

function methodsOf(apiProto: string): Map<string, protobuf.Method> {
  const { root } = protobuf.parse(readFileSync(apiProto, 'utf8'), { keepCase: true });
  root.resolveAll();
  const services = SERVICES.map((name) => root.lookupService(`runtime.v1.${name}`));
  return new Map(services.flatMap((service) => Object.values(service.methods).map((method) => [method.name, method])));
}

function plain(type: protobuf.Type, bytes: Buffer): object {
  return type.toObject(type.decode(bytes), { longs: Number, enums: String, defaults: true, arrays: true });
}

/** grpc-js does not say which call it was. */
function located(error: ServiceError, name: string): ServiceError {
  error.message = `${name}: ${error.message}`;
  return error;
}
