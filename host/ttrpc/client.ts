/**
 * A ttrpc client of a peer that may be hostile (the guest): whatever the protocol does not allow closes the connection,
 * answers nobody waits for are counted and dropped, and what waits to be sent is bounded.
 */
import type { Socket } from 'node:net';
import {
  FAULT_ENVELOPE,
  FAULT_OVERSIZE,
  RECORD_CODE,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TYPE,
  TYPE_RESPONSE,
} from '../../assembly/layout.ts';
import { KataError, reasonOf } from '../error.ts';
import { decode, encode, type Init, type MessageType } from '../proto/codec.ts';
import { copyOf } from './copy.ts';
import { FRAME_OVERHEAD_BYTES, FrameQueue } from './frame-queue.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameScanner } from './frames.ts';
import { encodeMetadata, encodeNames, RequestFrame } from './outgoing.ts';
import { cancelled, PendingCall } from './pending-call.ts';
import { connectTo, type Reads, takeOver } from './socket.ts';
import { errorOf, MAX_STATUS_TEXT } from './status.ts';
import { type CallOptions, type Client, MAX_DATA_BYTES, type Method } from './types.ts';

/** Most calls under way at a time, unless the constructor is told otherwise. */
export const MAX_IN_FLIGHT = 1024;
/** Most bytes that wait for the peer to read them; one frame of any size may always wait. */
export const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** Largest odd stream id. */
export const LAST_STREAM = 0xffff_ffff;

/** Flags that the protocol defines: remote closed, remote open, no data. */
const KNOWN_FLAGS = 7;

export interface ClientOptions {
  /** Most calls under way; further ones fail with `resource_exhausted`. */
  readonly maxInFlight?: number;
  /** Stream id of the first call, odd. */
  readonly firstStream?: number;
}

