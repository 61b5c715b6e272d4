/** What one end of a stream sends: in order, and no faster than the peer takes it. */
import { KataError } from '../error.ts';
import { encode, type Init, type MessageType } from '../proto/codec.ts';
import type { FrameQueue } from './frame-queue.ts';
import { DataFrame, FLAG_NO_DATA, FLAG_REMOTE_CLOSED } from './outgoing.ts';
import { internal } from './pending-call.ts';
import { MAX_DATA_BYTES } from './types.ts';

const NO_BYTES = new Uint8Array(0);
const SENT = Promise.resolve();

/** A message that there is no room for yet. */
interface Waiting {
  readonly payload: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: KataError) => void;
}

export class StreamSender {
  readonly #stream: number;
  readonly #name: string;
  readonly #queue: FrameQueue;
  #ended: KataError | undefined;
  #waiting: Waiting | undefined;
  /** The end of what is sent follows the message that waits. */
  #endsBehind = false;

  /** @param name for messages of errors */
  constructor(stream: number, name: string, queue: FrameQueue) {
    this.#stream = stream;
    this.#name = name;
    this.#queue = queue;
  }

  /**
   * Sends a message as soon as there is room.
   * @throws KataError as `ClientStream.send` says
   */
  send<T>(type: MessageType<T>, message: Init<T>): Promise<void> {
    try {
      if (this.#ended) throw this.#ended;
      if (this.#waiting)
        throw new KataError(
          'resource_exhausted',
          `${this.#name}: a message waits for the peer to read: await its send`,
        );
      if (!this.#queue.hasRoom) return this.#sendLater(encode(type, message));
      this.#limit(this.#queue.stage(type, message, 0, false));
      this.#queue.data(this.#stream, 0);
      return SENT;
    } catch (error) {
      return Promise.reject(internal(this.#name, error));
    }
  }

  /** Says that there are no more messages, behind what waits. Idempotent; nothing once the stream has ended. */
  close(): void {
    if (this.#ended) return;
    if (this.#waiting) this.#endsBehind = true;
    else this.#sendEnd();
    this.#ended = new KataError('failed_precondition', `${this.#name}: nothing can be sent behind the last message`);
  }

  /** Nothing is sent any more; what waits fails with the error. */
  end(error: KataError): void {
    this.#ended ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #sendLater(payload: Uint8Array): Promise<void> {
    this.#limit(payload.length);
    return new Promise((resolve, reject) => {
      this.#waiting = { payload, resolve, reject };
      this.#queue.whenRoom(() => this.#sendWaiting());
    });
  }

  #sendWaiting(): void {
    if (!this.#waiting) return;
    const { payload, resolve } = this.#waiting;
    this.#waiting = undefined;
    this.#queue.push(new DataFrame(this.#stream, 0, payload));
    if (this.#endsBehind) this.#sendEnd();
    resolve();
  }

  #sendEnd(): void {
    this.#queue.push(new DataFrame(this.#stream, FLAG_REMOTE_CLOSED | FLAG_NO_DATA, NO_BYTES));
  }

  #limit(length: number): void {
    if (length > MAX_DATA_BYTES)
      throw new KataError(
        'resource_exhausted',
        `${this.#name}: a message of ${length} bytes exceeds ${MAX_DATA_BYTES}`,
      );
  }
}
