/** Undoes what was done, in reverse order. */
import { reasonOf } from '../error.ts';
import type { Log } from './log.ts';

export class Undo {
  private steps: { readonly what: string; readonly step: () => Promise<void> | void }[] = [];

  /** @param what names the step in the log should it fail */
  add(what: string, step: () => Promise<void> | void): void {
    this.steps.push({ what, step });
  }

  /** Runs and forgets every step; a failing one is logged and does not stop the others. */
  async run(log: Log): Promise<void> {
    const { steps } = this;
    this.steps = [];
    for (const { what, step } of steps.reverse()) {
      try {
        await step();
      } catch (thrown) {
        log.error('cannot undo', { what, error: reasonOf(thrown) });
      }
    }
  }
}
