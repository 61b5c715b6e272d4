/** A request to a sandbox's management socket: what the command line and the monitor ask by. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { KataError, reasonOf } from '../error.ts';

/** How long an answer may take unless the caller says otherwise, ms: the sandbox itself gives up a hanging guest before that. */
export const REQUEST_TIMEOUT_MS = 65_000;
/** Largest answer that is taken unless the caller says otherwise, bytes. */
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface RequestOptions {
  readonly method: string;
  /** With its query, e.g. `/direct-volume/stats?path=%2Fa`. */
  readonly path: string;
  readonly body?: string | Uint8Array;
  readonly contentType?: string;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/**
 * @param socketPath a sandbox's `shim-monitor.sock`
 * @returns the answer whatever its status; its body is the text of an error where that is 400 or more
 * @throws KataError `unavailable` (nobody listens), `permission_denied`, `deadline_exceeded`, `resource_exhausted` (too large)
 */
export async function request(socketPath: string, options: RequestOptions): Promise<Answer> {
  const { request: send } = await import('node:http');
  const { method, path, timeoutMs = REQUEST_TIMEOUT_MS, maxBytes = MAX_ANSWER_BYTES } = options;
  const body = options.body === undefined ? undefined : Buffer.from(options.body);
  const headers: Record<string, string | number> = { Host: 'shim', Connection: 'close' };
  if (body) {
    headers['Content-Length'] = body.length;
    headers['Content-Type'] = options.contentType ?? 'text/plain; charset=utf-8';
  }
  const what = `${method} ${path.slice(0, 128)} of ${socketPath}`;
  return new Promise((resolve, reject) => {
    const asked: ClientRequest = send({ socketPath, method, path, headers, agent: false }, (response) => {
      collect(response, maxBytes, what).then(resolve, fail);
    });
    const timer = setTimeout(
      () => fail(new KataError('deadline_exceeded', `${what} was not answered within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    const fail = (thrown: unknown): void => {
      clearTimeout(timer);
      reject(thrown);
      asked.destroy();
    };
    asked.once('close', () => {
      clearTimeout(timer);
      fail(new KataError('unavailable', `${what}: the connection ended before the answer did`));
    });
    asked.once('error', (thrown) => fail(failure(thrown, what, socketPath)));
    asked.end(body);
  });
}

async function collect(response: IncomingMessage, maxBytes: number, what: string): Promise<Answer> {
  const parts: Buffer[] = [];
  let total = 0;
  try {
    for await (const part of response) {
      total += (part as Buffer).length;
      if (total > maxBytes) throw new KataError('resource_exhausted', `${what}: the answer exceeds ${maxBytes} bytes`);
      parts.push(part as Buffer);
    }
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('unavailable', `${what}: the answer broke off: ${reasonOf(thrown)}`, { cause: thrown });
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(parts) };
}

function failure(thrown: Error, what: string, socketPath: string): KataError {
  const { code } = thrown as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    const text = `nobody serves ${socketPath}; the sandbox has ended, or is of an older version`;
    return new KataError('unavailable', text, { cause: thrown });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new KataError('permission_denied', `${socketPath} is root's alone; run this as root`, { cause: thrown });
  }
  return new KataError('unavailable', `${what} failed: ${thrown.message}`, { cause: thrown });
}
