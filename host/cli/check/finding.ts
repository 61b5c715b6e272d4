/** What a check is, and what it finds. */
import type { Situation } from './situation.ts';

/**
 * What a failed check rules out: `capable` that this machine can ever run sandboxes, `create` that it can at the moment,
 * `nothing` neither.
 */
export type Decides = 'capable' | 'create' | 'nothing';

export const STATUSES = ['ok', 'skipped', 'warning', 'failed'] as const;
export type Status = (typeof STATUSES)[number];

export interface Finding {
  readonly status: Status;
  /** What is there, one clause. */
  readonly found: string;
  /** What to do; empty: nothing. */
  readonly advice?: string;
  /** Where it is not what the check as a whole decides. */
  readonly decides?: Decides;
}

export interface Check {
  readonly name: string;
  /** What it looks at, one clause. */
  readonly summary: string;
  readonly decides: Decides;
  /** May throw: that is a failure with the error's message. */
  readonly run: (situation: Situation) => Promise<Finding | readonly Finding[]> | Finding | readonly Finding[];
}

/** A finding and the check that made it. */
export interface Result extends Finding {
  readonly name: string;
  readonly advice: string;
  readonly decides: Decides;
}

export function ok(found: string): Finding {
  return { status: 'ok', found };
}

export function skipped(found: string): Finding {
  return { status: 'skipped', found };
}

export function warning(found: string, advice: string): Finding {
  return { status: 'warning', found, advice };
}

export function failed(found: string, advice: string, decides?: Decides): Finding {
  return { status: 'failed', found, advice, ...(decides ? { decides } : {}) };
}
