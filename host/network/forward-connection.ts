/** One forwarded connection: its bytes travel as those of a process's stdin and stdout. */
import type { Socket } from 'node:net';
import type { ProcessRef } from '../agent/client.ts';
import { native } from '../native.ts';
import { breakOff } from './break-off.ts';

/** Most bytes of one answer of the guest. */
export const READ_BYTES = 128 * 1024;
/** Reads, and writes, that are on their way at a time: the guest serves one while the next comes. */
const IN_FLIGHT = 2;
/**
 * How long a connection may be silent once its dialler will send no more, ms. One that is closed for good looks the same,
 * and may have left the other side waiting.
 */
export const HALF_CLOSED_MS = 300_000;

/** What of the agent's client is needed. */
export interface ForwardAgent {
  /** Connects to a port of the guest. @throws KataError `unavailable`: nothing listens; `unimplemented`: Kata's agent */
  openForward(id: string, port: number): Promise<void>;
  /** Ends a connection; reads that wait get the end of file. Idempotent. */
  closeForward(id: string): Promise<void>;
  read<Out>(stream: 'ReadStdout', process: ProcessRef, length: number, onData: (data: Uint8Array) => Out): Promise<Out>;
  writeStdin(process: ProcessRef, data: Uint8Array): Promise<number>;
  closeStdin(process: ProcessRef): Promise<void>;
}

/**
 * Carries a connection until both sides have ended it, or one has broken off.
 * @param socket paused, from a listener to which it was redirected
 * @throws KataError or Error when it was not made or has broken; the socket is the caller's to destroy then
 */
export async function carry(socket: Socket, family: 4 | 6, agent: ForwardAgent, id: string): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const port = native().originalPort(descriptorOf(socket), family);
  await agent.openForward(id, port);
  const process: ProcessRef = { container_id: '', exec_id: id };
  try {
    // Whoever breaks off ends the other direction too: a closed socket by the call below, a failure by the caller.
    await Promise.race([Promise.all([toGuest(socket, agent, process), fromGuest(socket, agent, process)]), closed]);
  } finally {
    void closed.then(() => agent.closeForward(id)).catch(() => {});
    // Neither side said goodbye.
    if (!socket.writableEnded) breakOff(socket);
  }
  await closed;
}

/** Resolves when the dialler has ended and the guest knows. */
function toGuest(socket: Socket, agent: ForwardAgent, process: ProcessRef): Promise<void> {
  let taken = true;
  let inFlight = 0;
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      if (!taken) return;
      // The guest answers when the listener has taken it.
      if (++inFlight >= IN_FLIGHT) socket.pause();
      const written = agent.writeStdin(process, chunk).catch(() => {
        // The listener reads no more, but may still have something to say. The rest is thrown away.
        taken = false;
      });
      void written.then(() => {
        inFlight--;
        socket.resume();
      });
    });
    socket.once('end', () => {
      socket.setTimeout(HALF_CLOSED_MS, () => breakOff(socket));
      agent.closeStdin(process).then(resolve, reject);
    });
    socket.resume();
  });
}

/** Resolves when the guest has ended and the dialler is told. */
async function fromGuest(socket: Socket, agent: ForwardAgent, process: ProcessRef): Promise<void> {
  // The guest answers reads in their order.
  const ask = (): Promise<Buffer> => {
    const answer = agent.read('ReadStdout', process, READ_BYTES, (view) => Buffer.from(view));
    answer.catch(() => {});
    return answer;
  };
  const asked = Array.from({ length: IN_FLIGHT }, ask);
  for (;;) {
    const data = await (asked.shift() as Promise<Buffer>);
    if (data.length === 0) break;
    asked.push(ask());
    if (!socket.write(data)) await drained(socket);
  }
  socket.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
    if (socket.destroyed) done();
  });
}

function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}
