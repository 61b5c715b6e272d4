/** A stream that a client has opened. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md#streaming */
import { KataError } from '../error.ts';
import { decode, type Init } from '../proto/codec.ts';
import { copyOf } from './copy.ts';
import { Inbox } from './inbox.ts';
import { FLAG_NO_DATA, FLAG_REMOTE_CLOSED } from './outgoing.ts';
import { internal, type Pending } from './pending-call.ts';
import type { ReadGate } from './read-gate.ts';
import type { StreamSender } from './stream-sender.ts';
import type { CallOptions, ClientStream, StreamMethod } from './types.ts';
import { Watch } from './watch.ts';

export class OpenStream<Req, Res> implements ClientStream<Req, Res>, Pending {
  readonly #method: StreamMethod<Req, Res>;
  readonly #sender: StreamSender;
  readonly #inbox: Inbox<Res>;
  readonly #onGivenUp: (stream: Pending) => void;
  #watch: Watch | undefined;
  /** Nobody waits for its id any more. */
  #isOver = false;

  /** @param onGivenUp called when nobody waits for the stream any more although the server may send to it */
  constructor(
    readonly stream: number,
    readonly name: string,
    method: StreamMethod<Req, Res>,
    sender: StreamSender,
    gate: ReadGate,
    onGivenUp: (stream: Pending) => void,
  ) {
    this.#method = method;
    this.#sender = sender;
    this.#onGivenUp = onGivenUp;
    // Until then the caller may give up what has come already.
    const onEmpty = (): void => this.#watch?.end();
    this.#inbox = new Inbox(gate, (data) => this.#decode(data), onEmpty);
  }

  /** Follows a deadline and a signal. */
  follow(options: CallOptions): void {
    this.#watch = new Watch(this.name, options, (reason) => this.abort(reason));
  }

  send(message: Init<Req>): Promise<void> {
    return this.#sender.send(this.#method[0], message);
  }

  closeSend(): void {
    this.#sender.close();
  }

  receive(): Promise<Res | undefined> {
    return this.#inbox.take();
  }

  abort(reason: KataError = new KataError('cancelled', `${this.name}: the stream was given up`)): void {
    if (!this.#isOver) this.#onGivenUp(this);
    this.#over(reason);
    this.#inbox.drop(reason);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Res> {
    try {
      for (let next = await this.receive(); next !== undefined; next = await this.receive()) yield next;
    } finally {
      // Changes nothing but where the loop was left early.
      this.abort();
    }
  }

  succeed(memory: Uint8Array, start: number, end: number): void {
    // The one response; where the server streams it ends the stream, and has a message only if it is not empty.
    if (this.#method[2] === 'client' || end > start) this.#inbox.put(copyOf(memory, start, end));
    this.#over(undefined);
    this.#inbox.end();
  }

  fail(error: KataError): void {
    this.#over(error);
    this.#inbox.end(error);
  }

  data(memory: Uint8Array, start: number, end: number, flags: number): string | undefined {
    if (this.#method[2] === 'client') return 'a data frame where one response was expected';
    if ((flags & FLAG_NO_DATA) === 0) this.#inbox.put(copyOf(memory, start, end));
    else if (end > start) return `${end - start} bytes in a data frame that says it has none`;
    if ((flags & FLAG_REMOTE_CLOSED) !== 0) {
      this.#onGivenUp(this);
      this.#over(undefined);
      this.#inbox.end();
    }
    return undefined;
  }

  #decode(data: Uint8Array): Res {
    try {
      return decode(this.#method[1], data);
    } catch (error) {
      const failure = internal(this.name, error);
      this.abort(failure);
      throw failure;
    }
  }

  /** Nothing is sent any more. */
  #over(error: KataError | undefined): void {
    this.#isOver = true;
    this.#sender.end(error ?? new KataError('failed_precondition', `${this.name}: the server has ended the stream`));
  }
}
