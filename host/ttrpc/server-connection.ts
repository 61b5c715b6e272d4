/** One connection that a server has accepted. */
import type { Socket } from 'node:net';
import {
  FAULT_ENVELOPE,
  FAULT_OVERSIZE,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_METADATA,
  RECORD_METADATA_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
  RECORD_TYPE,
  TYPE_DATA,
  TYPE_REQUEST,
} from '../../assembly/layout.ts';
import { KataError, reasonOf } from '../error.ts';
import { decode, encode } from '../proto/codec.ts';
import { Request } from '../proto/messages/ttrpc.ts';
import { ServerCall } from './call.ts';
import { copyOf } from './copy.ts';
import type { Dispatch, Served } from './dispatch.ts';
import { FRAME_OVERHEAD_BYTES, FrameQueue } from './frame-queue.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameScanner } from './frames.ts';
import { ResponseFrame, StatusFrame } from './outgoing.ts';
import type { Accepted } from './socket.ts';
import { statusOf } from './status.ts';
import { MAX_DATA_BYTES } from './types.ts';

/** Most calls one connection may have under way; more are answered `resource_exhausted`. */
export const MAX_CALLS = 4096;
/** How long a closing connection may take to deliver its last answers, ms. */
export const CLOSE_GRACE_MS = 1000;

/** The caller may send data frames: a stream, which no method of ours is. */
const FLAG_REMOTE_OPEN = 2;
const NO_METADATA: ReadonlyMap<string, string> = new Map();

export class ServerConnection {
  /** Settles when the socket is closed. */
  readonly closed: Promise<void>;
  readonly #dispatch: Dispatch;
  readonly #socket: Socket;
  readonly #queue: FrameQueue;
  readonly #calls = new Set<ServerCall>();
  readonly #onDeadline = (call: ServerCall): void => this.#expire(call);
  #lastStream = 0;