export class TtrpcClient implements Client {
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #queue: FrameQueue;
  readonly #maxInFlight: number;
  readonly #pending = new Map<number, PendingCall>();
  readonly #names = new Map<string, Uint8Array>();
  readonly #giveUp = (call: PendingCall): void => {
    this.#pending.delete(call.stream);
  };
  #nextStream: number;
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
    this.#reader = new FrameReader((scanner, record) => this.#frame(scanner, record));
    this.#socket = typeof socket === 'function' ? socket(this.#reader) : takeOver(socket, this.#reader);
    this.#queue = new FrameQueue(this.#socket);
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

  /** Answers that matched no call: late ones after a deadline, or a peer's inventions. */
  get unmatched(): number {
    return this.#unmatched;
  }

  /** Calls under way. */
  get inFlight(): number {
    return this.#pending.size;
  }

  call<Req, Res>(
    serviceName: string,
    methodName: string,
    method: Method<Req, Res>,
    request: Init<Req>,
    options: CallOptions = {},
  ): Promise<Res> {
    // A copy: `bytes` fields of the result are views of it and may be kept.
    const read = (payload: Uint8Array): Res => decode(method[1], copyOf(payload, 0, payload.length));
    return this.callView(serviceName, methodName, method[0], request, read, options);
  }

  callView<Req, Out>(
    serviceName: string,
    methodName: string,
    requestType: MessageType<Req>,
    request: Init<Req>,
    onPayload: (payload: Uint8Array) => Out,
    options: CallOptions = {},
  ): Promise<Out> {
    return new Promise<Out>((resolve, reject) => {
      const name = `${serviceName}/${methodName}`;
      if (options.signal?.aborted) throw cancelled(name, options.signal);
      const payload = local(name, () => encode(requestType, request));
      const frame = this.#frameOf(name, this.#namesOf(name, serviceName, methodName), payload, options);
      const outcome = {
        onPayload: (view: Uint8Array): void => {
          try {
            resolve(local(name, () => onPayload(view)));
          } catch (error) {
            reject(error);
          }
        },
        onError: reject,
      };
      this.#pending.set(frame.stream, new PendingCall(frame.stream, name, outcome, options, this.#giveUp));
      this.#queue.push(frame);
    });
  }

  close(reason?: string): void {
    this.#finish(new KataError('unavailable', reason ?? 'the connection is closed'), reason !== undefined);
  }

  /** @throws KataError where the call cannot be sent */
  #frameOf(name: string, names: Uint8Array, payload: Uint8Array, options: CallOptions): RequestFrame {
    if (this.#end) throw new KataError(this.#end.code, `${name}: ${this.#end.message}`);
    if (this.#pending.size >= this.#maxInFlight || this.#queue.length >= this.#maxInFlight)
      throw new KataError('resource_exhausted', `${name}: ${this.#maxInFlight} calls are under way: wait for one`);
    const timeout = Math.ceil((options.timeoutMs ?? 0) * 1e6);
    const metadata = encodeMetadata(options.metadata);
    const size = names.length + payload.length + metadata.length + FRAME_OVERHEAD_BYTES;
    if (size > MAX_DATA_BYTES)
      throw new KataError('resource_exhausted', `${name}: a request of ${size} bytes exceeds ${MAX_DATA_BYTES}`);
    if (this.#queue.length > 0 && this.#queue.bytes + size > MAX_QUEUED_BYTES)
      throw new KataError('resource_exhausted', `${name}: the peer does not read: ${this.#queue.bytes} bytes wait`);
    return new RequestFrame(this.#takeStream(), names, payload, timeout, metadata);
  }

  #namesOf(name: string, service: string, method: string): Uint8Array {
    let names = this.#names.get(name);
    if (!names) {
      names = encodeNames(service, method);
      this.#names.set(name, names);
    }
    return names;
  }

  /** Odd and rising. Past 2^32 it starts over with those nobody waits for: a long-lived stdout gets there. */
  #takeStream(): number {
    while (this.#pending.has(this.#nextStream)) this.#advance();
    const stream = this.#nextStream;
    this.#advance();
    return stream;
  }

  #advance(): void {
    this.#nextStream = this.#nextStream >= LAST_STREAM ? 1 : this.#nextStream + 2;
  }

  #frame(scanner: FrameScanner, record: number): boolean {
    const { records, bytes } = scanner;
    const stream = records[record + RECORD_STREAM] as number;
    const violation = violationOf(records, record);
    if (violation) {
      this.#fail(`the peer violates the protocol: ${violation} (stream id ${stream})`);
      return false;
    }
    const call = this.#pending.get(stream);
    if (!call) {
      this.#unmatched++;
      return true;
    }
    this.#pending.delete(stream);
    const code = records[record + RECORD_CODE] as number;
    if (code !== 0) {
      const start = records[record + RECORD_TEXT] as number;
      // Cut before decoding: at most 4 bytes a UTF-16 unit count.
      const length = Math.min(records[record + RECORD_TEXT_LENGTH] as number, MAX_STATUS_TEXT * 4);
      call.fail(errorOf(code, new TextDecoder().decode(bytes.subarray(start, start + length))));
    } else {
      const start = records[record + RECORD_PAYLOAD] as number;
      call.succeed(bytes.subarray(start, start + (records[record + RECORD_PAYLOAD_LENGTH] as number)));
    }
    return this.#end === undefined;
  }

  #fail(reason: string): void {
    this.#finish(new KataError('unavailable', reason), true);
  }

  #finish(end: KataError, told: boolean): void {
    if (this.#end) return;
    this.#end = end;
    this.#reader.close();
    this.#socket.destroy();
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.fail(new KataError('unavailable', `${call.name}: ${end.message}`));
    this.#settle(told ? end : undefined);
  }
}

/** What of a frame the protocol does not allow a server; undefined if nothing. */
function violationOf(records: Uint32Array, record: number): string | undefined {
  const fault = records[record + RECORD_FAULT];
  const type = records[record + RECORD_TYPE];
  const flags = records[record + RECORD_FLAGS] as number;
  if (fault === FAULT_OVERSIZE) return `a frame of ${records[record + RECORD_PAYLOAD_LENGTH]} bytes`;
  if (type !== TYPE_RESPONSE) return `message type ${type} where a response was expected`;
  if ((flags & ~KNOWN_FLAGS) !== 0) return `reserved flags 0x${flags.toString(16)}`;
  if ((records[record + RECORD_STREAM] as number) % 2 !== 1) return "a stream id of the server's";
  if (fault === FAULT_ENVELOPE) return 'data that is no ttrpc.Response message';
  return undefined;
}

/** Makes what goes wrong on our side of a call a KataError. */
function local<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof KataError ? error : new KataError('internal', `${name}: ${reasonOf(error)}`);
  }
}
