/** Asks all sandboxes for their metrics, some at a time, each within a deadline, and puts the families together. */
import { KataError, reasonOf } from '../error.ts';
import { request } from '../management/client.ts';
import { MONITOR } from '../metrics/catalogue.ts';
import { type Description, Families, samplesText } from '../metrics/family.ts';
import { SHIM_LIMITS } from '../metrics/parse.ts';
import type { PodName } from '../sandbox/state-file.ts';
import type { Found } from './discover.ts';
import type { MonitorLog } from './log.ts';
import { addSandboxText, type SandboxName, sandboxLabels } from './sandbox-text.ts';

/** Sandboxes that are asked at a time: each answer takes memory here, and processor time of its guest. */
export const MAX_AT_ONCE = 8;
/** How long one has, ms; of that its guest has 2 s. */
export const SANDBOX_TIMEOUT_MS = 3000;
/** When no more are asked, ms: Prometheus waits 10 s unless told otherwise. */
export const SCRAPE_TIMEOUT_MS = 7000;

export interface ScrapeLimits {
  readonly atOnce: number;
  readonly sandboxTimeoutMs: number;
  readonly scrapeTimeoutMs: number;
}

const LIMITS: ScrapeLimits = {
  atOnce: MAX_AT_ONCE,
  sandboxTimeoutMs: SANDBOX_TIMEOUT_MS,
  scrapeTimeoutMs: SCRAPE_TIMEOUT_MS,
};

/** Which families are wanted: those whose name begins with one of these; none given: all. */
export type Filter = readonly string[];

/**
 * Families of many sandboxes: text in pieces, since all of it at once is large, and as bytes, since a string that was put together keeps
 * each of its parts.
 */
export class Merged {
  readonly #families = new Map<string, { readonly description: Description; readonly parts: Buffer[] }>();
  /** Of families that are not in the catalogue. */
  readonly descriptions = new Map<string, Description>();

  add(families: Families): void {
    for (const [description, samples] of families) {
      let merged = this.#families.get(description.name);
      if (!merged) {
        merged = { description, parts: [] };
        this.#families.set(description.name, merged);
      }
      merged.parts.push(Buffer.from(samplesText(description.name, samples)));
    }
  }

  /** One family after the other, by name. */
  *[Symbol.iterator](): Generator<readonly [Description, readonly Buffer[]]> {
    const names = [...this.#families.keys()].sort();
    for (const name of names) {
      const { description, parts } = this.#families.get(name) as { description: Description; parts: Buffer[] };
      yield [description, parts];
    }
  }
}

export class Scraper {
  /** Sandboxes, by key, that did not answer last time: they wait until the others have. */
  readonly #failing = new Set<string>();
  readonly #limits: ScrapeLimits;

  constructor(
    private readonly log: MonitorLog,
    limits: Partial<ScrapeLimits> = {},
  ) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /**
   * @param pods of the sandboxes, by id
   * @param failed called for each that gave no metrics
   */
  async scrape(
    sandboxes: readonly Found[],
    pods: ReadonlyMap<string, PodName>,
    filter: Filter,
    failed: () => void,
  ): Promise<Merged> {
    const merged = new Merged();
    const end = performance.now() + this.#limits.scrapeTimeoutMs;
    const waiting = [...sandboxes].sort((a, b) => Number(this.#failing.has(a.key)) - Number(this.#failing.has(b.key)));
    const next = async (): Promise<void> => {
      for (let sandbox = waiting.shift(); sandbox; sandbox = waiting.shift()) {
        const left = Math.min(this.#limits.sandboxTimeoutMs, end - performance.now());
        if (!(await this.#one(sandbox, nameOf(sandbox, pods), filter, left, merged))) failed();
      }
    };
    await Promise.all(Array.from({ length: this.#limits.atOnce }, next));
    this.#forget(sandboxes);
    return merged;
  }

  /** Asks one sandbox; whether it answered. */
  async #one(sandbox: Found, name: SandboxName, filter: Filter, timeoutMs: number, merged: Merged): Promise<boolean> {
    const families = new Families();
    const wanted = (family: string): boolean => isWanted(family, filter);
    let dropped = 0;
    let reason: string | undefined;
    try {
      const text = await textOf(sandbox, timeoutMs);
      dropped = addSandboxText(families, text, name, merged.descriptions, wanted);
    } catch (thrown) {
      reason = reasonOf(thrown);
    }
    // One that had less than its time, because others took it, is among the first next time.
    if (reason === undefined || timeoutMs === this.#limits.sandboxTimeoutMs) this.#note(sandbox, reason);
    const labels = sandboxLabels(name);
    for (const [metric, value] of [
      [MONITOR.scrapeFailed, reason === undefined ? 0 : 1],
      [MONITOR.linesDropped, dropped],
    ] as const) {
      if (wanted(metric.name)) families.add(metric, labels, value);
    }
    merged.add(families);
    return reason === undefined;
  }

  #note({ key, id }: Found, reason: string | undefined): void {
    if (reason !== undefined && !this.#failing.has(key)) {
      this.log.warn('a sandbox gives no metrics', { sandbox_id: id, error: reason });
      this.#failing.add(key);
    } else if (reason === undefined && this.#failing.delete(key)) {
      this.log.info('a sandbox gives metrics again', { sandbox_id: id });
    }
  }

  #forget(sandboxes: readonly Found[]): void {
    const here = new Set(sandboxes.map(({ key }) => key));
    for (const key of this.#failing) if (!here.has(key)) this.#failing.delete(key);
  }
}

export function isWanted(family: string, filter: Filter): boolean {
  return filter.length === 0 || filter.some((prefix) => family.startsWith(prefix));
}

/** The metrics that a sandbox's shim gives, whatever they are. @throws KataError */
export async function textOf({ id, socket }: Found, timeoutMs: number): Promise<string> {
  if (timeoutMs <= 0) throw new KataError('deadline_exceeded', `there was no time left to ask sandbox ${id}`);
  const { status, body } = await request(socket, {
    method: 'GET',
    path: '/metrics',
    timeoutMs,
    maxBytes: SHIM_LIMITS.text,
  });
  if (status !== 200) throw new KataError('unavailable', `sandbox ${id} answers with HTTP status ${status}`);
  return body.toString();
}

/** The labels of a sandbox. */
export function nameOf({ id }: Found, pods: ReadonlyMap<string, PodName>): SandboxName {
  const { uid, name, namespace } = pods.get(id) ?? { uid: '', name: '', namespace: '' };
  return { id, uid, name, namespace };
}
