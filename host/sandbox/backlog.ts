/**
 * Copies of what a pipe has not taken. The memory that output arrives in serves all connections, so what one reader does not take has
 * to leave it. The copies' memory is kept for the next time: a reader that is a little slower than the guest makes some for every answer.
 */

/** Bytes of a buffer: what one read of the agent's channel brings. */
export const BACKLOG_BYTES = 256 * 1024;
/** What is not more than this gets memory of its own size, bytes: a stalled reader of single lines holds no more than those. */
export const SMALL_BYTES = 16 * 1024;
/** Buffers kept for later. */
export const MAX_SPARES = 4;

const spares: Uint8Array[] = [];

interface Chunk {
  readonly buffer: Uint8Array;
  /** Bytes that are gone, handed out, and there. */
  gone: number;
  out: number;
  end: number;
}

/** Bytes in the order they came. */
export class Backlog {
  /** Bytes that wait, those handed out among them. */
  bytes = 0;
  private chunks: Chunk[] = [];

  /** Copies bytes behind those that wait. */
  add(data: Uint8Array): void {
    this.bytes += data.length;
    for (let at = 0; at < data.length; ) {
      const chunk = this.room(data.length - at);
      const part = data.subarray(at, at + chunk.buffer.length - chunk.end);
      chunk.buffer.set(part, chunk.end);
      chunk.end += part.length;
      at += part.length;
    }
  }

  /** Hands out the first bytes; they stay valid until `taken` or `clear`. undefined: none wait. */
  next(): Uint8Array | undefined {
    const [chunk] = this.chunks;
    if (!chunk) return undefined;
    chunk.out = chunk.end;
    return chunk.buffer.subarray(chunk.gone, chunk.out);
  }

  /** What `next` gave is not needed any more. @returns how many bytes that were */
  taken(): number {
    const [chunk] = this.chunks;
    if (!chunk) return 0;
    const count = chunk.out - chunk.gone;
    chunk.gone = chunk.out;
    this.bytes -= count;
    if (chunk.gone === chunk.end) {
      this.chunks.shift();
      release(chunk);
    }
    return count;
  }

  /** Drops everything. Nothing may use what `next` gave any more. */
  clear(): void {
    for (const chunk of this.chunks.splice(0)) release(chunk);
    this.bytes = 0;
  }

  /** The last chunk if it has room, else a new one for so many bytes. */
  private room(bytes: number): Chunk {
    const last = this.chunks.at(-1);
    if (last && last.end < last.buffer.length) return last;
    const small = this.chunks.length === 0 && bytes <= SMALL_BYTES;
    const buffer = small ? new Uint8Array(bytes) : (spares.pop() ?? new Uint8Array(BACKLOG_BYTES));
    const chunk = { buffer, gone: 0, out: 0, end: 0 };
    this.chunks.push(chunk);
    return chunk;
  }
}

function release({ buffer }: Chunk): void {
  if (buffer.length === BACKLOG_BYTES && spares.length < MAX_SPARES) spares.push(buffer);
}
