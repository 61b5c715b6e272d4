/** A stream that a server is answering. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md#streaming */
import { KataError, reasonOf } from '../error.ts';
import { decode, type Init } from '../proto/codec.ts';
import { ServerCall } from './call.ts';
import type { Served } from './dispatch.ts';
import { Inbox } from './inbox.ts';
import { FLAG_NO_DATA, FLAG_REMOTE_CLOSED } from './outgoing.ts';
import type { ReadGate } from './read-gate.ts';
import type { StreamSender } from './stream-sender.ts';
import type { ServerStream } from './types.ts';

export class ServedStream extends ServerCall implements ServerStream<unknown, unknown> {
  readonly #sender: StreamSender;
  readonly #inbox: Inbox<unknown>;

  constructor(
    readonly served: Served,
    sender: StreamSender,
    gate: ReadGate,
    stream: number,
    metadata: ReadonlyMap<string, string>,
    timeoutMs: number,
  ) {
    super(stream, metadata, timeoutMs);
    this.#sender = sender;
    this.#inbox = new Inbox(gate, (data) => read(served, data));
  }

  send(message: Init<unknown>): Promise<void> {
    if (this.served.streaming === 'client')
      return Promise.reject(new KataError('failed_precondition', 'this method has one response: return it'));
    return this.#sender.send(this.served.response, message);
  }

  receive(): Promise<unknown> {
    return this.#inbox.take();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<unknown> {
    for (let next = await this.receive(); next !== undefined; next = await this.receive()) yield next;
  }

  /** Takes the message that the request itself brought. @param data is kept */
  put(data: Uint8Array): void {
    this.#inbox.put(data);
  }

  /** The caller has sent its last message. */
  closeRemote(): void {
    this.#inbox.end();
  }

  /**
   * Takes a data frame. A last one with a message is taken like any other: the protocol allows it, though few send it.
   * @param data is kept
   * @throws KataError `invalid_argument` behind the last message, and for one that says it is none
   */
  data(data: Uint8Array, flags: number): void {
    if (this.#inbox.ended)
      throw new KataError('invalid_argument', `stream id ${this.stream}: a data frame behind the last`);
    if ((flags & FLAG_NO_DATA) === 0) this.#inbox.put(data);
    else if (data.length > 0)
      throw new KataError(
        'invalid_argument',
        `stream id ${this.stream}: ${data.length} bytes in a data frame that says it has none`,
      );
    if ((flags & FLAG_REMOTE_CLOSED) !== 0) this.#inbox.end();
  }

  /** The handler has settled well: says that there are no more messages, behind those that wait to be sent. */
  closeSend(): void {
    this.#sender.close();
    this.#drop();
  }

  override abort(reason: KataError): void {
    super.abort(reason);
    this.#sender.end(reason);
    this.#inbox.drop(reason);
  }

  /** Nothing is sent or received any more. */
  close(): void {
    this.#sender.end(new KataError('failed_precondition', 'the stream has ended: its handler has settled'));
    this.#drop();
  }

  #drop(): void {
    this.#inbox.drop(new KataError('failed_precondition', 'the stream has ended: its handler has settled'));
  }
}

function read(served: Served, data: Uint8Array): unknown {
  try {
    return decode(served.request, data);
  } catch (error) {
    throw new KataError('invalid_argument', reasonOf(error));
  }
}
