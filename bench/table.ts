/** How measurements are printed: aligned columns, and each goal with what was reached. */
import { median } from './statistics.ts';

const WIDTHS = [42, 24, 24, 10, 16];

/** One measurement beside its control. */
export interface Measured {
  readonly what: string;
  readonly unit: string;
  /** Every measured value; the medians are compared. */
  readonly ours: readonly number[];
  readonly control: readonly number[];
  /** Whether less is better (times) or more (rates). */
  readonly better: 'less' | 'more';
  /** How many times better than the control it is to be; absent: no goal. */
  readonly goal?: number;
  /** Digits after the point. */
  readonly digits?: number;
}

/** Prints cells as a row. */
export function line(...cells: string[]): void {
  process.stdout.write(
    `${cells
      .map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0))
      .join('')
      .trimEnd()}\n`,
  );
}

/** Prints the head of a table of `against` rows. */
export function head(control: string): void {
  line('', 'kata-edge', control, 'ratio', 'goal');
}

/** Prints a measurement, how many times better than its control it is, and whether that reaches the goal. */
export function against(one: Measured): void {
  const ratio = ratioOf(one);
  const goal = one.goal === undefined ? '' : `${one.goal}x: ${ratio >= one.goal ? 'met' : 'MISSED'}`;
  const cell = (values: readonly number[]) => summary(values, one.digits);
  line(`${one.what}, ${one.unit}`, cell(one.ours), cell(one.control), `${ratio.toFixed(2)}x`, goal);
}

/** How many times better the medians are than the control's. */
export function ratioOf({ ours, control, better }: Measured): number {
  return better === 'less' ? median(control) / median(ours) : median(ours) / median(control);
}

/** `median (min-max)`, with so many digits after the point. */
export function summary(values: readonly number[], digits = 0): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}
