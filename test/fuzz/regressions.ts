/** Cases that once broke something, by target: checked before all others, always. */

export interface Regression {
  /** The case's bytes. */
  readonly hex: string;
  /** What was wrong. */
  readonly why: string;
}

export const REGRESSIONS: Readonly<Record<string, readonly Regression[]>> = {};
