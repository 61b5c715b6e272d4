/**
 * A ttrpc client of a peer that may be hostile (the guest): whatever the protocol does not allow closes the connection,
 * answers nobody waits for are counted and dropped, and what waits to be sent or to be taken is bounded.
 */
import type { Socket } from 'node:net';
import {
  FAULT_OVERSIZE,
  RECORD_CODE,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  RECORD_TYPE,
  TYPE_DATA,
} from '../../assembly/layout.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Init, MessageType } from '../proto/codec.ts';
import { OpenStream } from './client-stream.ts';
import { FrameQueue } from './frame-queue.ts';
import { FrameReader, type PieceTaker } from './frame-reader.ts';
import type { FrameScanner } from './frames.ts';
import { MethodNames } from './method-names.ts';
import { encodeMetadata, FLAG_REMOTE_CLOSED, FLAG_REMOTE_OPEN, FRAME_OVERHEAD_BYTES } from './outgoing.ts';
import { internal, type Pending, PendingCall, type Result } from './pending-call.ts';
import { ReadGate } from './read-gate.ts';
import { connectTo, type Reads, takeOver } from './socket.ts';
import { errorIn } from './status.ts';
import { StreamSender } from './stream-sender.ts';
import { StreamTable } from './stream-table.ts';
import {
  type CallOptions,
  type ClientStream,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  type Method,
  type StreamingClient,
  type StreamMethod,
  type StreamOptions,
} from './types.ts';
import { violationOf } from './violation.ts';
import { cancelled } from './watch.ts';

/** Most calls and streams under way at a time, unless the constructor is told otherwise. */
export const MAX_IN_FLIGHT = 1024;
/** Most bytes that wait for the peer to read them; one frame of any size may always wait. */
export const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** Largest odd stream id. */
export const LAST_STREAM = 0xffff_ffff;

/** Longest timeout that is sent, nanoseconds: the largest number below 2^63. */
const MAX_TIMEOUT_NANO = 2 ** 63 - 1024;

const NO_OPTIONS: CallOptions = {};

export interface ClientOptions {
  /** Most calls and streams under way; further ones fail with `resource_exhausted`. */
  readonly maxInFlight?: number;
  /** Stream id of the first call, odd. */
  readonly firstStream?: number;
}

