/** How long sandboxes take to start, as histograms over all whose start this monitor has seen the end of, each counted once. */
import { MONITOR } from '../metrics/catalogue.ts';
import type { Families } from '../metrics/family.ts';
import { Histogram } from '../metrics/histogram.ts';
import { PHASE_NAMES, phasesOf, startOf } from '../metrics/phases.ts';
import type { Found } from './discover.ts';

/** Upper bounds of the buckets, seconds: a phase takes milliseconds under KVM, and seconds without it. */
export const BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

export class Starts {
  readonly #counted = new Set<string>();
  readonly #phases = new Map(PHASE_NAMES.map((phase) => [phase, new Histogram(BOUNDS_S)]));
  readonly #all = new Histogram(BOUNDS_S);

  /** Counts the sandboxes that have started since it was called last. @param sandboxes all there are */
  see(sandboxes: readonly Found[]): void {
    for (const { key, timeline } of sandboxes) {
      const seconds = timeline && startOf(timeline);
      if (seconds === undefined || this.#counted.has(key)) continue;
      this.#counted.add(key);
      this.#all.observe(seconds);
      for (const [phase, took] of phasesOf(timeline ?? {})) this.#phases.get(phase)?.observe(took);
    }
    const here = new Set(sandboxes.map(({ key }) => key));
    for (const key of this.#counted) if (!here.has(key)) this.#counted.delete(key);
  }

  addTo(families: Families): void {
    for (const [phase, histogram] of this.#phases) histogram.addTo(families, MONITOR.startPhases, { phase });
    this.#all.addTo(families, MONITOR.start);
  }
}
