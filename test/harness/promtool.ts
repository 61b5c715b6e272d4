/** Prometheus' own judge, and what it has against names that are not ours to choose. */
import { finish } from '../../setup/command.ts';

const TOTAL = 'counter metrics should have "_total" suffix';
const COUNT = 'non-histogram and non-summary metrics should not have "_count" suffix';
const TYPE = "metric name should not include type 'histogram'";
const UNIT = 'use base unit "seconds" instead of "milliseconds"';

/** Its remarks on metrics by Kata's names. docs/metrics.md lists them. */
export const KATAS_REMARKS: ReadonlySet<string> = new Set([
  `kata_agent_scrape_count ${TOTAL}`,
  `kata_agent_scrape_count ${COUNT}`,
  `kata_monitor_running_shim_count ${COUNT}`,
  `kata_monitor_scrape_count ${TOTAL}`,
  `kata_monitor_scrape_count ${COUNT}`,
  `kata_monitor_scrape_failed_count ${TOTAL}`,
  `kata_monitor_scrape_failed_count ${COUNT}`,
  `kata_monitor_scrape_durations_histogram_milliseconds ${TYPE}`,
  `kata_monitor_scrape_durations_histogram_milliseconds ${UNIT}`,
  `kata_shim_rpc_durations_histogram_milliseconds ${TYPE}`,
  `kata_shim_rpc_durations_histogram_milliseconds ${UNIT}`,
  `kata_shim_agent_rpc_durations_histogram_milliseconds ${TYPE}`,
  `kata_shim_agent_rpc_durations_histogram_milliseconds ${UNIT}`,
]);

/**
 * `promtool check metrics`.
 * @param program path of promtool
 * @returns its remarks, a line each; empty: it passes
 * @throws Error for text that it cannot read
 */
export async function remarksOf(program: string, text: string): Promise<string[]> {
  const { code, stdout, stderr } = await finish([program, 'check', 'metrics'], { stdin: text, timeoutMs: 60_000 });
  // 3: it read everything, and has remarks.
  if (code !== 0 && code !== 3) throw new Error(`promtool cannot read it: ${stderr}${stdout}`);
  const remarks = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
  if ((code === 0) !== (remarks.length === 0)) throw new Error(`promtool ended with ${code}: ${remarks.join('; ')}`);
  return remarks;
}
