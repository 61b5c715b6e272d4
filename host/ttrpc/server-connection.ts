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
import { decode } from '../proto/codec.ts';
import { Request } from '../proto/messages/ttrpc.ts';
import { ServerCall } from './call.ts';
import { copyOf } from './copy.ts';
import { type Dispatch, type Served, streamHandlerOf } from './dispatch.ts';
import { FrameQueue } from './frame-queue.ts';
import { FrameReader } from './frame-reader.ts';
import type { FrameScanner } from './frames.ts';
import { FLAG_REMOTE_OPEN, FRAME_OVERHEAD_BYTES, StatusFrame } from './outgoing.ts';
import { readPayload } from './payload.ts';
import { ReadGate } from './read-gate.ts';
import { ServedStream } from './served-stream.ts';
import type { Accepted } from './socket.ts';
import { statusOf } from './status.ts';
import { StreamSender } from './stream-sender.ts';
import { MAX_DATA_BYTES } from './types.ts';

/** Most calls and streams one connection may have under way; more are answered `resource_exhausted`. */
export const MAX_CALLS = 4096;
/** How long a closing connection may take to deliver its last answers, ms. */
export const CLOSE_GRACE_MS = 1000;

const NO_METADATA: ReadonlyMap<string, string> = new Map();

export class ServerConnection {
  /** Settles when the socket is closed. */
  readonly closed: Promise<void>;
  readonly #dispatch: Dispatch;
  readonly #socket: Socket;
  readonly #queue: FrameQueue;
  readonly #gate: ReadGate;
  /** Calls and streams whose handlers have not settled, in no order. */
  readonly #calls: ServerCall[] = [];
  /** The streams among them. */
  readonly #streams = new Map<number, ServedStream>();
  readonly #onDeadline = (call: ServerCall): void => this.#expire(call);
  #lastStream = 0;

  constructor(accepted: Accepted, dispatch: Dispatch) {
    this.#dispatch = dispatch;
    const reader = new FrameReader((scanner, record) => this.#frame(scanner, record));
    this.#socket = accepted.open(reader);
    this.#gate = new ReadGate(this.#socket);
    // A caller that does not take answers gets no more calls in.
    this.#queue = new FrameQueue(this.#socket, (stalled) => this.#gate.stall(stalled));
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
      const type = scanner.records[record + RECORD_TYPE];
      if (type === TYPE_REQUEST) this.#request(scanner, record, stream);
      else if (type === TYPE_DATA) this.#data(scanner, record, stream);
      // Other types are reserved for later versions of the protocol and ignored.
    } catch (error) {
      // What is answered ends the stream of that id, also for its caller.
      const open = this.#streams.get(stream);
      if (open) this.#giveUp(open, asKataError(error));
      else this.#queue.push(new StatusFrame(stream, statusOf(error)));
    }
    return !this.#socket.destroyed;
  }

  /** @throws KataError for frames that the protocol wants answered with a status */
  #check({ records }: FrameScanner, record: number, stream: number): void {
    const fault = records[record + RECORD_FAULT];
    if (fault === FAULT_OVERSIZE)
      throw new KataError(
        'resource_exhausted',
        `message length ${records[record + RECORD_PAYLOAD_LENGTH]} exceeds the maximum of ${MAX_DATA_BYTES} bytes`,
      );
    if ((stream & 1) !== 1) throw new KataError('invalid_argument', `stream id ${stream}: a client's must be odd`);
    if (records[record + RECORD_TYPE] !== TYPE_REQUEST) return;
    if (stream <= this.#lastStream)
      throw new KataError('invalid_argument', `stream id ${stream}: must be larger than the last, ${this.#lastStream}`);
    this.#lastStream = stream;
    if (fault === FAULT_ENVELOPE) throw new KataError('invalid_argument', 'the data is no ttrpc.Request message');
  }

