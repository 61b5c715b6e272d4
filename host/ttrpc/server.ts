/** A ttrpc server: any number of services on any number of connections. Unary methods only; answers go out in any order. */
import type { Server } from 'node:net';
import { Dispatch } from './dispatch.ts';
import { ServerConnection } from './server-connection.ts';
import { acceptConnections } from './socket.ts';
import type { Service } from './types.ts';

/** Most connections at a time; further ones are refused. containerd holds one or two. */
export const MAX_CONNECTIONS = 256;

export interface ServerOptions {
  /**
   * Asked for every connection with its descriptor (-1 if unknown): false refuses. For peer credentials.
   */
  readonly admit?: (fd: number) => boolean;
  readonly logger?: { warn(message: string): void };
}

export class TtrpcServer {
  readonly #dispatch: Dispatch;
  readonly #options: ServerOptions;
  readonly #connections = new Set<ServerConnection>();
  readonly #listeners = new Set<Server>();
  #closed = false;

  /** @param services of distinct names; were two the same, the earlier one's methods would be found first */
  constructor(services: readonly Service[], options: ServerOptions = {}) {
    this.#dispatch = new Dispatch(services);
    this.#options = options;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Serves what connects to a server that is listening already. It belongs to this object from then on. */
  adopt(server: Server): void {
    this.#listeners.add(server);
    acceptConnections(server, (accepted) => {
      const refusal = this.#refusal(accepted.fd);
      if (refusal) {
        this.#options.logger?.warn(`ttrpc: connection refused: ${refusal}`);
        accepted.refuse();
        return;
      }
      const connection = new ServerConnection(accepted, this.#dispatch);
      this.#connections.add(connection);
      connection.closed.then(() => this.#connections.delete(connection));
    });
  }

  /**
   * Stops listening, delivers the answers that are ready, aborts the calls under way and closes every connection.
   * Settles when all are closed. Idempotent.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
    const connections = [...this.#connections];
    for (const connection of connections) connection.close();
    await Promise.all(connections.map((connection) => connection.closed));
  }

  #refusal(fd: number): string | undefined {
    if (this.#closed) return 'the server is closed';
    if (this.#connections.size >= MAX_CONNECTIONS) return `${MAX_CONNECTIONS} connections are open`;
    if (this.#options.admit?.(fd) === false) return 'the peer is not allowed to connect';
    return undefined;
  }
}
