/**
 * Messages read from and written into the memory of frames where they stand: a buffer, a view and a copy for each
 * would cost more than a small call.
 */
import type { Init, MessageType, ScalarType } from '../proto/codec.ts';
import { Reader, readMessage } from '../proto/read.ts';
import { Writer, writeMessage } from '../proto/write.ts';
import { copyOf } from './copy.ts';

/** Longest string that is looked through for other than ASCII characters, bytes; TextDecoder is faster beyond. */
const SHORT_STRING_BYTES = 64;

/** Reads messages of memory that others write to afterwards: `bytes` fields are copies. */
class PayloadReader extends Reader {
  readonly #text: Buffer;

  constructor(memory: Uint8Array) {
    super(memory);
    this.#text = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
  }

  override scalar(kind: ScalarType, end: number): unknown {
    if (kind === 'bytes') {
      const length = this.length(end);
      this.pos += length;
      return copyOf(this.data, this.pos - length, this.pos);
    }
    if (kind === 'string') {
      const start = this.pos;
      const length = this.length(end);
      const from = this.pos;
      if (length <= SHORT_STRING_BYTES && this.#isAscii(from, from + length)) {
        this.pos = from + length;
        return length === 0 ? '' : this.#text.toString('latin1', from, this.pos);
      }
      this.pos = start;
    }
    return super.scalar(kind, end);
  }

  #isAscii(start: number, end: number): boolean {
    for (let p = start; p < end; p++) if ((this.data[p] as number) > 0x7f) return false;
    return true;
  }
}

/** Nearly all frames are in one memory, and its reader is made once; a large frame's own goes with it. */
const readers = new WeakMap<Uint8Array, PayloadReader>();

/**
 * Decodes the message in [start, end) of `memory`. `bytes` fields are copies and may be kept.
 * @throws ProtoError as `decode` does
 */
export function readPayload<T>(type: MessageType<T>, memory: Uint8Array, start: number, end: number): T {
  let reader = readers.get(memory);
  if (!reader) {
    reader = new PayloadReader(memory);
    readers.set(memory, reader);
  }
  reader.pos = start;
  reader.elements = 0;
  return readMessage(reader, type as MessageType<unknown>, end, undefined, 0) as T;
}

/** Writes messages into a region; one that does not fit there goes to memory of its own. */
export class PayloadWriter extends Writer {
  readonly #region: Uint8Array;

  /** @param region where messages go: addresses are indexes of it */
  constructor(region: Uint8Array) {
    super();
    this.#region = region;
  }

  /**
   * Encodes a message at `at`, or elsewhere if it does not fit.
   * @returns undefined where it stands in the region, from `at` to `pos`; else the message
   * @throws ProtoError as `encode` does
   */
  write<T>(type: MessageType<T>, message: Init<T>, at: number): Uint8Array | undefined {
    this.buffer = this.#region;
    this.pos = at;
    writeMessage(this, type as MessageType<unknown>, message as Record<string, unknown>, 0);
    const { buffer } = this;
    if (buffer === this.#region) return undefined;
    this.buffer = this.#region;
    return buffer.subarray(at, this.pos);
  }
}
