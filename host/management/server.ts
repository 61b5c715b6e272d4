/**
 * HTTP for connections that somebody else accepts. Each carries one request, and has so long for it and no longer: whoever is slow
 * holds up nobody.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { KataError, reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';
import { type Answered, failed, TEXT } from './answer.ts';
import type { Routes } from './route.ts';

/** Most connections at a time. */
export const MAX_CONNECTIONS = 32;
/** Most of them that have become something else, such as a console. */
export const MAX_UPGRADED = 8;
/** What a request's head may have, bytes. */
export const MAX_HEAD_BYTES = 8 * 1024;
/** What a whole request may take to arrive, ms. */
export const ASK_MS = 10_000;
/** What an answer may take from then until its last byte is taken, ms: longer than any call to the guest. */
export const ANSWER_MS = 60_000;

interface Connection {
  /** Whether its request has not come as a whole yet. */
  asking: boolean;
  timer: NodeJS.Timeout;
}

/** Times and counts that tests shorten. */
export interface HttpLimits {
  readonly maxConnections: number;
  readonly askMs: number;
  readonly answerMs: number;
}

const LIMITS: HttpLimits = { maxConnections: MAX_CONNECTIONS, askMs: ASK_MS, answerMs: ANSWER_MS };
/** Any host, one request a connection; how long that may take is measured here. */
const HTTP: ServerOptions = {
  maxHeaderSize: MAX_HEAD_BYTES,
  requireHostHeader: false,
  headersTimeout: 0,
  requestTimeout: 0,
  keepAlive: false,
};

export class HttpServer {
  readonly #http: Server;
  readonly #routes: Routes;
  readonly #log: Log;
  readonly #limits: HttpLimits;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #upgraded = new Set<Duplex>();
  #closed = false;

  constructor(routes: Routes, log: Log, limits: Partial<HttpLimits> = {}) {
    this.#routes = routes;
    this.#log = log;
    this.#limits = { ...LIMITS, ...limits };
    this.#http = createServer(HTTP, (request, response) => void this.#serve(request, response));
    this.#http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
    this.#http.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
      refuse(
        socket,
        status,
        status === 431 ? `the request's head exceeds ${MAX_HEAD_BYTES} bytes` : 'this is not HTTP',
      );
    });
  }

  /** Serves a connection, which belongs to this object from then on. */
  take(socket: Socket): void {
    if (this.#closed || socket.destroyed) {
      socket.destroy();
      return;
    }
    if (this.#connections.size >= this.#limits.maxConnections && !this.#dropSlowest()) {
      refuse(socket, 503, `${this.#limits.maxConnections} requests are under way; ask again later`);
      return;
    }
    const late = setTimeout(() => refuse(socket, 408, 'the request did not arrive in time'), this.#limits.askMs);
    this.#connections.set(socket, { asking: true, timer: late });
    socket.once('close', () => this.#forget(socket));
    this.#http.emit('connection', socket);
  }

  /** Ends everything at once. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const socket of [...this.#connections.keys(), ...this.#upgraded]) socket.destroy();
  }

  /** One that is still asking makes room: the oldest. */
  #dropSlowest(): boolean {
    for (const [socket, { asking }] of this.#connections) {
      if (!asking) continue;
      this.#forget(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  #forget(socket: Duplex): void {
    clearTimeout(this.#connections.get(socket)?.timer);
    this.#connections.delete(socket);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    let answered: Answered;
    let headers: Record<string, string> = {};
    try {
      const { method = '', url = '' } = request;
      const found = this.#routes.find(method, url);
      if ('refusal' in found) {
        answered = found.refusal;
        headers = found.headers;
      } else {
        const body = await bodyOf(request, found.maxBody);
        this.#asked(request.socket);
        answered = await found.act({ query: found.query, body });
      }
    } catch (thrown) {
      answered = thrown instanceof TooLarge ? { status: 413, body: `${thrown.message}\n` } : failed(thrown);
    }
    if (request.socket.destroyed) return;
    this.#asked(request.socket);
    const body = Buffer.from(answered.body);
    response.writeHead(answered.status ?? 200, {
      ...headers,
      'Content-Type': answered.type ?? TEXT,
      'Content-Length': body.length,
      Connection: 'close',
    });
    response.end(request.method === 'HEAD' ? undefined : body, () => {
      // What it may still send is of no interest.
      if (!request.complete) request.socket.destroy();
    });
  }

  /** From now on the time is ours, and then the reader's. */
  #asked(socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (!connection?.asking) return;
    clearTimeout(connection.timer);
    connection.asking = false;
    connection.timer = setTimeout(() => socket.destroy(), this.#limits.answerMs);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { method = '', url = '' } = request;
    const upgrade = this.#routes.upgrade(method, url);
    if (!upgrade) {
      refuse(socket, 404, 'nothing can be upgraded there');
      return;
    }
    if (this.#upgraded.size >= MAX_UPGRADED) {
      refuse(socket, 503, `${MAX_UPGRADED} consoles are open; close one`);
      return;
    }
    this.#forget(socket);
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    upgrade(request, socket, head).catch((thrown: unknown) => {
      this.#log.warn('management: a connection was not upgraded', { url, error: reasonOf(thrown) });
      const { status = 500, body } = failed(thrown);
      refuse(socket, status, body.toString());
    });
  }
}

class TooLarge extends Error {}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = (): TooLarge => new TooLarge(`the request's body exceeds ${maxBytes} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const parts: Buffer[] = [];
  let total = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (part: Buffer) => {
      total += part.length;
      if (total > maxBytes) reject(tooLarge());
      else parts.push(part);
    });
    request.once('end', () => resolve(Buffer.concat(parts)));
    request.once('close', () => reject(new KataError('cancelled', 'the request broke off')));
  });
}

/** Answers a connection that has no response object, and ends it. */
function refuse(socket: Duplex, status: number, text: string): void {
  if (socket.destroyed) return;
  const body = text.endsWith('\n') ? text : `${text}\n`;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `Content-Type: ${TEXT}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.on('error', () => {});
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  // A peer that does not read does not keep it.
  setTimeout(() => socket.destroy(), 1000).unref();
}
