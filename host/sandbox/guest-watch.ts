/** Looks after an idle guest: whether its agent lives, and whether its clock is still the host's. */
import type { AgentClient } from '../agent/client.ts';
import { reasonOf } from '../error.ts';
import type { Log } from './log.ts';

/** How often an idle guest is asked whether it lives, ms. */
export const HEALTH_INTERVAL_MS = 60_000;
/** By how much the host's clock has to have leapt for the guest's to be set anew, ms. Less is what time servers mend, in both. */
export const CLOCK_LEAP_MS = 1000;

export interface GuestWatchOptions {
  /** How long it may take to answer, ms. */
  readonly healthTimeoutMs: number;
  readonly log: Log;
  /** The agent does not answer. */
  readonly lost: (reason: string) => void;
  /** Whose clock is set; another's guest has its own time. */
  readonly setsClock: boolean;
  /** How far the host's clock is ahead of a clock that never leaps, ms; tests have their own. */
  readonly offset?: () => number;
  readonly intervalMs?: number;
}

export class GuestWatch {
  private readonly timer: NodeJS.Timeout;
  private asking = false;
  private ended = false;
  private known: number;

  constructor(
    private readonly agent: AgentClient,
    private readonly options: GuestWatchOptions,
  ) {
    this.known = this.offset();
    this.timer = setInterval(() => void this.look(), options.intervalMs ?? HEALTH_INTERVAL_MS);
    this.timer.unref();
  }

  /** Idempotent. */
  end(): void {
    this.ended = true;
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    if (this.asking || this.ended) return;
    this.asking = true;
    try {
      await this.agent.check(this.options.healthTimeoutMs);
      if (this.options.setsClock) await this.followClock();
    } catch (thrown) {
      if (!this.ended) this.options.lost(`the guest agent does not answer: ${reasonOf(thrown)}`);
    } finally {
      this.asking = false;
    }
  }

  /** The host slept, or somebody set its clock: the guest's stood still, or runs on from the old time. */
  private async followClock(): Promise<void> {
    const now = this.offset();
    const leap = now - this.known;
    if (Math.abs(leap) < CLOCK_LEAP_MS) return;
    this.known = now;
    this.options.log.info("the host's clock has leapt: the guest's is set", { leap_ms: Math.round(leap) });
    await this.agent.setDateTime(Date.now()).catch((thrown) => {
      this.options.log.warn("the guest's clock cannot be set", { error: reasonOf(thrown) });
    });
  }

  private offset(): number {
    return this.options.offset?.() ?? Date.now() - performance.now();
  }
}
