/**
 * A sandbox's management socket. It listens as soon as there is anything to be told, and costs nothing but that: what answers is loaded
 * when somebody connects for the first time.
 */
import { writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';
import { claimLink, releaseLink } from '../sandbox/monitor-link.ts';
import type { Door } from '../sandbox/vm.ts';
import type { Managed } from '../shim/boot.ts';
import type { HttpServer } from './server.ts';

/** Most connections that wait for what answers them to be loaded. */
const BACKLOG = 16;

export interface EndpointOptions {
  readonly managed: Managed;
  /** The bundle, where containerd's users find the address; empty: nobody is told. */
  readonly bundle: string;
  /** Whether a connection's peer may ask; by its descriptor, -1 where that is not known. */
  readonly admit: (fd: number) => boolean;
}

export class Endpoint implements Door {
  readonly #options: EndpointOptions;
  readonly #log: Log;
  readonly #path: string;
  readonly #link: string;
  #listener: Server | undefined;
  #answering: Promise<HttpServer> | undefined;
  #closed = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const { description, log } = options.managed;
    this.#log = log;
    this.#path = description.monitor ?? '';
    this.#link = description.monitorLink ?? '';
  }

  /** Begins to listen. A sandbox whose socket cannot be made runs without: that is logged. */
  open(): void {
    if (this.#listener || this.#closed || this.#path === '') return;
    const listener = createServer((socket) => this.#accept(socket));
    listener.on('error', (error) => this.#log.warn('nobody can look in', { error: error.message }));
    listener.unref();
    this.#listener = listener;
    // libuv makes the file within this call, so its mode is the umask's.
    const umask = process.umask(0o177);
    listener.listen({ path: this.#path, backlog: BACKLOG });
    process.umask(umask);
    this.#tell();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    releaseLink(this.#link, this.#path);
    this.#listener?.close();
    void this.#answering?.then((server) => server.close());
  }

  /** Where Kata's tools look for it. */
  #tell(): void {
    const { bundle } = this.#options;
    try {
      if (this.#link && !claimLink(this.#link, this.#path)) {
        this.#log.info("another sandbox of this id has the place where Kata's tools look", { link: this.#link });
      }
      if (bundle) writeFileSync(join(bundle, 'monitor_address'), `unix://${this.#path}`, { mode: 0o600 });
    } catch (thrown) {
      this.#log.warn('the address of the management socket cannot be made known', { error: reasonOf(thrown) });
    }
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
    if (this.#closed || !this.#options.admit(fd)) {
      if (!this.#closed) this.#log.warn('management: the peer of a connection is not allowed to ask');
      socket.destroy();
      return;
    }
    this.#answering ??= this.#load();
    this.#answering.then(
      (server) => server.take(socket),
      (thrown) => {
        this.#log.error('management: what answers cannot be loaded', { error: reasonOf(thrown) });
        socket.destroy();
      },
    );
  }

  async #load(): Promise<HttpServer> {
    const { HttpServer } = await import('./server.ts');
    const { routesOf } = await import('./routes.ts');
    return new HttpServer(routesOf(this.#options.managed), this.#log);
  }
}
