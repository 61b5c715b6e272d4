/** What the rest of the host sees of ttrpc: services to serve, calls to make. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md */
import type { KataError } from '../error.ts';
import type { Init, MessageType } from '../proto/codec.ts';
import type { OnPart } from './frame-reader.ts';

/** Bytes of a frame's header: u32 data length, u32 stream id, u8 type, u8 flags; big endian. */
export const HEADER_BYTES = 10;
/** Largest data length of a frame, bytes. */
export const MAX_DATA_BYTES = 4 * 1024 * 1024;

/** A method's request and response, as the generated `…Service` tables list them. */
export type Method<Req, Res> = readonly [request: MessageType<Req>, response: MessageType<Res>];

/**
 * Who sends any number of messages: the client (one response), the server (one request), or both. A streaming method is a
 * third element of the table's entry: `Watch: [WatchRequest, Change, 'server']`.
 */
export type Streaming = 'client' | 'server' | 'both';
export type StreamMethod<Req, Res> = readonly [
  request: MessageType<Req>,
  response: MessageType<Res>,
  streaming: Streaming,
];

/** What a handler may know of its call. */
export interface CallContext {
  /** Keys are lower case; of several values for one key this is the last. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Milliseconds since the epoch at which the caller gives up; 0: never. */
  readonly deadline: number;
  /** Aborted when the caller's connection closes or the deadline passes. */
  readonly signal: AbortSignal;
}

/**
 * Serves one method. `bytes` fields of the request are copies and may be kept.
 * A KataError thrown becomes its code (a StatusError its details, too); anything else `unknown`.
 */
export type Handler<Req, Res> = (request: Req, call: CallContext) => Promise<Init<Res>> | Init<Res>;

/** Messages of a stream as they come, until the peer has sent its last. */
export interface MessageSource<T> extends AsyncIterable<T> {
  /**
   * The next message; undefined once the peer has sent its last. One call at a time.
   * @throws KataError with which the stream ended; what had come before it is received first
   */
  receive(): Promise<T | undefined>;
}

/** A stream as its handler has it. It is over when the handler settles. */
export interface ServerStream<Req, Res> extends CallContext, MessageSource<Req> {
  /**
   * Sends a message. Settles when there is room for the next; at most one may wait.
   * @throws KataError `failed_precondition` where the method has one response, which the handler returns;
   *   `resource_exhausted` for one that no frame holds or while another waits; the reason once the stream has ended
   */
  send(message: Init<Res>): Promise<void>;
}

/**
 * Serves one streaming method. Of a method with one response the result is that response; else it says nothing.
 * Errors as with Handler: the caller gets them behind what was sent.
 */
export type StreamHandler<Req, Res> = (
  stream: ServerStream<Req, Res>,
  // biome-ignore lint/suspicious/noConfusingVoidType: the type of a handler that returns nothing.
) => Promise<Init<Res> | undefined | void>;

// biome-ignore lint/suspicious/noExplicitAny: a table of methods is heterogeneous; `Handlers` restores each type.
export type MethodTable = Readonly<Record<string, Method<any, any> | StreamMethod<any, any>>>;

/** Handlers for some or all methods of a table; a missing one answers `unimplemented`. */
export type Handlers<T extends MethodTable> = {
  readonly [K in keyof T]?: HandlerOf<T[K]>;
};

type HandlerOf<M> =
  M extends StreamMethod<infer Req, infer Res>
    ? StreamHandler<Req, Res>
    : M extends Method<infer Req, infer Res>
      ? Handler<Req, Res>
      : never;

export interface Service {
  /** Full name, e.g. `containerd.task.v2.Task`. */
  readonly name: string;
  readonly methods: MethodTable;
  readonly handlers: Readonly<Record<string, ((first: never, call: CallContext) => unknown) | undefined>>;
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
  /** With `callView`: may take the payload while it arrives. Once it has, `onPayload` gets an empty payload at the end. */
  readonly onPart?: OnPart;
}

export interface StreamOptions<Req> extends CallOptions {
  /** What the method takes where only the server streams; else the first message, if there is one. */
  readonly request?: Init<Req>;
}

/**
 * A stream as its caller has it. It has to be received to its end or aborted: messages nobody takes fill a bounded
 * store, and once that is full nothing is read of the connection any more, unary answers included.
 */
export interface ClientStream<Req, Res> extends MessageSource<Res> {
  /**
   * Sends a message. Settles when there is room for the next; at most one may wait.
   * @throws KataError `failed_precondition` after `closeSend` or once the server has ended the stream, and where only the
   *   server streams; `resource_exhausted` for one that no frame holds or while another waits; the stream's error
   */
  send(message: Init<Req>): Promise<void>;
  /** Says that there are no more messages; the server's still come. Idempotent. */
  closeSend(): void;
  /**
   * Gives the stream up: what waits is dropped, `receive` and `send` fail. The protocol cannot tell the server, which notices by
   * its deadline or the connection's end. Idempotent. Leaving a `for await` loop does it, too.
   */
  abort(reason?: KataError): void;
}

/** The client's side of one connection. */
export interface Client {
  /**
   * @throws KataError with the code of the peer's status (a StatusError where that has details); `deadline_exceeded`;
   *   `unavailable` once closed
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

/** A client that also opens streams. */
export interface StreamingClient extends Client {
  /**
   * Opens a stream.
   * @throws KataError where it cannot be opened, as `call` does
   */
  stream<Req, Res>(
    serviceName: string,
    methodName: string,
    method: StreamMethod<Req, Res>,
    options?: StreamOptions<Req>,
  ): ClientStream<Req, Res>;
}
