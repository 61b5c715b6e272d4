/** What the monitor knows, asked by its HTTP server: the sandboxes of the node and their metrics. */
import { KataError } from '../error.ts';
import { request } from '../management/client.ts';
import { type Description, Families, headText } from '../metrics/family.ts';
import { discover, type Found, type Places } from './discover.ts';
import type { MonitorLog } from './log.ts';
import { Pods } from './pods.ts';
import { addSandboxText } from './sandbox-text.ts';
import { type Filter, type Merged, nameOf, SANDBOX_TIMEOUT_MS, type ScrapeLimits, Scraper, textOf } from './scrape.ts';
import { OwnMetrics } from './self.ts';
import { Starts } from './starts.ts';

/** How often the node is looked at between scrapes, ms: of sandboxes that live shorter no start is counted. */
export const LOOK_INTERVAL_MS = 10_000;
/** Largest answer of a shim to anything but /metrics, bytes. */
const MAX_DEBUG_BYTES = 32 * 1024 * 1024;
/** How long a profile may take, ms: Go's own default for one is 30 s. */
const DEBUG_TIMEOUT_MS = 60_000;

export interface MonitorOptions {
  /** Path of the CRI's socket; empty: it is not asked. */
  readonly runtimeEndpoint: string;
  readonly log: MonitorLog;
  readonly places?: Places;
  readonly limits?: Partial<ScrapeLimits>;
}

/** Text in pieces. */
export type Pieces = Iterable<string | Buffer>;

export class Monitor {
  readonly #own = new OwnMetrics();
  readonly #starts = new Starts();
  readonly #scraper: Scraper;
  readonly #pods: Pods;
  readonly #places: Places;
  /** Scrapes that are under way, by filter: who asks for the same meanwhile gets the same. */
  readonly #running = new Map<string, Promise<Merged>>();

  constructor({ runtimeEndpoint, log, places = {}, limits = {} }: MonitorOptions) {
    this.#places = places;
    this.#pods = new Pods(runtimeEndpoint, log);
    this.#scraper = new Scraper(log, limits);
  }

  /** Looks for sandboxes, and notes the starts of new ones. */
  look(): Found[] {
    const found = discover(this.#places);
    this.#starts.see(found);
    return found;
  }

  /** Everything. @param filter given, only families of sandboxes */
  async metrics(filter: Filter): Promise<Pieces> {
    this.#own.scrapes++;
    const began = performance.now();
    const sandboxes = this.look();
    const key = JSON.stringify(filter);
    let running = this.#running.get(key);
    if (!running) {
      running = this.#scrape(sandboxes, filter).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    const merged = await running;
    this.#own.durations.observe(performance.now() - began);
    return this.#pieces(merged, filter, sandboxes.length);
  }

  /** One sandbox's. @throws KataError `not_found`, or what keeps it from answering */
  async sandboxMetrics(id: string): Promise<Pieces> {
    this.#own.scrapes++;
    const sandbox = this.#find(id);
    const pods = await this.#pods.namesOf([...this.look()]);
    try {
      const families = new Families();
      addSandboxText(families, await textOf(sandbox, SANDBOX_TIMEOUT_MS), nameOf(sandbox, pods));
      return [families.toString()];
    } catch (thrown) {
      this.#own.failedScrapes++;
      throw thrown;
    }
  }

  /** Ids, in the order in which the sandboxes were found. */
  sandboxes(): string[] {
    return this.look().map(({ id }) => id);
  }

  /** @throws KataError `not_found`, or what keeps it from answering */
  async agentUrl(id: string): Promise<string> {
    const { socket } = this.#find(id);
    const { status, body } = await request(socket, {
      method: 'GET',
      path: '/agent-url',
      timeoutMs: SANDBOX_TIMEOUT_MS,
      maxBytes: 1024,
    });
    if (status !== 200) throw new KataError('unavailable', `sandbox ${id} answers with HTTP status ${status}`);
    return body.toString().trim();
  }

  /**
   * Hands a request to a shim: those of Kata's Go runtime serve /debug/ where `enable_pprof` is set.
   * @param path with its query
   */
  async debug(id: string, path: string): Promise<{ status: number; body: Buffer }> {
    const { socket } = this.#find(id);
    return request(socket, { method: 'GET', path, timeoutMs: DEBUG_TIMEOUT_MS, maxBytes: MAX_DEBUG_BYTES });
  }

  async #scrape(sandboxes: readonly Found[], filter: Filter): Promise<Merged> {
    const pods = await this.#pods.namesOf(sandboxes);
    return this.#scraper.scrape(sandboxes, pods, filter, () => this.#own.failedScrapes++);
  }

  *#pieces(merged: Merged, filter: Filter, running: number): Generator<string | Buffer> {
    if (filter.length === 0) {
      const families = new Families();
      this.#own.addTo(families, running);
      this.#starts.addTo(families);
      yield families.toString();
    }
    for (const [description, parts] of merged as Iterable<readonly [Description, readonly Buffer[]]>) {
      yield headText(description);
      yield* parts;
    }
  }

  #find(id: string): Found {
    const found = this.look().find((sandbox) => sandbox.id === id);
    if (found) return found;
    throw new KataError(
      'not_found',
      `no sandbox ${JSON.stringify(id.slice(0, 256))} runs on this node; /sandboxes lists those that do`,
    );
  }
}
