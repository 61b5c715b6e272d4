/**
 * Frames on their way to one connection: what becomes ready in one turn of the event loop is written into the output
 * region and goes out with one write. While the peer does not take it, nothing more is written and the frames wait here.
 */
import type { Socket } from 'node:net';
import { OUTPUT_BYTES } from '../../assembly/layout.ts';
import { JsWriter } from './frame-writer.ts';
import type { FrameWriter } from './frames.ts';
import { frameMemory } from './memory.ts';

/** Bytes a frame takes beyond its payload, names, status text and metadata, at most. */
export const FRAME_OVERHEAD_BYTES = 48;

export interface Frame {
  /** What it takes at most, bytes. */
  readonly bytes: number;
  /** Writes it. @returns the address behind it, 0 if it does not fit before `limit` */
  put(writer: FrameWriter, at: number, limit: number): number;
}

export class FrameQueue {
  readonly #socket: Socket;
  readonly #onStall: ((stalled: boolean) => void) | undefined;
  readonly #written = (): void => this.#drained();
  readonly #flush = (): void => this.flush();
  #frames: Frame[] = [];
  #bytes = 0;
  #scheduled = false;
  /** A write is under way that the peer has not taken yet. */
  #stalled = false;
  #holdsRegion = false;
  #ending = false;

  /** @param onStall told when the peer stops taking what is written, and when it goes on */
  constructor(socket: Socket, onStall?: (stalled: boolean) => void) {
    this.#socket = socket;
    this.#onStall = onStall;
    // Only after 'close' does libuv no longer use the region.
    socket.once('close', () => this.#release());
  }

  /** Frames that wait. */
  get length(): number {
    return this.#frames.length;
  }

  /** Bytes that wait, frames' upper bounds. */
  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
    this.#bytes += frame.bytes;
    if (this.#scheduled || this.#stalled) return;
    this.#scheduled = true;
    // Ticks run after all microtasks: every handler that settles in this turn joins the batch.
    process.nextTick(this.#flush);
  }

  /** Writes what waits, as far as the peer takes it. */
  flush(): void {
    this.#scheduled = false;
    if (this.#socket.destroyed || !this.#socket.writable) {
      this.#frames = [];
      this.#bytes = 0;
      return;
    }
    while (this.#frames.length > 0 && !this.#stalled) this.#writeBatch();
    if (this.#ending && this.#frames.length === 0) this.#socket.destroySoon();
  }

  /** Closes the socket once everything that waits has been taken. */
  end(): void {
    this.#ending = true;
    this.flush();
  }

  #writeBatch(): void {
    const { output, writer: shared } = frameMemory();
    const count = this.#batch();
    const fits = (this.#frames[0] as Frame).bytes <= OUTPUT_BYTES;
    const region = fits && output.acquire();
    const start = region ? output.base : 0;
    const bytes = this.#frames.slice(0, count).reduce((sum, frame) => sum + frame.bytes, 0);
    const writer = region ? shared : new JsWriter(new Uint8Array(bytes));
    const limit = region ? output.end : bytes;
    let at = start;
    for (let i = 0; i < count; i++) {
      const end = (this.#frames[i] as Frame).put(writer, at, limit);
      if (end === 0) throw new Error(`a frame takes more than the ${this.#frames[i]?.bytes} bytes it claimed`);
      at = end;
    }
    this.#frames.splice(0, count);
    this.#bytes -= bytes;
    this.#socket.write(writer.bytes.subarray(start, at), this.#written);
    // libuv tries at once: nothing left means that the region may be used again.
    if (this.#socket.writableLength === 0) {
      if (region) output.release();
      return;
    }
    this.#stalled = true;
    this.#holdsRegion = region;
    this.#onStall?.(true);
  }

  /** How many frames go into one write: as many as the region holds, but at least one. */
  #batch(): number {
    let bytes = 0;
    let count = 0;
    for (const frame of this.#frames) {
      bytes += frame.bytes;
      if (count > 0 && bytes > OUTPUT_BYTES) break;
      count++;
    }
    return count;
  }

  #drained(): void {
    // Writes that were taken at once report here too, a turn later.
    if (!this.#stalled || this.#socket.destroyed || this.#socket.writableLength > 0) return;
    this.#release();
    this.#stalled = false;
    this.flush();
    if (!this.#stalled) this.#onStall?.(false);
  }

  #release(): void {
    if (this.#holdsRegion) frameMemory().output.release();
    this.#holdsRegion = false;
  }
}
