/** What is fuzzed, and the loop that does it. */
import type { CaseBuffer } from './buffer.ts';
import { Random } from './random.ts';

/** Cases between two looks at the clock. */
const CASES_A_LOOK = 64;

export interface Target {
  readonly name: string;
  /** Largest case, bytes. */
  readonly room: number;
  /** Makes a case in an empty buffer. */
  generate(buffer: CaseBuffer, random: Random): void;
  /** Throws what is wrong. All it does follows from `input`, which it must not keep. */
  check(input: Uint8Array): void | Promise<void>;
  /** After the last case: throws what only many cases show; frees what the target holds. */
  finish?(): void | Promise<void>;
}

/** When to stop: whichever comes first. */
export interface Share {
  readonly cases: number;
  readonly milliseconds: number;
}

export interface Outcome {
  readonly cases: number;
  readonly milliseconds: number;
}

/** A case that breaks something, with what repeats it. */
export class Broken extends Error {
  constructor(target: Target, seed: number, index: number, input: Uint8Array, cause: unknown) {
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const hex = Buffer.from(input).toString('hex');
    super(
      `fuzz target ${target.name}, seed ${seed}, case ${index}: ${reason}\n` +
        `again: npm run fuzz -- ${target.name} hex:${hex}\n` +
        'add it to test/fuzz/regressions.ts with the fix',
    );
    this.name = 'Broken';
  }
}

/**
 * Makes and checks cases.
 * @throws Broken at the first that is wrong
 */
export async function fuzz(target: Target, buffer: CaseBuffer, seed: number, share: Share): Promise<Outcome> {
  const random = new Random(seed);
  const began = performance.now();
  let index = 0;
  let milliseconds = 0;
  for (; index < share.cases && milliseconds < share.milliseconds; index++) {
    buffer.length = 0;
    target.generate(buffer, random);
    const input = buffer.case;
    try {
      const checked = target.check(input);
      if (checked) await checked;
    } catch (error) {
      throw new Broken(target, seed, index, input, error);
    }
    if (index % CASES_A_LOOK === 0) milliseconds = performance.now() - began;
  }
  await target.finish?.();
  return { cases: index, milliseconds: performance.now() - began };
}
