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
import { bundleVariants, CORE, HANDMADE, OURS, STATIC, TWIN, type Variant } from './oci/variants.ts';
import { against, head, line } from './table.ts';
import { Program } from './ttrpc/program.ts';

/** A container of a pod: 29 mounts, 92 variables, the default seccomp profile, without white space as containerd writes it. */
const DOCUMENT = join(ROOT, 'test/fixtures/oci/cri-seccomp.json');
const DIRECTORY = join(BUILD, 'bench', 'oci');
const COLD_RUNS = 21;
const WARM_RUNS = 15;

const VARIANTS = [CORE, OURS, TWIN, HANDMADE, STATIC] as const;

type Measured = (variant: Variant) => number[];

export async function section(): Promise<void> {
  mkdirSync(DIRECTORY, { recursive: true });
  await step('protobufjs static', () => bundleVariants(DIRECTORY, VARIANTS));
  verify();
  const { length } = readFileSync(DOCUMENT);
  line(`${length} bytes; protobufjs ${protobufVersion()}, pbjs ${PBJS_VERSION}, Node ${process.versions.node}`);
  line(
    'processor time, which other load on the machine does not change; cold: from reading the bundle to the first translation',
  );
  const warm = await measureWarm();
  const cold = await measureCold('plain');
  for (const { name } of VARIANTS) await runCold(name, 'compile');
  const compiled = await measureCold('compiled');
  head('control');
  row('warm, protobufjs static', warm, OURS, STATIC, 6);
  row('warm, JSON.parse + handmade', warm, OURS, HANDMADE, 4);
  row('warm, JavaScript twin', warm, OURS, TWIN, 4);
  row('cold, protobufjs static', cold, CORE, STATIC, 5);
  row('cold with twin, protobufjs static', cold, OURS, STATIC);
  row('cold with twin, JSON.parse + handmade', cold, OURS, HANDMADE);
  row('both compiled before, protobufjs static', compiled, OURS, STATIC);
}

function row(what: string, of: Measured, ours: Variant, control: Variant, goal?: number): void {
  const numbers = { ours: of(ours), control: of(control), better: 'less', digits: 1 } as const;
  against({ what, unit: 'us', ...numbers, ...(goal === undefined ? {} : { goal }) });
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
async function measureWarm(): Promise<Measured> {
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
function measureCold(how: 'plain' | 'compiled'): Promise<Measured> {
  return inTurn(COLD_RUNS, ({ name }) => runCold(name, how));
}

async function runCold(name: string, how: 'plain' | 'compile' | 'compiled'): Promise<number> {
  const cold = join(ROOT, 'bench/oci/cold.cjs');
  return Number(await succeed([process.execPath, cold, join(DIRECTORY, `${name}.cjs`), DOCUMENT, how]));
}

async function inTurn(runs: number, measure: (variant: Variant) => Promise<number>): Promise<Measured> {
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
