/** The agent of a machine that somebody else made: a unix socket of theirs leads to it, without any greeting. */
import { connect as connectSocket, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KataError, reasonOf } from '../error.ts';
import type { AgentTransport, DeviceArguments } from './transport.ts';

/** Between two attempts, ms: the socket may come into being after the machine has. */
const RETRY_MS = 20;

export class RemoteTransport implements AgentTransport {
  readonly kind = 'remote';
  readonly #path: () => string;
  #closed = false;

  /** @param path of the socket; known once the machine has been created */
  constructor(path: () => string) {
    this.#path = path;
  }

  get address(): string {
    return `remote://${this.#path()}`;
  }

  async prepare(): Promise<DeviceArguments> {
    if (this.#closed) throw new KataError('unavailable', 'the agent channel was closed');
    return { arguments: [], fds: [] };
  }

  async connect(signal: AbortSignal): Promise<Socket> {
    let last = 'no attempt was made';
    while (!signal.aborted && !this.#closed) {
      try {
        return await attempt(this.#path(), signal);
      } catch (thrown) {
        last = reasonOf(thrown);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
    if (this.#closed) throw new KataError('unavailable', `the agent channel ${this.address} is closed`);
    throw new KataError('deadline_exceeded', `timed out connecting to remote sock ${this.address} (${last})`);
  }

  close(): void {
    this.#closed = true;
  }
}

function attempt(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connectSocket(path);
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', fail).off('connect', done);
    };
    const fail = (error: Error): void => {
      finish();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(new Error('the time is over'));
    const done = (): void => {
      finish();
      resolve(socket);
    };
    signal.addEventListener('abort', onAbort);
    socket.on('error', fail).on('connect', done);
  });
}
