/** A shell in our own guest, by its agent: its bytes travel as those of a process. */
import type { ProcessRef } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { ConsoleOpenRequest } from '../proto/messages/console.ts';
import { type ConsoleOrder, DATA_BYTES, FRAME } from './console-frames.ts';
import type { Console, OnOutput } from './debug-console.ts';

/** Most bytes of one answer of the guest. */
const READ_BYTES = 128 * 1024;

/** What of the agent's client is needed. */
export interface ConsoleAgent {
  /** @throws KataError `permission_denied` by a guest that does not allow it */
  openConsole(request: Init<ConsoleOpenRequest>): Promise<void>;
  resizeConsole(id: string, rows: number, columns: number): Promise<void>;
  /** No deadline. */
  waitConsole(id: string): Promise<number>;
  /** Idempotent. */
  closeConsole(id: string): Promise<void>;
  read<Out>(
    stream: 'ReadStdout' | 'ReadStderr',
    process: ProcessRef,
    length: number,
    onData: (data: Uint8Array) => Out,
  ): Promise<Out>;
  writeStdin(process: ProcessRef, data: Uint8Array): Promise<number>;
  closeStdin(process: ProcessRef): Promise<void>;
}

/**
 * Opens a shell, or runs a command.
 * @param id not used before in this guest
 * @throws KataError
 */
export async function agentConsole(
  agent: ConsoleAgent,
  id: string,
  order: ConsoleOrder,
  onOutput: OnOutput,
): Promise<Console> {
  const { args, terminal, rows, columns, term } = order;
  await agent.openConsole({ exec_id: id, args: [...args], terminal, rows, columns, term });
  const process: ProcessRef = { container_id: '', exec_id: id };
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    // With the guest gone there is nothing left to close.
    agent.closeConsole(id).catch(() => {});
  };
  const outputs = [pump(agent, 'ReadStdout', process, (data) => onOutput(FRAME.stdout, data))];
  if (!terminal) outputs.push(pump(agent, 'ReadStderr', process, (data) => onOutput(FRAME.stderr, data)));
  const status = Promise.all([agent.waitConsole(id), ...outputs]).then(([code]) => code);
  status.then(close, close);
  return {
    status,
    close,
    resize: (height, width) => void agent.resizeConsole(id, height, width).catch(() => {}),
    end: () => void agent.closeStdin(process).catch(() => {}),
    write: async (data) => {
      // A process that has ended, or reads no more, says so by its end.
      await agent.writeStdin(process, data).catch((thrown) => reasonOf(thrown));
    },
  };
}

/** Hands over output until its end. The guest answers reads in their order; while one is handed over, the next is made. */
async function pump(
  agent: ConsoleAgent,
  stream: 'ReadStdout' | 'ReadStderr',
  process: ProcessRef,
  take: (data: Buffer) => Promise<void> | void,
): Promise<void> {
  const ask = (): Promise<Buffer> => {
    const answer = agent.read(stream, process, READ_BYTES, (view) => Buffer.from(view));
    answer.catch(() => {});
    return answer;
  };
  let next = ask();
  for (;;) {
    const data = await next;
    if (data.length === 0) return;
    next = ask();
    for (let at = 0; at < data.length; at += DATA_BYTES) await take(data.subarray(at, at + DATA_BYTES));
  }
}
