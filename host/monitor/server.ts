/** The monitor's HTTP endpoints. Nothing can be changed by them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type KataError, reasonOf } from '../error.ts';
import { CONTENT_TYPE } from '../metrics/family.ts';
import type { MonitorLog } from './log.ts';
import type { Monitor, Pieces } from './monitor.ts';

/** Most connections at a time. */
export const MAX_CONNECTIONS = 64;
/** What a request's head may have, bytes. */
export const MAX_HEAD_BYTES = 8 * 1024;
/** What a request may take to arrive, ms. */
const REQUEST_MS = 10_000;
/** How long a connection may be silent, ms: a reader that takes nothing is let go. Longer than a profile of a shim's takes. */
export const SILENCE_MS = 90_000;
/** Most prefixes of `filter_family`. */
export const MAX_PREFIXES = 64;
const TEXT = 'text/plain; charset=utf-8';
const HTML = 'text/html; charset=utf-8';

interface Endpoint {
  readonly path: string;
  readonly what: string;
  /** Whether people without a sandbox's id have something to see there. */
  readonly linked?: boolean;
}

const ENDPOINTS: readonly Endpoint[] = [
  {
    path: '/metrics',
    what: 'metrics of all sandboxes; ?sandbox=ID: of one; ?filter_family=A,B: families that begin so',
    linked: true,
  },
  { path: '/sandboxes', what: 'ids of the sandboxes that run on this node', linked: true },
  { path: '/agent-url', what: '?sandbox=ID: where its agent is reached' },
  { path: '/debug/vars', what: '?sandbox=ID: what its shim, if it is one of Kata’s in Go, tells of its memory' },
  { path: '/debug/pprof/', what: '?sandbox=ID: profiles of its shim, likewise' },
];

/** Status of the answer, by what went wrong. */
const STATUS: Partial<Record<KataError['code'], number>> = {
  not_found: 404,
  invalid_argument: 400,
  deadline_exceeded: 504,
  unavailable: 502,
};

interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: Pieces | Buffer;
}

/** A server that does not listen yet. @param silenceMs tests shorten it */
export function serverOf(monitor: Monitor, log: MonitorLog, silenceMs: number = SILENCE_MS): Server {
  const server = createServer(
    { maxHeaderSize: MAX_HEAD_BYTES, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => void serve(monitor, log, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.timeout = silenceMs;
  return server;
}

async function serve(
  monitor: Monitor,
  log: MonitorLog,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on('error', () => {});
  let answer: Answer;
  try {
    answer = await answerOf(monitor, request);
  } catch (thrown) {
    const status = STATUS[(thrown as KataError).code] ?? 500;
    if (status === 500) log.warn('a request failed', { url: String(request.url), error: reasonOf(thrown) });
    answer = { status, body: [`${reasonOf(thrown)}\n`] };
  }
  try {
    await send(request, response, answer);
  } catch {
    // Whoever asked has gone, or does not read.
    response.destroy();
  }
}

async function answerOf(monitor: Monitor, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, body: ['only GET is answered here\n'] };
  }
  const url = urlOf(request);
  if (!url) return { status: 400, body: ['this is no URL\n'] };
  const { pathname, searchParams, search } = url;
  const sandbox = searchParams.get('sandbox') ?? '';
  const html = acceptsHtml(request);
  if (pathname === '/') return indexPage(html);
  if (pathname === '/sandboxes') return sandboxList(monitor.sandboxes(), html);
  if (pathname === '/metrics') {
    const filter = (searchParams.get('filter_family') ?? '').split(',').filter((prefix) => prefix !== '');
    if (filter.length > MAX_PREFIXES)
      return { status: 400, body: [`filter_family has more than ${MAX_PREFIXES} prefixes\n`] };
    const body = sandbox === '' ? await monitor.metrics(filter) : await monitor.sandboxMetrics(sandbox);
    return { type: CONTENT_TYPE, body };
  }
  const isDebug = pathname === '/debug/vars' || pathname.startsWith('/debug/pprof/');
  if (pathname !== '/agent-url' && !isDebug) {
    return {
      status: 404,
      body: [`there is nothing at ${JSON.stringify(pathname.slice(0, 256))}; / lists what there is\n`],
    };
  }
  if (sandbox === '') return { status: 400, body: ['the query must name a sandbox: ?sandbox=ID\n'] };
  if (!isDebug) return { body: [`${await monitor.agentUrl(sandbox)}\n`] };
  const { status, body } = await monitor.debug(sandbox, `${pathname}${search}`);
  // What a shim sends is never a page of ours.
  return { status, type: 'application/octet-stream', body };
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const { status = 200, type = TEXT, body } = answer;
  const headers: Record<string, string> = { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff' };
  const packed = type === CONTENT_TYPE && acceptsGzip(request);
  if (packed) headers['Content-Encoding'] = 'gzip';
  response.writeHead(status, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const { Readable } = await import('node:stream');
  const { pipeline } = await import('node:stream/promises');
  const source = Readable.from(Buffer.isBuffer(body) ? [body] : body, { objectMode: false });
  if (!packed) return pipeline(source, response);
  const { createGzip, constants } = await import('node:zlib');
  return pipeline(source, createGzip({ level: constants.Z_BEST_SPEED }), response);
}

function indexPage(html: boolean): Answer {
  if (!html) {
    const width = Math.max(...ENDPOINTS.map(({ path }) => path.length)) + 3;
    const lines = ENDPOINTS.map(({ path, what }) => `${path.padEnd(width)}${what}\n`);
    return { body: ['kata-monitor answers at\n', ...lines] };
  }
  const items = ENDPOINTS.map(({ path, what, linked }) => {
    const name = linked ? `<a href="${path}">${path}</a>` : path;
    return `<li><b>${name}</b> ${escapedHtml(what)}</li>\n`;
  });
  return { type: HTML, body: ['<h1>kata-monitor</h1>\n<ul>\n', ...items, '</ul>\n'] };
}

function sandboxList(ids: readonly string[], html: boolean): Answer {
  if (!html) return { body: ids.map((id) => `${id}\n`) };
  const items = ids.map((id) => {
    const query = `?sandbox=${encodeURIComponent(id)}`;
    return `<li>${escapedHtml(id)}: <a href="/metrics${query}">metrics</a>, <a href="/agent-url${query}">agent-url</a></li>\n`;
  });
  return { type: HTML, body: ['<h1>Sandboxes</h1>\n<ul>\n', ...items, '</ul>\n'] };
}

function urlOf(request: IncomingMessage): URL | undefined {
  try {
    return new URL(request.url ?? '/', 'http://monitor');
  } catch {
    return undefined;
  }
}

function acceptsHtml({ headers }: IncomingMessage): boolean {
  return (headers.accept ?? '').split(',').some((type) => type.trim().split(';')[0] === 'text/html');
}

function acceptsGzip({ headers }: IncomingMessage): boolean {
  const offered = String(headers['accept-encoding'] ?? '').split(',');
  return offered.some((coding) => /^gzip\s*(;\s*q=(1(\.0*)?|0?\.\d*[1-9]\d*))?$/.test(coding.trim()));
}

function escapedHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
