/**
 * Port-forwarding: whoever connects to a loopback address in the pod's namespace on the host (containerd does, for
 * `kubectl port-forward`) reaches the guest's. Costs two listening sockets until it is used.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { reasonOf } from '../error.ts';
import { native } from '../native.ts';
import { breakOff } from './break-off.ts';
import type { ForwardAgent } from './forward-connection.ts';
import type { NetworkLog } from './log.ts';
import { type LoopbackPorts, redirectLoopback, removeRedirection } from './nftables.ts';

export type { ForwardAgent } from './forward-connection.ts';

/** Most connections of one pod at a time; the guest's agent takes no more. */
export const MAX_CONNECTIONS = 256;
const BACKLOG = 64;

export interface ForwardOptions {
  /** Path of the pod's network namespace; empty: the shim's own, where nothing is forwarded. */
  readonly namespace: string;
  /** The guest's agent; undefined while or once there is none. */
  readonly agent: () => ForwardAgent | undefined;
  readonly log: NetworkLog;
}

export class PortForwarder {
  readonly #options: ForwardOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #serial = 0;

  constructor(options: ForwardOptions) {
    this.#options = options;
  }

  /**
   * Listens, and redirects to itself. Where that cannot be done, the pod goes on without: a warning says why.
   * @returns whether connections are forwarded
   */
  start(): boolean {
    const { namespace, log } = this.#options;
    if (namespace === '' || this.#servers.length > 0) return this.#servers.length > 0;
    try {
      redirectLoopback(namespace, { 4: this.#listen(4), 6: this.#listen(6) } satisfies LoopbackPorts);
      if (this.#servers.length > 0) return true;
      log.warn('ports of the pod are not forwarded: the namespace has no loopback address', { namespace });
    } catch (thrown) {
      log.warn('ports of the pod are not forwarded: the kernel needs nf_tables with NAT', {
        namespace,
        error: reasonOf(thrown),
      });
    }
    this.#closeServers();
    return false;
  }

  /** Ends all connections and removes the redirection. Idempotent. */
  close(): void {
    const { namespace, log } = this.#options;
    const redirected = this.#servers.length > 0;
    this.#closeServers();
    // Before the rules go: without them the other side would not know whom the end comes from.
    for (const socket of this.#sockets) breakOff(socket);
    if (redirected) {
      try {
        removeRedirection(namespace);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') {
          log.warn('cannot remove the redirection of ports', { namespace, error: reasonOf(thrown) });
        }
      }
    }
  }

  /** @returns the port; undefined for an address the namespace does not have */
  #listen(family: 4 | 6): number | undefined {
    const { inNetworkNamespace, listenLoopback } = native();
    let listener: { fd: number; port: number };
    try {
      listener = inNetworkNamespace(this.#options.namespace, () => listenLoopback(family, BACKLOG));
    } catch (thrown) {
      if (['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw thrown;
    }
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      void this.#accept(socket, family);
    });
    server.on('error', (error) => this.#options.log.warn('port-forwarding', { error: error.message }));
    server.listen({ fd: listener.fd });
    // The sandbox decides how long this process lives.
    server.unref();
    this.#servers.push(server);
    return listener.port;
  }

  async #accept(socket: Socket, family: 4 | 6): Promise<void> {
    socket.on('error', () => {});
    const agent = this.#options.agent();
    if (!agent || this.#sockets.size >= MAX_CONNECTIONS) {
      this.#options.log.warn('a connection to a port of the pod is refused', {
        reason: agent ? `${MAX_CONNECTIONS} connections are open` : 'the guest is not there',
      });
      breakOff(socket);
      return;
    }
    this.#sockets.add(socket);
    const id = `forward-${++this.#serial}`;
    try {
      const { carry } = await import('./forward-connection.ts');
      await carry(socket, family, agent, id);
    } catch (thrown) {
      this.#options.log.info('a connection to a port of the pod has failed', { error: reasonOf(thrown) });
      breakOff(socket);
    } finally {
      this.#sockets.delete(socket);
    }
  }

  #closeServers(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }
}
