/** What the findings come to, and how they are told. */

import { reasonOf } from '../../error.ts';
import { cell, table } from '../output.ts';
import type { Check, Decides, Finding, Result } from './finding.ts';
import type { Situation } from './situation.ts';

/** Kata's own sentences: scripts look for them. */
export const CAPABLE = 'System is capable of running Kata Containers';
export const CAN_CREATE = 'System can currently create Kata Containers';

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
  const lines: string[] = [];
  if (verbose) {
    lines.push(table(results.map(({ status, name, found }) => [status, name, found])));
    for (const { status, name, advice } of results) {
      if (advice !== '' && status !== 'ok') lines.push(`${name}: ${cell(advice)}\n`);
    }
  } else {
    for (const { status, name, found, advice } of results) {
      if (status !== 'warning' && status !== 'failed') continue;
      lines.push(`${status === 'failed' ? 'ERROR' : 'WARNING'}: ${name}: ${cell(found)}\n`);
      if (advice !== '') lines.push(`    ${cell(advice)}\n`);
    }
  }
  if (lines.length > 0) lines.push('\n');
  if (capable) lines.push(`${CAPABLE}\n`);
  if (canCreate) lines.push(`${CAN_CREATE}\n`);
  if (canCreate === undefined)
    lines.push('Whether sandboxes can be created now is for root to ask: sudo kata-runtime check\n');
  return lines.join('');
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