export class TtrpcClient implements StreamingClient {
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #queue: FrameQueue;
  readonly #gate: ReadGate;
  readonly #maxInFlight: number;
  readonly #pending = new StreamTable<Pending>();
  readonly #names = new MethodNames();
  readonly #giveUp = ({ stream }: Pending): void => {
    this.#pending.delete(stream);
  };
  #nextStream: number;
  /** Ids have started over: some may still be waited for. */
  #startedOver = false;
  #unmatched = 0;
  #end: KataError | undefined;
  #settle: (reason: Error | undefined) => void = () => {};

  /** @param socket connected, or what opens one; it belongs to this object from then on */
  constructor(socket: Socket | ((reads: Reads) => Socket), options: ClientOptions = {}) {
    this.#maxInFlight = options.maxInFlight ?? MAX_IN_FLIGHT;
    this.#nextStream = options.firstStream ?? 1;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#reader = new FrameReader(
      (scanner, record) => this.#frame(scanner, record),
      (scanner, start, end) => this.#part(scanner, start, end),
    );
    this.#socket = typeof socket === 'function' ? socket(this.#reader) : takeOver(socket, this.#reader);
    this.#queue = new FrameQueue(this.#socket);
    this.#gate = new ReadGate(this.#socket);
    this.#socket.once('end', () => this.#fail('the peer has closed the connection'));
    this.#socket.on('error', (error) => this.#fail(`the connection broke: ${error.message}`));
    this.#socket.once('close', () => this.#fail('the connection is closed'));
    if (this.#socket.destroyed) this.#fail('the connection is closed');
  }

  /**
   * Connects to a unix socket.
   * @throws KataError `unavailable`; `cancelled` or the signal's own KataError
   */
  static async connect(path: string, signal?: AbortSignal, options?: ClientOptions): Promise<TtrpcClient> {
    const name = `connect ${path}`;
    if (signal?.aborted) throw cancelled(name, signal);
    const client = new TtrpcClient((reads) => connectTo(path, reads), options);
    const onAbort = (): void => client.close(`${name} was given up`);
    signal?.addEventListener('abort', onAbort, { once: true });
    const connected = new Promise<true>((resolve) => client.#socket.once('connect', () => resolve(true)));
    const outcome = await Promise.race([connected, client.closed]);
    signal?.removeEventListener('abort', onAbort);
    if (outcome === true) return client;
    if (signal?.aborted) throw cancelled(name, signal);
    throw new KataError('unavailable', `cannot connect to ${path}: ${reasonOf(outcome)}`, { cause: outcome });
  }

  /** Answers and messages that matched no call: late ones after a deadline, or a peer's inventions. */
  get unmatched(): number {
    return this.#unmatched;
  }

  /** Calls and streams under way. */
  get inFlight(): number {
    return this.#pending.size;
  }

  call<Req, Res>(
    serviceName: string,
    methodName: string,
    method: Method<Req, Res>,
    request: Init<Req>,
    options?: CallOptions,
  ): Promise<Res> {
    return this.#call(serviceName, methodName, method[0], request, method[1], options);
  }

  callView<Req, Out>(
    serviceName: string,
    methodName: string,
    requestType: MessageType<Req>,
    request: Init<Req>,
    onPayload: (payload: Uint8Array) => Out,
    options?: CallOptions,
  ): Promise<Out> {
    return this.#call(serviceName, methodName, requestType, request, onPayload, options);
  }

  stream<Req, Res>(
    serviceName: string,
    methodName: string,
    method: StreamMethod<Req, Res>,
    options: StreamOptions<Req> = NO_OPTIONS,
  ): ClientStream<Req, Res> {
    const name = `${serviceName}/${methodName}`;
    const request = options.request ?? ({} as Init<Req>);
    const flags = method[2] === 'server' ? FLAG_REMOTE_CLOSED : FLAG_REMOTE_OPEN;
    const id = this.#request(serviceName, methodName, method[0], request, options, flags);
    const sender = new StreamSender(id, name, this.#queue);
    if (method[2] === 'server') sender.end(new KataError('failed_precondition', `${name}: only the server sends`));
    const stream = new OpenStream(id, name, method, sender, this.#gate, this.#giveUp);
    this.#pending.add(id, stream as Pending);
    stream.follow(options);
    return stream;
  }

  close(reason?: string): void {
    this.#finish(new KataError('unavailable', reason ?? 'the connection is closed'), reason !== undefined);
  }

  #call<Req, Out>(
    service: string,
    method: string,
    requestType: MessageType<Req>,
    request: Init<Req>,
    result: Result<Out>,
    options: CallOptions = NO_OPTIONS,
  ): Promise<Out> {
    return new Promise((resolve, reject) => {
      const stream = this.#request(service, method, requestType, request, options, 0);
      const call = new PendingCall<Out>(stream, service, method, result, resolve, reject);
      this.#pending.add(stream, call);
      if (options !== NO_OPTIONS) call.follow(options, this.#giveUp);
    });
  }

  /**
   * Sends a request.
   * @returns its stream id
   * @throws KataError where it cannot be sent
   */
  #request<Req>(
    service: string,
    method: string,
    type: MessageType<Req>,
    request: Init<Req>,
    options: CallOptions,
    flags: number,
  ): number {
    const names = this.#names.of(service, method);
    try {
      if (options.signal?.aborted) throw cancelled(`${service}/${method}`, options.signal);
      if (this.#end) throw new KataError(this.#end.code, `${service}/${method}: ${this.#end.message}`);
      const metadata = encodeMetadata(options.metadata);
      const payload = this.#queue.stage(type, request, names.length, true);
      const refusal = this.#refusal(names.length + payload + metadata.length + FRAME_OVERHEAD_BYTES);
      if (refusal) throw new KataError('resource_exhausted', `${service}/${method}: ${refusal}`);
      const timeout = options.timeoutMs ? Math.min(Math.ceil(options.timeoutMs * 1e6), MAX_TIMEOUT_NANO) : 0;
      const stream = this.#takeStream();
      this.#queue.request(stream, flags, names, timeout, metadata);
      return stream;
    } catch (error) {
      throw internal(`${service}/${method}`, error);
    }
  }

  /** Why a request of so many bytes cannot be sent now. */
  #refusal(size: number): string | undefined {
    const { length, bytes } = this.#queue;
    if (this.#pending.size >= this.#maxInFlight || length >= this.#maxInFlight)
      return `${this.#maxInFlight} calls are under way: wait for one`;
    if (size > MAX_DATA_BYTES) return `a request of ${size} bytes exceeds ${MAX_DATA_BYTES}`;
    if (length > 0 && bytes + size > MAX_QUEUED_BYTES) return `the peer does not read: ${bytes} bytes wait`;
    return undefined;
  }

  /** Odd and rising. Past 2^32 it starts over with those nobody waits for: a long-lived stdout gets there. */
  #takeStream(): number {
    if (this.#startedOver) while (this.#pending.has(this.#nextStream)) this.#advance();
    const stream = this.#nextStream;
    this.#advance();
    return stream;
  }

  #advance(): void {
    this.#nextStream += 2;
    if (this.#nextStream <= LAST_STREAM) return;
    this.#nextStream = 1;
    this.#startedOver = true;
  }

  #frame(scanner: FrameScanner, record: number): boolean {
    const { records, bytes } = scanner;
    const stream = records[record + RECORD_STREAM] as number;
    const violation = violationOf(records, record);
    if (violation) return this.#violated(violation, stream);
    const call = this.#pending.get(stream);
    const start = records[record + RECORD_PAYLOAD] as number;
    const end = start + (records[record + RECORD_PAYLOAD_LENGTH] as number);
    if (!call) this.#unmatched++;
    else if (records[record + RECORD_FAULT] === FAULT_OVERSIZE) {
      this.#pending.delete(stream);
      call.fail(
        new KataError('resource_exhausted', `${call.name}: an answer of ${end} bytes exceeds ${MAX_DATA_BYTES}`),
      );
    } else if (records[record + RECORD_TYPE] === TYPE_DATA) {
      const refused = call.data(bytes, start, end, records[record + RECORD_FLAGS] as number);
      if (refused) return this.#violated(refused, stream);
    } else {
      this.#pending.delete(stream);
      if (records[record + RECORD_CODE] === 0) call.succeed(bytes, start, end);
      else call.fail(errorIn(scanner, record));
    }
    return this.#end === undefined;
  }

  /** A frame of which only [start, end) has arrived: its call may take what is there. */
  #part(scanner: FrameScanner, start: number, end: number): PieceTaker | undefined {
    const { bytes } = scanner;
    const stream = new DataView(bytes.buffer, bytes.byteOffset + start, HEADER_BYTES).getUint32(4);
    const call = this.#pending.get(stream);
    const pieces = call?.onPart?.(scanner, start, end);
    if (!call || !pieces) return undefined;
    return {
      start: pieces.start,
      piece: (data) => pieces.piece(data),
      end: () => {
        // It may have been given up meanwhile.
        if (this.#pending.delete(stream)) call.succeed(bytes, start, start);
        return this.#end === undefined;
      },
    };
  }

  #violated(violation: string, stream: number): false {
    this.#fail(`the peer violates the protocol: ${violation} (stream id ${stream})`);
    return false;
  }

  #fail(reason: string): void {
    this.#finish(new KataError('unavailable', reason), true);
  }

  #finish(end: KataError, told: boolean): void {
    if (this.#end) return;
    this.#end = end;
    this.#reader.close();
    this.#socket.destroy();
    for (const call of this.#pending.take()) call.fail(new KataError('unavailable', `${call.name}: ${end.message}`));
    this.#settle(told ? end : undefined);
  }
}
