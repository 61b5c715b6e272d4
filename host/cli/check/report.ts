/** What the findings come to, and how they are told. */

import { reasonOf } from '../../error.ts';
import { cell, table } from '../output.ts';
import type { Check, Decides, Finding, Result } from './finding.ts';
import type { Situation } from './situation.ts';

/** Kata's own sentences: scripts look for them. */
export const CAPABLE = 'System is capable of running Kata Containers';
export const CAN_CREATE = 'System can currently create Kata Containers';

/** Where advice begins, columns. */
const ADVICE_COLUMN = 4;

export interface Verdict {
  readonly results: readonly Result[];
  /** Whether this machine can ever run sandboxes. */
  readonly capable: boolean;
  /** Whether it can at the moment; undefined: only root learns that. */
  readonly canCreate: boolean | undefined;
}

/** Makes the checks one after the other. @param strict warnings count as failures */
export async function verdictOf(checks: readonly Check[], situation: Situation, strict: boolean): Promise<Verdict> {
  const results: Result[] = [];
  for (const check of checks) {
    for (const finding of await findingsOf(check, situation)) {
      results.push({ advice: '', decides: check.decides, ...finding, name: check.name });
    }
  }
  const hinders = (what: Decides): boolean =>
    results.some(({ status, decides }) => {
      if (status === 'warning' && strict) return decides === what || (decides === 'nothing' && what === 'create');
      return status === 'failed' && decides === what;
    });
  const capable = !hinders('capable');
  return {
    results,
    capable,
    canCreate: !capable || hinders('create') ? false : situation.machine.uid === 0 ? true : undefined,
  };
}

/** @param verbose every check, not only what is wrong */
export function verdictText({ results, capable, canCreate }: Verdict, verbose: boolean): string {
  const lines = verbose ? everything(results) : mistakes(results);
  if (lines.length > 0) lines.push('');
  if (capable) lines.push(CAPABLE);
  if (canCreate) lines.push(CAN_CREATE);
  if (canCreate === undefined) lines.push('Whether sandboxes can be created now is for root to ask: use sudo');
  return lines.map((line) => `${line}\n`).join('');
}

function everything(results: readonly Result[]): string[] {
  const rows = table(results.map(({ status, name, found }) => [status, name, found])).split('\n');
  return results.flatMap(({ status, advice }, at) => [
    rows[at] ?? '',
    ...(advice === '' || status === 'ok' ? [] : [`${' '.repeat(ADVICE_COLUMN)}${cell(advice)}`]),
  ]);
}

function mistakes(results: readonly Result[]): string[] {
  return results
    .filter(({ status }) => status === 'warning' || status === 'failed')
    .flatMap(({ status, name, found, advice }) => [
      `${status === 'failed' ? 'ERROR' : 'WARNING'}: ${name}: ${cell(found)}`,
      ...(advice === '' ? [] : [`${' '.repeat(ADVICE_COLUMN)}${cell(advice)}`]),
    ]);
}

async function findingsOf(check: Check, situation: Situation): Promise<readonly Finding[]> {
  try {
    const found = await check.run(situation);
    return isList(found) ? found : [found];
  } catch (thrown) {
    return [{ status: 'failed', found: reasonOf(thrown) }];
  }
}

function isList(found: Finding | readonly Finding[]): found is readonly Finding[] {
  return Array.isArray(found);
}
