/**
 * The shell of a Kata guest: its agent runs one, on a terminal, for whoever connects to its debug console's port. There is
 * nothing but bytes: no size, no status, no command.
 */
import type { Duplex } from 'node:stream';
import { KataError, reasonOf } from '../error.ts';
import { type ConsoleOrder, FRAME } from './console-frames.ts';
import type { Console, OnOutput } from './debug-console.ts';

/** Where Kata's agent has its shell. */
export const DEBUG_CONSOLE_PORT = 1026;
/** How long connecting may take, ms. */
const CONNECT_MS = 10_000;
/** What a terminal takes for the end of input; in the middle of a line the first one only ends the line. */
const END_OF_INPUT = Buffer.from([0x0a, 0x04]);

/** Connects to a port of the guest. @throws KataError */
export type Dial = (port: number, signal: AbortSignal) => Promise<Duplex>;

/** @throws KataError `unimplemented` for a command; `unavailable` where nothing listens */
export async function dialledConsole(dial: Dial, order: ConsoleOrder, onOutput: OnOutput): Promise<Console> {
  const { args, port = DEBUG_CONSOLE_PORT } = order;
  if (args.length > 0) {
    throw new KataError(
      'unimplemented',
      "a guest of Kata's has a shell but runs no commands for us: write them to its input, e.g. echo uname | kata-runtime exec SANDBOX",
    );
  }
  const socket = await dial(port, AbortSignal.timeout(CONNECT_MS)).catch((thrown) => {
    throw new KataError(
      'unavailable',
      `nobody answers on port ${port} of the guest: is its debug console that of Kata, and enabled since before the pod was started? (${reasonOf(thrown)})`,
    );
  });
  const status = (async (): Promise<number> => {
    for await (const chunk of socket) await onOutput(FRAME.stdout, chunk as Buffer);
    return 0;
  })();
  status.catch(() => {});
  return {
    status,
    close: () => void socket.destroy(),
    resize: () => {},
    end: () => void socket.write(END_OF_INPUT),
    write: (data) => written(socket, data),
  };
}

function written(socket: Duplex, data: Buffer): Promise<void> {
  if (socket.destroyed || socket.write(data)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}
