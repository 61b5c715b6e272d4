/** Connections to programs that are about to listen. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Connects to a unix socket once somebody listens on it: its name is there a moment before. A test that waits for ever is killed. */
export async function reach(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const reached = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (reached) return socket;
    await sleep(5);
  }
}