  constructor(accepted: Accepted, dispatch: Dispatch) {
    this.#dispatch = dispatch;
    const reader = new FrameReader((scanner, record) => this.#frame(scanner, record));
    this.#socket = accepted.open(reader);
    // A caller that does not take answers gets no more calls in.
    this.#queue = new FrameQueue(this.#socket, (stalled) => {
      if (stalled) this.#socket.pause();
      else this.#socket.resume();
    });
    this.closed = new Promise((resolve) => {
      // A connection that breaks is no news beyond its end.
      this.#socket.on('error', () => {});
      this.#socket.once('close', () => {
        reader.close();
        this.#abandon();
        resolve();
      });
    });
    this.#socket.once('end', () => this.#abandon());
  }

  /** Delivers the answers that are ready, then closes. Calls under way are aborted. */
  close(): void {
    this.#abandon();
    this.#queue.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE_MS);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #frame(scanner: FrameScanner, record: number): boolean {
    const stream = scanner.records[record + RECORD_STREAM] as number;
    try {
      this.#check(scanner, record, stream);
      if (scanner.records[record + RECORD_TYPE] === TYPE_REQUEST) this.#request(scanner, record, stream);
      // Other types are reserved for later versions of the protocol and ignored.
    } catch (error) {
      this.#queue.push(new StatusFrame(stream, statusOf(error)));
    }
    return !this.#socket.destroyed;
  }

  /** @throws KataError for frames that the protocol wants answered with a status */
  #check({ records }: FrameScanner, record: number, stream: number): void {
    const type = records[record + RECORD_TYPE];
    const fault = records[record + RECORD_FAULT];
    if (fault === FAULT_OVERSIZE)
      throw new KataError(
        'resource_exhausted',
        `message length ${records[record + RECORD_PAYLOAD_LENGTH]} exceeds the maximum of ${MAX_DATA_BYTES} bytes`,
      );
    if (stream % 2 !== 1) throw new KataError('invalid_argument', `stream id ${stream}: a client's must be odd`);
    if (type === TYPE_DATA) throw new KataError('invalid_argument', `stream id ${stream}: no such stream is open`);
    if (type !== TYPE_REQUEST) return;
    if (stream <= this.#lastStream)
      throw new KataError('invalid_argument', `stream id ${stream}: must be larger than the last, ${this.#lastStream}`);
    this.#lastStream = stream;
    if (fault === FAULT_ENVELOPE) throw new KataError('invalid_argument', 'the data is no ttrpc.Request message');
  }

  #request(scanner: FrameScanner, record: number, stream: number): void {
    const { records, bytes } = scanner;
    const served = this.#dispatch.find(scanner, record);
    if ((records[record + RECORD_FLAGS] as number) & FLAG_REMOTE_OPEN)
      throw new KataError('unimplemented', 'streaming: all methods here take one request message');
    if (this.#calls.size >= MAX_CALLS)
      throw new KataError('resource_exhausted', `${MAX_CALLS} calls are under way on this connection: wait for one`);
    const payload = records[record + RECORD_PAYLOAD] as number;
    // A copy: the handler keeps `bytes` fields while the window takes the next read.
    const copy = copyOf(bytes, payload, payload + (records[record + RECORD_PAYLOAD_LENGTH] as number));
    const request = decoded(() => decode(served.request, copy));
    const call = new ServerCall(stream, metadataOf(scanner, record), timeoutOf(records, record), this.#onDeadline);
    this.#calls.add(call);
    this.#run(served, request, call);
  }

  #run(served: Served, request: unknown, call: ServerCall): void {
    try {
      const result = served.handler(request, call);
      if (result instanceof Promise) {
        result.then(
          (response) => this.#answer(served, response, call),
          (error) => this.#fail(error, call),
        );
      } else this.#answer(served, result, call);
    } catch (error) {
      this.#fail(error, call);
    }
  }

  #answer(served: Served, response: unknown, call: ServerCall): void {
    // Expired, or the caller has gone.
    if (!this.#finish(call)) return;
    try {
      const payload = encode(served.response, response as never);
      if (payload.length + FRAME_OVERHEAD_BYTES > MAX_DATA_BYTES)
        throw new KataError('resource_exhausted', `an answer of ${payload.length} bytes exceeds ${MAX_DATA_BYTES}`);
      this.#queue.push(new ResponseFrame(call.stream, payload));
    } catch (error) {
      const failure = error instanceof KataError ? error : new KataError('internal', reasonOf(error));
      this.#queue.push(new StatusFrame(call.stream, statusOf(failure)));
    }
  }

  #fail(error: unknown, call: ServerCall): void {
    if (this.#finish(call)) this.#queue.push(new StatusFrame(call.stream, statusOf(error)));
  }

  #expire(call: ServerCall): void {
    const reason = new KataError('deadline_exceeded', 'the deadline of the call has passed');
    this.#fail(reason, call);
    call.abort(reason);
  }

  #finish(call: ServerCall): boolean {
    call.end();
    return this.#calls.delete(call);
  }

  /** Nobody waits for the calls under way any more. */
  #abandon(): void {
    const reason = new KataError('cancelled', 'the connection of the caller is closed');
    const calls = [...this.#calls];
    this.#calls.clear();
    for (const call of calls) call.abort(reason);
  }
}

/** @returns milliseconds, at least 1; 0: no deadline */
function timeoutOf(records: Uint32Array, record: number): number {
  const high = (records[record + RECORD_TIMEOUT_HIGH] as number) | 0;
  const nanoseconds = high * 0x1_0000_0000 + (records[record + RECORD_TIMEOUT_LOW] as number);
  return nanoseconds <= 0 ? 0 : Math.ceil(nanoseconds / 1e6);
}

function metadataOf({ records, bytes }: FrameScanner, record: number): ReadonlyMap<string, string> {
  const length = records[record + RECORD_METADATA_LENGTH] as number;
  if (length === 0) return NO_METADATA;
  const start = records[record + RECORD_METADATA] as number;
  const { metadata } = decoded(() => decode(Request, bytes.subarray(start, start + length)));
  return new Map(metadata.map(({ key, value }) => [key.toLowerCase(), value]));
}

function decoded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new KataError('invalid_argument', reasonOf(error));
  }
}
