/** Our runtime and its control, measured one after the other in one run. */
import { step } from '../setup/step.mjs';
import { line } from './table.ts';

export interface Both<T> {
  readonly kata: T;
  readonly runc: T;
}

/** Measures the control, then ours. */
export async function inTurn<A, T>(title: string, what: Both<A>, measure: (what: A) => Promise<T>): Promise<Both<T>> {
  const runc = await step(`${title}, runc`, () => measure(what.runc));
  return { kata: await step(`${title}, kata-edge`, () => measure(what.kata)), runc };
}

export function row<T>(label: string, of: Both<T>, text: (one: T) => string): void {
  line(label, text(of.kata), text(of.runc));
}
