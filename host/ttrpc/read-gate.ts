/**
 * Whether a connection reads. It stops while the peer does not take what is written to it, and while messages of streams
 * that nobody has taken fill their store. This is flow control by not reading, and it holds for the whole connection: no answer
 * comes either, and not even its end is noticed. Deadlines still pass.
 */
import type { Socket } from 'node:net';

/**
 * Bytes of messages that may wait on one connection before it stops reading. What one read brought comes on top: 256 KiB
 * of frames, or one frame of up to 4 MiB.
 */
export const MAX_WAITING_BYTES = 1024 * 1024;
/** It reads again below this. */
export const RESUME_WAITING_BYTES = MAX_WAITING_BYTES / 2;
/** What a message counts beyond its own bytes: the objects that hold it. */
export const MESSAGE_OVERHEAD_BYTES = 128;

export class ReadGate {
  readonly #socket: Socket;
  #waiting = 0;
  #full = false;
  #stalled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes of messages that wait, their overhead included. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The peer does not take what is written, or does again. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    this.#apply();
  }

  /** A message of so many bytes waits. */
  hold(bytes: number): void {
    this.#waiting += bytes + MESSAGE_OVERHEAD_BYTES;
    if (this.#full || this.#waiting <= MAX_WAITING_BYTES) return;
    this.#full = true;
    this.#apply();
  }

  /** It has been taken, or given up. */
  free(bytes: number): void {
    this.#waiting -= bytes + MESSAGE_OVERHEAD_BYTES;
    if (!this.#full || this.#waiting >= RESUME_WAITING_BYTES) return;
    this.#full = false;
    this.#apply();
  }

  #apply(): void {
    if (this.#full || this.#stalled) this.#socket.pause();
    else this.#socket.resume();
  }
}
