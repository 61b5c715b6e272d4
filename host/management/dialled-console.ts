/**
 * The shell of a Kata guest: its agent runs one, on a terminal, for whoever connects to its debug console's port. There is nothing but
 * bytes: it is told no size and gives no status; a command is typed into it.
 */
import type { Duplex } from 'node:stream';
import { KataError, reasonOf } from '../error.ts';
import { type ConsoleOrder, FRAME } from './console-frames.ts';
import type { Console, OnOutput } from './debug-console.ts';
import { TypedCommand } from './typed-command.ts';

/** Where Kata's agent has its shell. */
export const DEBUG_CONSOLE_PORT = 1026;
/** How long connecting may take, and a shell until it begins a command, ms. */
const PATIENCE_MS = 10_000;
/** What a terminal takes for the end of input; in the middle of a line the first one only ends the line. */
const END_OF_INPUT = 0x04;
const LINE_FEED = 0x0a;

/** Connects to a port of the guest. @throws KataError */
export type Dial = (port: number, signal: AbortSignal) => Promise<Duplex>;

/** @throws KataError `unavailable` where nothing listens; `invalid_argument` for a command that cannot be typed */
export async function dialledConsole(dial: Dial, order: ConsoleOrder, onOutput: OnOutput): Promise<Console> {
  const { args, port = DEBUG_CONSOLE_PORT } = order;
  const command = args.length > 0 ? new TypedCommand(args) : undefined;
  const socket = await dial(port, AbortSignal.timeout(PATIENCE_MS)).catch((thrown) => {
    throw new KataError(
      'unavailable',
      `nobody answers on port ${port} of the guest: is its debug console that of Kata, and enabled since before the pod was started? (${reasonOf(thrown)})`,
    );
  });
  if (command) socket.write(command.line);
  const status = command ? statusOf(socket, command, onOutput) : passOn(socket, onOutput);
  status.catch(() => {});
  let last = LINE_FEED;
  return {
    status,
    close: () => void socket.destroy(),
    resize: () => {},
    end: () => {
      const marks = last === LINE_FEED ? [END_OF_INPUT] : [END_OF_INPUT, END_OF_INPUT];
      void command?.begun.then(() => socket.write(Buffer.from(marks)));
      if (!command) socket.write(Buffer.from(marks));
    },
    write: async (data) => {
      last = data[data.length - 1] ?? last;
      await command?.begun;
      await written(socket, data);
    },
  };
}

async function passOn(socket: Duplex, onOutput: OnOutput): Promise<number> {
  for await (const chunk of socket) await onOutput(FRAME.stdout, chunk as Buffer);
  return 0;
}

async function statusOf(socket: Duplex, command: TypedCommand, onOutput: OnOutput): Promise<number> {
  const late = setTimeout(
    () => socket.destroy(new KataError('unavailable', 'the shell does not begin the command')),
    PATIENCE_MS,
  );
  late.unref();
  void command.begun.then(() => clearTimeout(late));
  try {
    for await (const chunk of socket) {
      const data = command.take(chunk as Buffer);
      if (data.length > 0) await onOutput(FRAME.stdout, data);
      if (command.status !== undefined) return command.status;
    }
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
  throw new KataError('unavailable', 'the shell ended before the command did');
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
