/**
 * Frames on their way to one connection. What becomes ready in one turn of the event loop is written straight into the
 * output region and goes out with one write. While the peer does not take it, or another connection has the region,
 * frames wait here as copies.
 */
import type { Socket } from 'node:net';
import { OUTPUT_BYTES, STATE_FRAME_END } from '../../assembly/layout.ts';
import { encode, type Init, type MessageType } from '../proto/codec.ts';
import { JsWriter } from './frame-writer.ts';
import { type FrameMemory, frameMemory } from './memory.ts';
import { DataFrame, FRAME_OVERHEAD_BYTES, type Frame, RequestFrame, ResponseFrame } from './outgoing.ts';
import { HEADER_BYTES } from './types.ts';

/** A batch goes out at this size, bytes, so that there is room for the next frame: one that has none is encoded twice. */
export const BATCH_BYTES = OUTPUT_BYTES / 2;

/** Bytes that wait before streams have to: there is room for more messages of theirs below this. */
export const MAX_STREAM_QUEUED_BYTES = 1024 * 1024;

export class FrameQueue {
  readonly #socket: Socket;
  readonly #memory: FrameMemory = frameMemory();
  readonly #onStall: ((stalled: boolean) => void) | undefined;
  readonly #written = (): void => this.#drained();
  readonly #tick = (): void => this.flush();
  /** Streams with a message that there is no room for. */
  readonly #waiters: (() => void)[] = [];
  #frames: Frame[] = [];
  #bytes = 0;
  #scheduled = false;
  /** A write is under way that the peer has not taken yet. */
  #stalled = false;
  #holdsRegion = false;
  #ending = false;
  /** Where the open batch ends, 0: there is none. While there is one nothing else waits. */
  #batchEnd = 0;
  /** The next frame's payload, encoded: its address in the region, or the bytes. */
  #stagedAt = 0;
  #staged: Uint8Array | undefined;
  #stagedLength = 0;
  /** Bytes of the last payload's length as a varint: the next one's, most likely. */
  #lengthBytes = 1;

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

  /** Whether a stream may send its next message; others that wait come first. */
  get hasRoom(): boolean {
    return this.#bytes < MAX_STREAM_QUEUED_BYTES && this.#waiters.length === 0;
  }

  /** Calls `send` once, when there is room; never if the connection ends before. */
  whenRoom(send: () => void): void {
    this.#waiters.push(send);
  }