  #request(scanner: FrameScanner, record: number, stream: number): void {
    const { records, bytes } = scanner;
    const served = this.#dispatch.find(scanner, record);
    if (this.#calls.length >= MAX_CALLS)
      throw new KataError('resource_exhausted', `${MAX_CALLS} calls are under way on this connection: wait for one`);
    const metadata = metadataOf(scanner, record);
    const timeoutMs = timeoutOf(records, record);
    const open = ((records[record + RECORD_FLAGS] as number) & FLAG_REMOTE_OPEN) !== 0;
    const start = records[record + RECORD_PAYLOAD] as number;
    const end = start + (records[record + RECORD_PAYLOAD_LENGTH] as number);
    if (served.streaming) {
      const sender = new StreamSender(stream, `stream id ${stream}`, this.#queue);
      const call = new ServedStream(served, sender, this.#gate, stream, metadata, timeoutMs);
      // An empty request is a message only where there is no other.
      if (served.streaming === 'server' || end > start) call.put(copyOf(bytes, start, end));
      if (served.streaming === 'server' || !open) call.closeRemote();
      this.#serve(call);
      return;
    }
    if (open) throw new KataError('unimplemented', 'streaming: this method takes one request message');
    const request = decoded(() => readPayload(served.request, bytes, start, end));
    this.#call(served, request, new ServerCall(stream, metadata, timeoutMs));
  }

  #data({ records, bytes }: FrameScanner, record: number, stream: number): void {
    const call = this.#streams.get(stream);
    if (!call) throw new KataError('invalid_argument', `stream id ${stream}: no such stream is open`);
    const start = records[record + RECORD_PAYLOAD] as number;
    const data = copyOf(bytes, start, start + (records[record + RECORD_PAYLOAD_LENGTH] as number));
    call.data(data, records[record + RECORD_FLAGS] as number);
  }

  #call(served: Served, request: unknown, call: ServerCall): void {
    try {
      const result = served.handler(request, call);
      if (result instanceof Promise) {
        this.#begin(call);
        result.then(
          (response) => this.#answer(served, response, call),
          (error) => this.#fail(error, call),
        );
      } else this.#respond(served, result, call);
    } catch (error) {
      this.#queue.push(new StatusFrame(call.stream, statusOf(error)));
    }
  }

  #serve(call: ServedStream): void {
    this.#begin(call);
    this.#streams.set(call.stream, call);
    const settled = async (): Promise<void> => {
      try {
        const result = await streamHandlerOf(call.served)(call);
        if (call.served.streaming === 'client') this.#answer(call.served, result ?? {}, call);
        else if (this.#finish(call)) call.closeSend();
      } catch (error) {
        this.#fail(error, call);
      }
      call.close();
    };
    settled();
  }

  #answer(served: Served, response: unknown, call: ServerCall): void {
    // Expired, or the caller has gone.
    if (this.#finish(call)) this.#respond(served, response, call);
  }

  #respond(served: Served, response: unknown, { stream }: ServerCall): void {
    try {
      const length = this.#queue.stage(served.response, response as never, 0, true);
      if (length + FRAME_OVERHEAD_BYTES > MAX_DATA_BYTES)
        throw new KataError('resource_exhausted', `an answer of ${length} bytes exceeds ${MAX_DATA_BYTES}`);
      this.#queue.response(stream);
    } catch (error) {
      this.#queue.push(new StatusFrame(stream, statusOf(asKataError(error))));
    }
  }

  #fail(error: unknown, call: ServerCall): void {
    if (this.#finish(call)) this.#queue.push(new StatusFrame(call.stream, statusOf(error)));
  }

  #expire(call: ServerCall): void {
    this.#giveUp(call, new KataError('deadline_exceeded', 'the deadline of the call has passed'));
  }

  /** Tells the caller, and the handler. */
  #giveUp(call: ServerCall, reason: KataError): void {
    this.#fail(reason, call);
    call.abort(reason);
  }

  #begin(call: ServerCall): void {
    call.index = this.#calls.length;
    this.#calls.push(call);
    call.start(this.#onDeadline);
  }

  /** @returns false if the call was over already */
  #finish(call: ServerCall): boolean {
    if (call.index < 0) return false;
    call.end();
    const last = this.#calls.pop() as ServerCall;
    if (last !== call) {
      this.#calls[call.index] = last;
      last.index = call.index;
    }
    call.index = -1;
    if (call instanceof ServedStream) this.#streams.delete(call.stream);
    return true;
  }

  /** Nobody waits for the calls under way any more. */
  #abandon(): void {
    const reason = new KataError('cancelled', 'the connection of the caller is closed');
    const calls = this.#calls.splice(0);
    this.#streams.clear();
    for (const call of calls) call.index = -1;
    for (const call of calls) call.abort(reason);
  }
}

/**
 * @returns milliseconds, at least 1; 0: no deadline
 * @throws KataError `deadline_exceeded` for less than none: a caller that was held up says so
 */
function timeoutOf(records: Uint32Array, record: number): number {
  const high = (records[record + RECORD_TIMEOUT_HIGH] as number) | 0;
  const nanoseconds = high * 0x1_0000_0000 + (records[record + RECORD_TIMEOUT_LOW] as number);
  if (nanoseconds < 0) throw new KataError('deadline_exceeded', 'the deadline had passed when the call was made');
  return Math.ceil(nanoseconds / 1e6);
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

function asKataError(error: unknown): KataError {
  return error instanceof KataError ? error : new KataError('internal', reasonOf(error));
}
