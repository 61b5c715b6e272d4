/** Copies share buffers of so many bytes; a copy of more than half of that has one of its own. */
export const POOL_BYTES = 64 * 1024;

let pool = new ArrayBuffer(0);
let used = 0;

/**
 * A copy of [start, end) that may be kept. Small ones share a buffer: an ArrayBuffer of its own costs more than the rest of
 * a small call, in time and in memory until it is collected; Node's pool hands out slower objects.
 */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  if (length > POOL_BYTES / 2) return bytes.slice(start, end);
  if (length > pool.byteLength - used) {
    pool = new ArrayBuffer(POOL_BYTES);
    used = 0;
  }
  const copy = new Uint8Array(pool, used, length);
  // Aligned, so that a later copy of any kind is.
  used = (used + length + 7) & ~7;
  copy.set(bytes.subarray(start, end));
  return copy;
}