  /**
   * Encodes the payload of the next frame, which one of `request`, `response` and `data` then sends: at once, or not at all.
   * @param before bytes between the frame's header and its payload's tag
   * @param tagged whether the payload is a field of the frame's message, not its whole data
   * @returns its length, bytes
   * @throws ProtoError as `encode` does
   */
  stage<T>(type: MessageType<T>, message: Init<T>, before: number, tagged: boolean): number {
    const at = this.#open();
    this.#stagedAt = 0;
    if (at === 0) {
      this.#staged = encode(type, message);
      this.#stagedLength = this.#staged.length;
    } else {
      const { encoder, output } = this.#memory;
      const place = at + HEADER_BYTES + before + (tagged ? 1 + this.#lengthBytes : 0);
      this.#staged = encoder.write(type, message, place - output.base);
      if (!this.#staged) this.#stagedAt = place;
      this.#stagedLength = this.#staged ? this.#staged.length : output.base + encoder.pos - place;
    }
    return this.#stagedLength;
  }

  /**
   * Sends a request with the staged payload.
   * @param flags, names, timeout, metadata as RequestFrame has them
   */
  request(stream: number, flags: number, names: Uint8Array, timeout: number, metadata: Uint8Array): void {
    const length = this.#stagedLength;
    const at = this.#settle(names.length, metadata.length, true);
    if (at === 0) {
      this.push(new RequestFrame(stream, flags, names, this.#unstage(), timeout, metadata));
      return;
    }
    const { writer, output } = this.#memory;
    const low = timeout >>> 0;
    const high = Math.floor(timeout / 0x1_0000_0000) >>> 0;
    const payload = writer.request(at, output.end, stream, flags, names.length, length, low, high, metadata.length);
    if (!this.#isPlaced(payload)) return;
    writer.bytes.set(names, at + HEADER_BYTES);
    const end = writer.state[STATE_FRAME_END] as number;
    if (metadata.length > 0) writer.bytes.set(metadata, end - metadata.length);
    this.#append(end);
  }

  /** Sends a successful response with the staged payload. */
  response(stream: number): void {
    const length = this.#stagedLength;
    const at = this.#settle(0, 0, true);
    if (at === 0) {
      this.push(new ResponseFrame(stream, this.#unstage()));
      return;
    }
    const { writer, output } = this.#memory;
    const payload = writer.response(at, output.end, stream, length);
    if (this.#isPlaced(payload)) this.#append(payload + length);
  }

  /** Sends a data frame with the staged payload. */
  data(stream: number, flags: number): void {
    const length = this.#stagedLength;
    const at = this.#settle(0, 0, false);
    if (at === 0) {
      this.push(new DataFrame(stream, flags, this.#unstage()));
      return;
    }
    const { writer, output } = this.#memory;
    const payload = writer.data(at, output.end, stream, flags, length);
    if (this.#isPlaced(payload)) this.#append(payload + length);
  }

  /** Sends a frame that is complete. */
  push(frame: Frame): void {
    const at = frame.bytes <= BATCH_BYTES ? this.#open() : 0;
    if (at !== 0) {
      const end = frame.put(this.#memory.writer, at, this.#memory.output.end);
      if (end === 0) this.#break(`a frame takes more than the ${frame.bytes} bytes it claimed`);
      else this.#append(end);
      return;
    }
    if (this.#batchEnd !== 0) this.#sendBatch();
    this.#frames.push(frame);
    this.#bytes += frame.bytes;
    if (!this.#stalled) this.#schedule();
  }

  /** Writes what waits, as far as the peer takes it. */
  flush(): void {
    this.#scheduled = false;
    if (this.#batchEnd !== 0) this.#sendBatch();
    while (this.#frames.length > 0 && !this.#stalled) this.#sendFrames();
    if (this.#ending && this.#frames.length === 0) this.#socket.destroySoon();
  }

  /** Closes the socket once everything that waits has been taken. */
  end(): void {
    this.#ending = true;
    this.flush();
  }

  /** Opens a batch unless there is one. @returns where its next frame goes; 0: frames have to wait */
  #open(): number {
    if (this.#batchEnd !== 0) return this.#batchEnd;
    const { output } = this.#memory;
    if (this.#stalled || this.#frames.length > 0 || !output.acquire()) return 0;
    this.#holdsRegion = true;
    this.#batchEnd = output.base;
    this.#schedule();
    return this.#batchEnd;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Ticks run after all microtasks: every handler that settles in this turn joins the batch.
    process.nextTick(this.#tick);
  }

  /** Moves the staged payload to where its frame has it. @returns where the frame starts; 0: it does not fit */
  #settle(before: number, behind: number, tagged: boolean): number {
    if (this.#staged) return 0;
    const length = this.#stagedLength;
    const lengthBytes = length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
    const at = this.#batchEnd;
    const { writer, output } = this.#memory;
    if (length + before + behind + FRAME_OVERHEAD_BYTES > output.end - at) return 0;
    const place = at + HEADER_BYTES + before + (tagged && length > 0 ? 1 + lengthBytes : 0);
    if (tagged) this.#lengthBytes = lengthBytes;
    if (place !== this.#stagedAt && length > 0) writer.bytes.copyWithin(place, this.#stagedAt, this.#stagedAt + length);
    this.#stagedAt = place;
    return at;
  }

  /** The staged payload, apart from the region. */
  #unstage(): Uint8Array {
    return this.#staged ?? this.#memory.writer.bytes.slice(this.#stagedAt, this.#stagedAt + this.#stagedLength);
  }

  #isPlaced(payload: number): boolean {
    if (payload === this.#stagedAt) return true;
    this.#break(`a payload of ${this.#stagedLength} bytes at ${this.#stagedAt} has its place at ${payload}`);
    return false;
  }

  /** What cannot be: it costs the connection, not the process. */
  #break(what: string): void {
    this.#socket.destroy(new Error(what));
  }

  #append(end: number): void {
    this.#batchEnd = end;
    if (end - this.#memory.output.base > BATCH_BYTES) this.#sendBatch();
  }

  #sendBatch(): void {
    const { writer, output } = this.#memory;
    const end = this.#batchEnd;
    this.#batchEnd = 0;
    if (end === output.base || !this.#isWritable()) this.#release();
    else this.#write(writer.bytes.subarray(output.base, end));
  }

  /** Sends frames that waited: as many as make a batch, but at least one. */
  #sendFrames(): void {
    if (!this.#isWritable()) {
      this.#frames = [];
      this.#bytes = 0;
      return;
    }
    const { output, writer: shared } = this.#memory;
    let bytes = 0;
    let count = 0;
    for (const frame of this.#frames) {
      if (count > 0 && bytes + frame.bytes > OUTPUT_BYTES) break;
      bytes += frame.bytes;
      count++;
    }
    const region = bytes <= OUTPUT_BYTES && output.acquire();
    this.#holdsRegion = region;
    const writer = region ? shared : new JsWriter(new Uint8Array(bytes));
    const start = region ? output.base : 0;
    let at = start;
    for (let i = 0; i < count; i++) {
      const end = (this.#frames[i] as Frame).put(writer, at, start + bytes);
      if (end === 0) {
        this.#break(`a frame takes more than the ${this.#frames[i]?.bytes} bytes it claimed`);
        return;
      }
      at = end;
    }
    this.#frames.splice(0, count);
    this.#bytes -= bytes;
    this.#write(writer.bytes.subarray(start, at));
  }

  #isWritable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  #write(bytes: Uint8Array): void {
    this.#socket.write(bytes, this.#written);
    // libuv tries at once: nothing left means that the region may be used again.
    if (this.#socket.writableLength === 0) {
      this.#release();
      return;
    }
    this.#stalled = true;
    this.#onStall?.(true);
  }

  #drained(): void {
    // Writes that were taken at once report here too, a turn later.
    if (!this.#stalled || this.#socket.destroyed || this.#socket.writableLength > 0) return;
    this.#release();
    this.#stalled = false;
    this.flush();
    while (this.#bytes < MAX_STREAM_QUEUED_BYTES && this.#waiters.length > 0) this.#waiters.shift()?.();
    if (!this.#stalled) this.#onStall?.(false);
  }

  #release(): void {
    if (this.#holdsRegion) this.#memory.output.release();
    this.#holdsRegion = false;
    this.#batchEnd = 0;
  }
}
