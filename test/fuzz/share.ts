/**
 * A share of each target's cases as tests. Every run has another seed, so that runs add up; it is printed, and KATA_FUZZ_SEED
 * repeats it. Counts are cases, not time, so that a seed means the same on every machine.
 */
import { suite } from 'uvu';
import { CaseBuffer } from './buffer.ts';
import { REGRESSIONS } from './regressions.ts';
import { Broken, fuzz } from './target.ts';
import { TARGETS } from './targets.ts';

const given = process.env.KATA_FUZZ_SEED;

/** Runs so many cases of each target, after those that once broke something. */
export function runShare(name: string, shares: Readonly<Record<string, number>>): void {
  const seed = given === undefined ? Date.now() % 0x1_0000_0000 : Number(given);
  const test = suite(`fuzz: ${name}`);
  for (const [each, cases] of Object.entries(shares)) {
    test(`${each}: what once broke it, and ${cases} cases of seed ${seed}`, async () => {
      const target = await TARGETS[each]?.();
      if (!target) throw new Error(`no target ${each}`);
      for (const { hex, why } of REGRESSIONS[each] ?? []) {
        const input = new Uint8Array(Buffer.from(hex, 'hex'));
        try {
          await target.check(input);
        } catch (error) {
          throw new Broken(target, 0, 0, input, new Error(why, { cause: error }));
        }
      }
      const share = { cases, milliseconds: Number.POSITIVE_INFINITY };
      const outcome = await fuzz(target, new CaseBuffer(new Uint8Array(target.room)), seed, share);
      process.stdout.write(`\n${each}: ${cases} cases, seed ${seed}, ${Math.round(outcome.milliseconds)} ms\n`);
    });
  }
  test.run();
}
