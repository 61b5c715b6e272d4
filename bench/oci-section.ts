/** config.json → grpc.Spec beside JSON.parse with the fastest encoders: warm, and in processes that translate once. */
import { deepStrictEqual } from 'node:assert';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { decode } from '../host/proto/codec.ts';
import { Spec } from '../host/proto/messages/oci.ts';
import { succeed } from '../setup/command.ts';
import { BUILD, ROOT } from '../setup/paths.ts';
import { step } from '../setup/step.mjs';
import { PBJS_VERSION, protobufVersion } from './oci/static.ts';
import { bundleVariants, HANDMADE, OURS, STATIC, TWIN, type Variant } from './oci/variants.ts';
import { median } from './statistics.ts';
import { against, head, line } from './table.ts';
import { Program } from './ttrpc/program.ts';

/** A container of a pod: 29 mounts, 92 variables, the default seccomp profile, without white space as containerd writes it. */
const DOCUMENT = join(ROOT, 'test/fixtures/oci/cri-seccomp.json');
const DIRECTORY = join(BUILD, 'bench', 'oci');
const COLD_RUNS = 21;
const WARM_RUNS = 15;

const VARIANTS = [OURS, TWIN, HANDMADE, STATIC] as const;

export async function section(): Promise<void> {
  mkdirSync(DIRECTORY, { recursive: true });
  await step('protobufjs static', () => bundleVariants(DIRECTORY, VARIANTS));
  verify();
  const { length } = readFileSync(DOCUMENT);
  line(`${length} bytes; protobufjs ${protobufVersion()}, pbjs ${PBJS_VERSION}, Node ${process.versions.node}`);
  const warm = await measureWarm();
  const cold = await measureCold();
  const fastest = median(warm(HANDMADE)) < median(warm(TWIN)) ? HANDMADE : TWIN;
  head('control');
  const row = (what: string, of: typeof warm, control: Variant, goal?: number) =>
    against({
      what,
      unit: 'us',
      ours: of(OURS),
      control: of(control),
      better: 'less',
      digits: 1,
      ...(goal === undefined ? {} : { goal }),
    });
  row('warm, JSON.parse + protobufjs static', warm, STATIC, 6);
  row(`warm, ${fastest === TWIN ? 'JavaScript twin' : 'JSON.parse + handmade'}`, warm, fastest, 4);
  row(
    `warm, ${fastest === TWIN ? 'JSON.parse + handmade' : 'JavaScript twin'}`,
    warm,
    fastest === TWIN ? HANDMADE : TWIN,
  );
  row('cold, JSON.parse + protobufjs static', cold, STATIC, 5);
  row('cold, JSON.parse + handmade', cold, HANDMADE);
  row('cold, JavaScript twin', cold, TWIN);
}

/** Every variant says the same. */
function verify(): void {
  const require = createRequire(import.meta.url);
  const json = readFileSync(DOCUMENT);
  const readings = VARIANTS.map(({ name }) => {
    const { translate } = require(join(DIRECTORY, `${name}.cjs`)) as { translate(json: Buffer): Uint8Array };
    return decode(Spec, Uint8Array.from(translate(json)));
  });
  for (const reading of readings) deepStrictEqual(reading, readings[0]);
}

/** Microseconds of a translation, of each variant in turn, each in a process of its own. */
async function measureWarm(): Promise<(variant: Variant) => number[]> {
  const programs: Program[] = [];
  try {
    const started = new Map<Variant, Program>();
    for (const variant of VARIANTS) {
      const argv = [
        process.execPath,
        join(ROOT, 'bench/oci/warm.cjs'),
        join(DIRECTORY, `${variant.name}.cjs`),
        DOCUMENT,
      ];
      const program = await Program.start(argv);
      programs.push(program);
      started.set(variant, program);
    }
    return await inTurn(WARM_RUNS, async (variant) => Number(await started.get(variant)?.ask('again')));
  } finally {
    for (const program of programs) program.stop();
  }
}

/** Microseconds of a process's first translation with all it needs, of each variant in turn. */
function measureCold(): Promise<(variant: Variant) => number[]> {
  const cold = join(ROOT, 'bench/oci/cold.cjs');
  return inTurn(COLD_RUNS, async ({ name }) =>
    Number(await succeed([process.execPath, cold, join(DIRECTORY, `${name}.cjs`), DOCUMENT])),
  );
}

async function inTurn(
  runs: number,
  measure: (variant: Variant) => Promise<number>,
): Promise<(variant: Variant) => number[]> {
  const all = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
  for (let run = -1; run < runs; run++) {
    for (const variant of VARIANTS) {
      const micros = await measure(variant);
      // The first is for the page cache.
      if (run >= 0) all.get(variant)?.push(micros);
    }
  }
  return (variant) => all.get(variant) ?? [];
}
