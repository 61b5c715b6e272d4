/**
 * The tables of docs/metrics.md, made from the catalogue of metrics. `node --import tsx setup/metrics-reference.ts` writes them into
 * the document; a test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CATALOGUE, type Metric } from '../host/metrics/catalogue.ts';
import { ROOT } from './paths.ts';

export const METRICS_DOCUMENT = join(ROOT, 'docs/metrics.md');
const TITLES: Readonly<Record<string, string>> = {
  shim: 'Shim and pod',
  hypervisor: 'Hypervisor (QEMU)',
  virtiofsd: 'virtiofsd',
  guest: 'Guest and agent',
  monitor: 'kata-monitor',
};
/** The tables stand between these lines. */
const BEGIN = '<!-- made from host/metrics/catalogue.ts by setup/metrics-reference.ts -->';
const END = '<!-- end -->';

/** The document with fresh tables. @throws Error where it has no place for them */
export function withTables(document: string): string {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the document has no lines ${BEGIN} and ${END}`);
  return `${document.slice(0, from + BEGIN.length)}\n\n${tables()}${document.slice(to)}`;
}

function tables(): string {
  return Object.entries(CATALOGUE)
    .map(([source, metrics]) => `### ${TITLES[source]}\n\n${tableOf(metrics)}\n`)
    .join('');
}

function tableOf(metrics: readonly Metric[]): string {
  const rows = metrics.map(({ name, type, labels, unit, help, kata }) => {
    const cells = [
      `\`${name}\``,
      type,
      labels.join(', '),
      unit,
      kata ? 'Kata' : 'kata-edge',
      help.replaceAll('|', '\\|').replaceAll('<', '&lt;'),
    ];
    return `| ${cells.join(' | ')} |\n`;
  });
  return `| name | type | labels | unit | name by | what |\n|---|---|---|---|---|---|\n${rows.join('')}`;
}

if (process.argv[1]?.endsWith('metrics-reference.ts')) {
  writeFileSync(METRICS_DOCUMENT, withTables(readFileSync(METRICS_DOCUMENT, 'utf8')));
}
