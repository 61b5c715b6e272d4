/**
 * Copies of what a pipe has not taken. The memory that output arrives in serves all connections, so what one reader does not take has
 * to leave it. Large copies share a few buffers: a reader that is a little slower than the guest makes one for every answer.
 */

/** Bytes of a shared buffer: what one read of the agent's channel brings. */
export const BACKLOG_BYTES = 256 * 1024;
/** Copies up to this size have memory of their own, bytes. */
export const SMALL_BYTES = 16 * 1024;
/** Shared buffers kept for later. */
export const MAX_SPARES = 4;

const spares: Uint8Array[] = [];

/** A copy, and the way to give its memory back. */
export interface Kept {
  readonly bytes: Uint8Array;
  /** Nothing uses `bytes` any more. Call it once. */
  release(): void;
}

/** Copies bytes that wait. */
export function keep(data: Uint8Array): Kept {
  // A Buffer's slice() would be a view.
  if (data.length <= SMALL_BYTES || data.length > BACKLOG_BYTES)
    return { bytes: new Uint8Array(data), release: () => {} };
  const buffer = spares.pop() ?? new Uint8Array(BACKLOG_BYTES);
  buffer.set(data);
  return {
    bytes: buffer.subarray(0, data.length),
    release: () => {
      if (spares.length < MAX_SPARES) spares.push(buffer);
    },
  };
}
