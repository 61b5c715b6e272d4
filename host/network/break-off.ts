import type { Socket } from 'node:net';

/** Ends a connection so that the other side sees it broken, not ended; what is still to be written is thrown away. */
export function breakOff(socket: Socket): void {
  if (socket.destroyed) return;
  // By itself it waits until all is written.
  socket.resetAndDestroy();
  socket.destroy();
}
