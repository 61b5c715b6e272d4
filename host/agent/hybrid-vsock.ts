/**
 * Vsock over a unix socket of the VMM or its vsock daemon: connect, `CONNECT <port>\n`, answer `OK <port>\n`.
 * https://github.com/firecracker-microvm/firecracker/blob/main/docs/vsock.md
 */
import { connect as connectSocket, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KataError, reasonOf } from '../error.ts';
import { escapeText } from '../tail.ts';
import type { AgentTransport, DeviceArguments } from './transport.ts';
import { AGENT_PORT } from './vsock.ts';

/** Longest answer to CONNECT, bytes with the line feed; `OK 4294967295\n` has 14. */
export const MAX_ANSWER_BYTES = 32;
/** What the answer may take, ms. */
export const ANSWER_MS = 10_000;
/** Between two attempts: until the agent listens, connections are just closed, ms. */
const RETRY_MS = 20;

export interface HybridVsockOptions {
  /** Path of the unix socket. */
  readonly path: string;
  /** Port on which the agent listens. */
  readonly port?: number;
  /** Gets the socket's server and QEMU's device ready; absent: somebody else has. */
  readonly serve?: { prepare(): Promise<DeviceArguments>; close(): void };
  /** Milliseconds for the answer to CONNECT. */
  readonly answerMs?: number;
}

export class HybridVsockTransport implements AgentTransport {
  readonly kind = 'hybrid-vsock';
  readonly address: string;
  readonly #options: HybridVsockOptions;
  readonly #port: number;
  #closed = false;

  constructor(options: HybridVsockOptions) {
    this.#options = options;
    this.#port = options.port ?? AGENT_PORT;
    this.address = `hvsock://${options.path}:${this.#port}`;
  }

  async prepare(): Promise<DeviceArguments> {
    if (this.#closed) throw new KataError('unavailable', 'the agent channel was closed');
    return (await this.#options.serve?.prepare()) ?? { arguments: [], fds: [] };
  }

  async connect(signal: AbortSignal): Promise<Socket> {
    let last = 'no attempt was made';
    while (!signal.aborted && !this.#closed) {
      try {
        return await this.#attempt(this.#port, signal);
      } catch (thrown) {
        last = reasonOf(thrown);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
    if (this.#closed) throw new KataError('unavailable', `the agent channel ${this.address} is closed`);
    throw new KataError('deadline_exceeded', `timed out connecting to hybrid vsocket ${this.address} (${last})`);
  }

  async dial(port: number, signal: AbortSignal): Promise<Socket> {
    try {
      return await this.#attempt(port, signal);
    } catch (thrown) {
      throw new KataError('unavailable', `hybrid vsocket ${this.#options.path}, port ${port}: ${reasonOf(thrown)}`);
    }
  }

  close(): void {
    this.#closed = true;
    this.#options.serve?.close();
  }

  /** Reads byte by byte what little there is: what follows the line belongs to the caller's protocol. */
  #attempt(port: number, signal: AbortSignal): Promise<Socket> {
    const socket = connectSocket(this.#options.path);
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        finish();
        socket.on('error', () => {});
        socket.destroy();
        reject(new Error(reason));
      };
      const onError = (error: Error): void => fail(error.message);
      const onEnd = (): void => fail('the connection was closed: nobody listens on the port yet');
      const onAbort = (): void => fail('the time is over');
      const timer = setTimeout(() => fail('no answer to CONNECT'), this.#options.answerMs ?? ANSWER_MS);
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        socket.off('error', onError).off('end', onEnd).off('close', onEnd).off('readable', onReadable);
      };
      let answer = '';
      const onReadable = (): void => {
        while (!answer.endsWith('\n') && answer.length < MAX_ANSWER_BYTES) {
          const byte: Buffer | null = socket.read(1);
          if (byte === null) return;
          answer += byte.toString('latin1');
        }
        if (/^OK \d+\r?\n$/.test(answer)) {
          finish();
          resolve(socket);
        } else fail(`"${escapeText(answer.trim())}" in answer to CONNECT`);
      };
      signal.addEventListener('abort', onAbort);
      socket.on('error', onError).on('end', onEnd).on('close', onEnd).on('readable', onReadable);
      socket.write(`CONNECT ${port}\n`);
    });
  }
}
