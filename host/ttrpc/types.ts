/** What the rest of the host sees of ttrpc: services to serve, calls to make. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md */
import type { Init, MessageType } from '../proto/codec.ts';

/** Bytes of a frame's header: u32 data length, u32 stream id, u8 type, u8 flags; big endian. */
export const HEADER_BYTES = 10;
/** Largest data length of a frame, bytes. */
export const MAX_DATA_BYTES = 4 * 1024 * 1024;

/** A method's request and response, as the generated `…Service` tables list them. */
export type Method<Req, Res> = readonly [request: MessageType<Req>, response: MessageType<Res>];

/** What a handler may know of its call. */
export interface CallContext {
  /** Keys are lower case. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Milliseconds since the epoch at which the caller gives up; 0: never. */
  readonly deadline: number;
  /** Aborted when the caller's connection closes or the deadline passes. */
  readonly signal: AbortSignal;
}

/**
 * Serves one method. `bytes` fields of the request are copies and may be kept.
 * A KataError thrown becomes its code; anything else `unknown`.
 */
export type Handler<Req, Res> = (request: Req, call: CallContext) => Promise<Init<Res>> | Init<Res>;

// biome-ignore lint/suspicious/noExplicitAny: a table of methods is heterogeneous; `Handlers` restores each type.
export type MethodTable = Readonly<Record<string, Method<any, any>>>;

/** Handlers for some or all methods of a table; a missing one answers `unimplemented`. */
export type Handlers<T extends MethodTable> = {
  readonly [K in keyof T]?: T[K] extends Method<infer Req, infer Res> ? Handler<Req, Res> : never;
};

export interface Service {
  /** Full name, e.g. `containerd.task.v2.Task`. */
  readonly name: string;
  readonly methods: MethodTable;
  readonly handlers: Readonly<Record<string, Handler<never, unknown> | undefined>>;
}

/** Ties handlers to a service's generated table. */
export function service<T extends MethodTable>(name: string, methods: T, handlers: Handlers<T>): Service {
  return { name, methods, handlers: handlers as Service['handlers'] };
}

export interface CallOptions {
  /** Milliseconds; absent or 0: no deadline. Sent as `timeout_nano` and enforced here too. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** The client's side of one connection. */
export interface Client {
  /**
   * @throws KataError with the code of the peer's status; `deadline_exceeded`; `unavailable` once closed
   */
  call<Req, Res>(
    serviceName: string,
    methodName: string,
    method: Method<Req, Res>,
    request: Init<Req>,
    options?: CallOptions,
  ): Promise<Res>;
  /**
   * As `call`, for hot paths: the response's raw payload is handed over as a view of WASM memory that is valid
   * only until `onPayload` returns. `onPayload`'s result is the promise's.
   */
  callView<Req, Out>(
    serviceName: string,
    methodName: string,
    requestType: MessageType<Req>,
    request: Init<Req>,
    onPayload: (payload: Uint8Array) => Out,
    options?: CallOptions,
  ): Promise<Out>;
  /** Settles (never rejects) when the connection is gone, with the reason. */
  readonly closed: Promise<Error | undefined>;
  /** Fails what is pending with `unavailable`. Idempotent. */
  close(reason?: string): void;
}
