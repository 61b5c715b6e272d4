/** The monitor's metrics of its own. */
import { PerformanceObserver } from 'node:perf_hooks';
import { MONITOR } from '../metrics/catalogue.ts';
import { BOUNDS_MS } from '../metrics/durations.ts';
import type { Families } from '../metrics/family.ts';
import { Histogram } from '../metrics/histogram.ts';
import { cpuOf } from '../metrics/overhead.ts';
import { readProcess } from '../metrics/process.ts';

export class OwnMetrics {
  scrapes = 0;
  failedScrapes = 0;
  readonly durations = new Histogram(BOUNDS_MS);
  private pauses = 0;
  private pausedMs = 0;
  private readonly observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      this.pauses++;
      this.pausedMs += duration;
    }
  });
  private readonly startedAt = Date.now() / 1000 - process.uptime();

  constructor() {
    this.observer.observe({ entryTypes: ['gc'] });
  }

  /** @param running how many sandboxes run */
  addTo(families: Families, running: number): void {
    families.add(MONITOR.runningShims, {}, running);
    families.add(MONITOR.scrapes, {}, this.scrapes);
    families.add(MONITOR.failedScrapes, {}, this.failedScrapes);
    this.durations.addTo(families, MONITOR.scrapeDurations);
    const reading = readProcess(process.pid);
    if (reading) {
      families.add(MONITOR.cpu, {}, cpuOf(reading));
      families.add(MONITOR.openFds, {}, reading.fds);
      families.add(MONITOR.threads, {}, reading.threads);
      families.add(MONITOR.virtualMemory, {}, reading.virtualMemory);
      families.add(MONITOR.residentMemory, {}, reading.status.get('vmrss'));
    }
    families.add(MONITOR.pauses, {}, this.pausedMs / 1000, '_sum');
    families.add(MONITOR.pauses, {}, this.pauses, '_count');
    families.add(MONITOR.startTime, {}, this.startedAt);
  }
}
