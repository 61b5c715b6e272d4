/** Sends traces to a collector: OTLP over HTTP in JSON. In the background, bounded, with one further attempt. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';
import { type Batch, exportRequest } from './span.ts';

/** Batches that wait or are under way; more are dropped. */
export const MAX_BATCHES = 4;
/** What one attempt may take, ms. */
export const ATTEMPT_MS = 5000;
/** Between the two, ms. */
export const RETRY_MS = 2000;
const ATTEMPTS = 2;
/** Answers after which another attempt makes sense, as OTLP has it; 500 is what an overloaded proxy says. */
const RETRIABLE = new Set([429, 500, 502, 503, 504]);

export interface SenderOptions {
  readonly url: string;
  readonly log: Log;
  /** Tests shorten them. */
  readonly attemptMs?: number;
  readonly retryMs?: number;
}

export class TraceSender {
  readonly #options: SenderOptions;
  #under = 0;
  #last: Promise<void> = Promise.resolve();
  #told = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Never throws, never waits. */
  send(batch: Batch): void {
    if (this.#under >= MAX_BATCHES) {
      this.#tell(`${MAX_BATCHES} wait already`);
      return;
    }
    this.#under++;
    this.#last = this.#last.then(async () => {
      const failure = await this.#deliver(exportRequest(batch)).catch(reasonOf);
      this.#under--;
      if (failure !== undefined) this.#tell(failure);
    });
  }

  /** Settles when all that was to be sent has been, or was given up. */
  get idle(): Promise<void> {
    return this.#last;
  }

  async #deliver(body: string): Promise<string | undefined> {
    const { attemptMs = ATTEMPT_MS, retryMs = RETRY_MS } = this.#options;
    let failure: string | undefined;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      if (attempt > 1) await sleep(retryMs, undefined, { ref: false });
      const status = await this.#post(body, attemptMs).catch((thrown: unknown) => reasonOf(thrown));
      if (typeof status === 'number' && status >= 200 && status < 300) return undefined;
      failure = typeof status === 'number' ? `it answers ${status}` : status;
      if (typeof status === 'number' && !RETRIABLE.has(status)) break;
    }
    return failure;
  }

  /** @returns the status of the answer, whose body is of no interest */
  async #post(body: string, timeoutMs: number): Promise<number> {
    const url = new URL(this.#options.url);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const asked = send(url, { method: 'POST', headers, agent: false }, (response) => {
        clearTimeout(timer);
        resolve(response.statusCode ?? 0);
        response.on('error', () => {});
        // Whatever it has to say: an endless answer is not read.
        response.destroy();
      });
      const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs).unref();
      asked.on('socket', (socket) => void socket.unref());
      asked.on('error', (thrown) => {
        clearTimeout(timer);
        reject(thrown);
      });
      asked.end(body);
    });
  }

  /** Once: a collector that is away is away for all pods. */
  #tell(reason: string): void {
    const { url, log } = this.#options;
    const { origin, pathname } = new URL(url);
    const fields = { endpoint: origin + pathname, error: reason };
    if (this.#told) log.debug('a trace was not sent', fields);
    else log.warn('a trace was not sent; further ones are not told of', fields);
    this.#told = true;
  }
}
