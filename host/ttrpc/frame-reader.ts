/**
 * Makes frames of one connection's bytes. All connections read into the one window in WASM memory, because a read is
 * handled before the next begins; what is left of an incomplete frame waits outside it, so an idle connection holds nothing.
 */
import {
  FAULT_OVERSIZE,
  MAX_RECORDS,
  RECORD_FAULT,
  RECORD_PAYLOAD_LENGTH,
  RECORD_WORDS,
  STATE_CONSUMED,
  STATE_NEEDED,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../assembly/layout.ts';
import { JsScanner } from './frame-scanner.ts';
import type { FrameScanner } from './frames.ts';
import { frameMemory } from './memory.ts';
import type { Reads } from './socket.ts';

/**
 * Takes a frame: the record starts at word `record` of `scanner.records`. All of it is valid until this returns.
 * The data of an oversized frame is skipped.
 * @returns false if nothing more is wanted of this connection
 */
export type OnFrame = (scanner: FrameScanner, record: number) => boolean;

/**
 * Takes a frame's data while it arrives. What it is given is valid only until it returns.
 */
export interface Pieces {
  /** Address of the first byte that is wanted; from there on everything is, to the frame's end. */
  readonly start: number;
  piece(data: Uint8Array): void;
}

/** What the reader gives them to. */
export interface PieceTaker extends Pieces {
  /** The frame has arrived. @returns false if nothing more is wanted of this connection */
  end(): boolean;
}

/** Looks at an incomplete frame, of which [start, end) has arrived, header included. undefined: it is kept until it is complete. */
export type OnPart<T extends Pieces = Pieces> = (scanner: FrameScanner, start: number, end: number) => T | undefined;

/** A frame's header and the heads of what it holds, bytes at most: with less, whoever looks at it may be unable to tell what it is. */
const HEADS_BYTES = 64;

/**
 * Frames of one read from which on they are handed over in two halves, and what the first leads to may go out before the
 * second: the peer works on it meanwhile. With fewer the second write costs more than is won.
 */
const HALVES_FRAMES = 32;

/** One buffer for tails, kept for the next connection that needs one. */
let spare: Uint8Array | undefined;

export class FrameReader implements Reads {
  readonly #onFrame: OnFrame;
  readonly #onPart: OnPart<PieceTaker> | undefined;
  readonly #scanner: FrameScanner;
  readonly #window: Uint8Array;
  /** An incomplete frame that fits the window: its first #held bytes. */
  #tail: Uint8Array | undefined;
  /** Bytes of the tail's frame, where nobody needs to look at it before all of them are there; else 0. */
  #wanted = 0;
  /** An incomplete frame larger than the window; read in place. */
  #large: Uint8Array | undefined;
  /** Bytes of the incomplete frame that have arrived. */
  #held = 0;
  /** Bytes of an oversized frame still to be skipped. */
  #skip = 0;
  /** Takes what arrives: the next #left bytes. */
  #pieces: PieceTaker | undefined;
  #left = 0;
  /** The second half of a batch: the last scan's records [#next, #count). #next is 0: there is none. */
  #next = 0;
  #count = 0;
  #closed = false;

  constructor(onFrame: OnFrame, onPart?: OnPart<PieceTaker>) {
    const { scanner, window } = frameMemory();
    this.#onFrame = onFrame;
    this.#onPart = onPart;
    this.#scanner = scanner;
    this.#window = window;
  }

  buffer(): Uint8Array {
    if (this.#large) return this.#large.subarray(this.#held);
    // The tail is put before the new bytes once they are there: others use the window meanwhile.
    return this.#held === 0 ? this.#window : this.#window.subarray(this.#held);
  }

  received(length: number): void {
    if (this.#closed) return;
    if (this.#large) {
      this.#receivedLarge(this.#large, length);
      return;
    }
    const held = this.#held + length;
    if (this.#tail && held < this.#wanted) {
      this.#tail.set(this.#window.subarray(this.#held, held), this.#held);
      this.#held = held;
      return;
    }
    const end = WINDOW_BASE + held;
    if (this.#tail) this.#window.set(this.#tail.subarray(0, this.#held));
    const start = this.#pieces ? this.#pass(this.#pieces, end) : WINDOW_BASE;
    if (this.#closed || this.#pieces) return;
    this.#deliver(start, end);
  }

  /** Whether a second half of what was read waits for `handRest`. */
  get hasRest(): boolean {
    return this.#next > 0;
  }

  /** Hands it over. The memory has to be as `received` left it. */
  handRest(): void {
    const from = this.#next;
    this.#next = 0;
    if (from > 0 && !this.#closed) this.#hand(from, this.#count);
  }

  /** Wants no more. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#release();
    this.#large = undefined;
    this.#pieces = undefined;
  }

  /** Hands over what has arrived of a frame; returns where the next one starts. */
  #pass(pieces: PieceTaker, end: number): number {
    const stop = Math.min(WINDOW_BASE + this.#left, end);
    this.#left -= stop - WINDOW_BASE;
    pieces.piece(this.#window.subarray(0, stop - WINDOW_BASE));
    if (this.#left > 0 || this.#closed) return end;
    this.#pieces = undefined;
    if (!pieces.end()) this.close();
    return stop;
  }

  #receivedLarge(large: Uint8Array, length: number): void {
    this.#held += length;
    if (this.#held < large.length) return;
    this.#large = undefined;
    this.#held = 0;
    const scanner = new JsScanner(large, 1);
    scanner.scan(0, large.length);
    if (!this.#onFrame(scanner, 0)) this.close();
  }

  /** Delivers the complete frames of [start, end), or half of them, and keeps the incomplete one behind them. */
  #deliver(start: number, end: number): void {
    const { state } = this.#scanner;
    let at = start;
    for (;;) {
      const skipped = Math.min(this.#skip, end - at);
      this.#skip -= skipped;
      at += skipped;
      const count = this.#scanner.scan(at, end);
      at = state[STATE_CONSUMED] as number;
      if (count === 0) break;
      if (count >= HALVES_FRAMES && this.#isLast(count)) {
        if (!this.#hand(0, count >>> 1)) return;
        this.#next = count >>> 1;
        this.#count = count;
        break;
      }
      if (!this.#hand(0, count)) return;
    }
    this.#keep(at, end);
  }

  /** Whether only an incomplete frame is behind the records of a scan. */
  #isLast(count: number): boolean {
    const last = (count - 1) * RECORD_WORDS;
    return count < MAX_RECORDS && this.#scanner.records[last + RECORD_FAULT] !== FAULT_OVERSIZE;
  }

  /** Hands over records. @returns false if no more is wanted */
  #hand(from: number, to: number): boolean {
    const { records } = this.#scanner;
    for (let i = from; i < to; i++) {
      const record = i * RECORD_WORDS;
      if (records[record + RECORD_FAULT] === FAULT_OVERSIZE)
        this.#skip = records[record + RECORD_PAYLOAD_LENGTH] as number;
      if (!this.#onFrame(this.#scanner, record)) {
        this.close();
        return false;
      }
    }
    return true;
  }

  /** Keeps the incomplete frame [start, end) for the next read. */
  #keep(start: number, end: number): void {
    const { bytes, state } = this.#scanner;
    const needed = state[STATE_NEEDED] as number;
    this.#held = end - start;
    // Pieces would come before the second half of the batch, which is before them.
    const begins = this.#next === 0;
    if (this.#held === 0) this.#release();
    else if (needed > 0 && begins && this.#begin(start, end, needed)) this.#release();
    else if (needed > WINDOW_BYTES && begins && (!this.#onPart || this.#held >= HEADS_BYTES)) {
      this.#release();
      this.#large = new Uint8Array(needed);
      this.#large.set(bytes.subarray(start, end));
    } else {
      if (!this.#tail) {
        this.#tail = spare ?? new Uint8Array(WINDOW_BYTES);
        spare = undefined;
      }
      this.#tail.set(bytes.subarray(start, end));
      this.#wanted = begins && this.#held >= HEADS_BYTES ? needed : 0;
    }
  }

  /** Whether the frame that takes `needed` bytes from `start` on goes out in pieces. */
  #begin(start: number, end: number, needed: number): boolean {
    const pieces = this.#onPart?.(this.#scanner, start, end);
    if (!pieces) return false;
    this.#held = 0;
    this.#left = start + needed - end;
    this.#pieces = pieces;
    if (end > pieces.start) pieces.piece(this.#scanner.bytes.subarray(pieces.start, end));
    return true;
  }

  #release(): void {
    if (this.#tail) spare = this.#tail;
    this.#tail = undefined;
  }
}
