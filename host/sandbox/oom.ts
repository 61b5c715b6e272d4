/** Out of memory: the guest tells which container, and containerd hears of it before it hears of the end it led to. */
import { KataError } from '../error.ts';

/** Wait before a failed GetOOMEvent is repeated, ms. */
export const OOM_RETRY_MS = 1000;
/**
 * How long the end of a container that was killed may wait for word that memory was the reason, ms. Our own agent sends that
 * word first: it is only to be read.
 */
export const OOM_GRACE_MS = { own: 0, kata: 200 } as const;

/** Who is asked: the agent. */
interface OomSource {
  oomEvent(): Promise<string>;
}

export class OomWatch {
  private readonly told = new Set<string>();
  private readonly waiting = new Map<string, Set<() => void>>();

  /**
   * @param known whether there is such a container: ids are the guest's word, any number of any length
   * @param tell of a container that ran out of memory
   * @param graceMs one of OOM_GRACE_MS
   */
  constructor(
    private readonly known: (containerId: string) => boolean,
    private readonly tell: (containerId: string) => void,
    private readonly graceMs: number,
  ) {}

  /** Asks until the guest is gone. Never rejects. */
  async watch(agent: OomSource, alive: () => boolean): Promise<void> {
    while (alive()) {
      try {
        this.happened(await agent.oomEvent());
      } catch (thrown) {
        if (thrown instanceof KataError && (thrown.code === 'unimplemented' || thrown.code === 'unavailable')) return;
        await new Promise<void>((resolve) => {
          setTimeout(resolve, OOM_RETRY_MS).unref();
        });
      }
    }
  }

  /** A container is gone: what is told of its id later is about another. */
  forget(containerId: string): void {
    this.told.delete(containerId);
  }

  /** Settles once it was told that the container ran out of memory; after the grace, if it does not come to that. */
  settled(containerId: string): Promise<void> {
    if (this.told.has(containerId)) return Promise.resolve();
    return new Promise((resolve) => {
      const waiters = this.waiting.get(containerId) ?? new Set();
      this.waiting.set(containerId, waiters);
      const settle = (): void => {
        clearTimeout(timer);
        waiters.delete(settle);
        if (waiters.size === 0) this.waiting.delete(containerId);
        resolve();
      };
      const timer = setTimeout(settle, this.graceMs);
      waiters.add(settle);
    });
  }

  private happened(containerId: string): void {
    if (!this.known(containerId)) return;
    this.tell(containerId);
    this.told.add(containerId);
    for (const settle of this.waiting.get(containerId) ?? []) settle();
  }
}
