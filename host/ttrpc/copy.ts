/**
 * A copy of [start, end) that may be kept. Small ones come from Node's shared pool: an ArrayBuffer of its own costs
 * more than the rest of a small call, in time and in memory until it is collected.
 */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const room = Buffer.allocUnsafe(end - start);
  const copy = new Uint8Array(room.buffer, room.byteOffset, room.length);
  copy.set(bytes.subarray(start, end));
  return copy;
}
