/**
 * `npm run fuzz [-- TARGET [60s | 500000 | hex:BYTES] [SEED]]`: fuzzes one target or, in turns, all of them, until told to stop,
 * for some seconds each, or for a number of cases. `hex:` checks one case again.
 */
import { CaseBuffer } from './buffer.ts';
import { fuzz, type Share } from './target.ts';
import { TARGETS } from './targets.ts';

/** Of each target in turn, where all are fuzzed without end. */
const TURN_MS = 20_000;

const [name = 'all', amount = '', seedText] = process.argv.slice(2);
const names = name === 'all' ? Object.keys(TARGETS) : [name];
let seed = seedText === undefined ? Date.now() % 0x1_0000_0000 : Number(seedText);

if (names.some((each) => !(each in TARGETS)) || !Number.isSafeInteger(seed)) {
  process.stderr.write(`no target ${name}, or no seed ${seedText}; targets: ${Object.keys(TARGETS).join(' ')}\n`);
  process.exit(2);
}
if (amount.startsWith('hex:')) {
  const target = await TARGETS[name]?.();
  await target?.check(new Uint8Array(Buffer.from(amount.slice(4), 'hex')));
  await target?.finish?.();
  process.stdout.write(`${name}: this case breaks nothing\n`);
} else {
  do {
    for (const each of names) await turn(each);
    seed++;
  } while (amount === '');
}

async function turn(each: string): Promise<void> {
  const target = await TARGETS[each]?.();
  if (!target) return;
  const buffer = new CaseBuffer(new Uint8Array(target.room));
  const { cases, milliseconds } = await fuzz(target, buffer, seed, shareOf(amount));
  const rate = Math.round((cases / milliseconds) * 1000);
  process.stdout.write(`${each}: ${cases} cases in ${Math.round(milliseconds / 1000)} s (${rate}/s), seed ${seed}\n`);
}

function shareOf(text: string): Share {
  const seconds = /^(\d+)s$/.exec(text)?.[1];
  if (seconds) return { cases: Number.POSITIVE_INFINITY, milliseconds: Number(seconds) * 1000 };
  if (/^\d+$/.test(text)) return { cases: Number(text), milliseconds: Number.POSITIVE_INFINITY };
  if (text === '') return { cases: Number.POSITIVE_INFINITY, milliseconds: TURN_MS };
  throw new Error(`"${text}" is neither seconds (60s) nor a number of cases nor hex:BYTES`);
}
