/** Which pod a sandbox is: as it says itself, else as the CRI says, which is asked seldom. */
import { reasonOf } from '../error.ts';
import type { PodName } from '../sandbox/state-file.ts';
import { listPods } from './cri.ts';
import type { Found } from './discover.ts';
import type { MonitorLog } from './log.ts';

/** How long the CRI is left alone after it was asked, ms: a new pod is named that late at worst. */
export const ASK_INTERVAL_MS = 5000;
/** Likewise after it did not know a sandbox, which then is no pod's, most likely. */
export const UNKNOWN_INTERVAL_MS = 60_000;

export class Pods {
  readonly #known = new Map<string, PodName>();
  /** When a sandbox was first not known to the CRI. */
  readonly #unknown = new Map<string, number>();
  #askedAt = Number.NEGATIVE_INFINITY;
  #failing = false;

  /**
   * @param endpoint path of the CRI's socket; empty: it is not asked
   * @param now milliseconds of a clock that never goes back
   */
  constructor(
    private readonly endpoint: string,
    private readonly log: MonitorLog,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The pods of sandboxes, by sandbox id; those of no known pod are missing. */
  async namesOf(sandboxes: readonly Found[]): Promise<ReadonlyMap<string, PodName>> {
    const nameless = sandboxes.filter(({ pod, id }) => !pod && !this.#known.has(id)).map(({ id }) => id);
    if (nameless.length > 0) await this.#ask(nameless);
    const here = new Set(sandboxes.map(({ id }) => id));
    for (const gone of [...this.#known.keys(), ...this.#unknown.keys()].filter((id) => !here.has(id))) {
      this.#known.delete(gone);
      this.#unknown.delete(gone);
    }
    const names = new Map<string, PodName>();
    for (const { id, pod } of sandboxes) {
      const name = pod ?? this.#known.get(id);
      if (name) names.set(id, name);
    }
    return names;
  }

  async #ask(nameless: readonly string[]): Promise<void> {
    const now = this.now();
    if (this.endpoint === '' || now - this.#askedAt < ASK_INTERVAL_MS) return;
    const isNew = (id: string): boolean => now - (this.#unknown.get(id) ?? now) < ASK_INTERVAL_MS * 2;
    if (!nameless.some(isNew) && now - this.#askedAt < UNKNOWN_INTERVAL_MS) return;
    this.#askedAt = now;
    try {
      const pods = await listPods(this.endpoint);
      for (const id of nameless) {
        const pod = pods.get(id);
        if (pod) this.#known.set(id, pod);
        else if (!this.#unknown.has(id)) this.#unknown.set(id, now);
      }
      if (this.#failing) this.log.info('the CRI answers again', { endpoint: this.endpoint });
      this.#failing = false;
    } catch (thrown) {
      if (!this.#failing) this.log.warn('pods stay without names', { error: reasonOf(thrown) });
      this.#failing = true;
    }
  }
}
