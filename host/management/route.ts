/** Which request is for whom. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Answered, Asked } from './answer.ts';

/** What a request without a use for a body may bring, bytes. */
const NO_BODY = 1024;

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST';
  /** Without its query; one that ends with `/` has all below it. */
  readonly path: string;
  /** What it gives, for people. */
  readonly what: string;
  /** Largest body, bytes; absent: it has no use for one. */
  readonly maxBody?: number;
  readonly act: (asked: Asked, path: string) => Answered | Promise<Answered>;
}

/** Takes a connection over, once it has answered 101. @throws KataError before it has written anything */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>;

export interface Found {
  readonly query: URLSearchParams;
  readonly maxBody: number;
  readonly act: (asked: Asked) => Answered | Promise<Answered>;
}

export interface Refused {
  readonly refusal: Answered;
  readonly headers: Record<string, string>;
}

export class Routes {
  readonly #routes: readonly Route[];
  readonly #upgrades: ReadonlyMap<string, Upgrade>;

  /** @param upgrades by path */
  constructor(routes: readonly Route[], upgrades: ReadonlyMap<string, Upgrade> = new Map()) {
    this.#routes = routes;
    this.#upgrades = upgrades;
  }

  /** @param url as the request line has it */
  find(method: string, url: string): Found | Refused {
    const { path, query } = split(url);
    const there = this.#routes.filter((route) => isAt(route, path));
    if (there.length === 0) {
      if (this.#upgrades.has(path)) return { refusal: UPGRADE_NEEDED, headers: { Upgrade: 'kata-debug-console' } };
      return {
        refusal: { status: 404, body: `${JSON.stringify(path)} is nothing here.\n${this.#list()}` },
        headers: {},
      };
    }
    const route = there.find((each) => each.method === (method === 'HEAD' ? 'GET' : method));
    if (!route) {
      const allowed = there.flatMap((each) => (each.method === 'GET' ? ['GET', 'HEAD'] : [each.method])).join(', ');
      return { refusal: { status: 405, body: `${path} takes ${allowed}\n` }, headers: { Allow: allowed } };
    }
    return { query, maxBody: route.maxBody ?? NO_BODY, act: (asked) => route.act(asked, path) };
  }

  upgrade(method: string, url: string): Upgrade | undefined {
    return method === 'GET' ? this.#upgrades.get(split(url).path) : undefined;
  }

  #list(): string {
    const lines = this.#routes.map(({ method, path, what }) => `${method.padEnd(4)} ${path.padEnd(24)} ${what}\n`);
    return `There are:\n${lines.join('')}`;
  }
}

const UPGRADE_NEEDED: Answered = { status: 426, body: 'this is no page: the request has to ask for an upgrade\n' };

function isAt(route: Route, path: string): boolean {
  return route.path.endsWith('/') ? path.startsWith(route.path) : path === route.path;
}

/** Also of `http://shim/metrics`, as some clients write it. */
function split(url: string): { path: string; query: URLSearchParams } {
  const local = url.replace(/^[a-z]+:\/\/[^/?]*/i, '');
  const mark = local.indexOf('?');
  const path = mark < 0 ? local : local.slice(0, mark);
  return { path: path || '/', query: new URLSearchParams(mark < 0 ? '' : local.slice(mark + 1)) };
}
