/** Calls between two processes over a unix socket: both ends ours, and both ends ttrpc-go. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { buildGo, goPackages } from '../setup/go-packages.ts';
import { DEBIAN_CACHE, GO, GO_CACHE, ROOT } from '../setup/paths.ts';
import { step } from '../setup/step.mjs';
import { RUNS } from './statistics.ts';
import { against, head, line } from './table.ts';
import { Program } from './ttrpc/program.ts';

/** Milliseconds of one measurement, and of what comes before the first of each kind: compilers and pools settle. */
const MEASURE_MS = 600;
const WARM_UP_MS = 1500;
const MIB = 2 ** 20;
const BULK_BYTES = 32 * 1024;

interface Load {
  readonly what: string;
  readonly method: 'Echo' | 'Write' | 'Read';
  readonly inFlight: number;
  readonly bytes: number;
  readonly goal: number;
}

const SMALL: readonly Load[] = [
  { what: 'echo of 100 bytes, 1 in flight', method: 'Echo', inFlight: 1, bytes: 100, goal: 2 },
  { what: 'echo of 100 bytes, 8 in flight', method: 'Echo', inFlight: 8, bytes: 100, goal: 6 },
  { what: 'echo of 100 bytes, 64 in flight', method: 'Echo', inFlight: 64, bytes: 100, goal: 10 },
];
const BULK: readonly Load[] = [
  { what: '32 KiB written, 8 in flight', method: 'Write', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
  { what: '32 KiB read, 8 in flight', method: 'Read', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
  { what: '32 KiB both ways, 8 in flight', method: 'Echo', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
];

/** A server and its load, each a process. */
interface Pair {
  readonly server: Program;
  readonly load: Program;
}

export async function section(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kata-bench-'));
  const programs: Program[] = [];
  try {
    const packages = await step('Go', () => goPackages(GO, DEBIAN_CACHE, () => {}));
    const control = join(directory, 'go');
    await step('ttrpc-go', () => buildGo(packages, join(ROOT, 'bench/ttrpc/go'), control, GO_CACHE));
    await bundle(directory);
    const ours = await pair(programs, (role) => [process.execPath, join(directory, `${role}.mjs`)], directory, 'ours');
    const go = await pair(programs, (role) => [control, role], directory, 'go');
    line(`Go ${packages.versions.go}, ttrpc-go ${packages.versions.ttrpc}, Node ${process.versions.node}`);
    await compare(ours, go);
  } finally {
    for (const program of programs) program.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As the shim is bundled. */
async function bundle(outdir: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: { serve: 'bench/ttrpc/serve.ts', load: 'bench/ttrpc/load.ts' },
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    logLevel: 'warning',
  });
}

async function pair(
  programs: Program[],
  argv: (role: 'serve' | 'load') => readonly string[],
  directory: string,
  name: string,
): Promise<Pair> {
  const socket = join(directory, `${name}.sock`);
  const start = async (role: 'serve' | 'load'): Promise<Program> => {
    const program = await Program.start([...argv(role), socket]);
    programs.push(program);
    return program;
  };
  return { server: await start('serve'), load: await start('load') };
}

async function compare(ours: Pair, go: Pair): Promise<void> {
  head('ttrpc-go');
  for (const load of [...SMALL, ...BULK]) {
    const bulk = BULK.includes(load);
    const values = { ours: [] as number[], control: [] as number[] };
    for (let run = -1; run < RUNS; run++) {
      const ms = run < 0 ? WARM_UP_MS : MEASURE_MS;
      const measured = { ours: await rate(ours, load, ms), control: await rate(go, load, ms) };
      if (run < 0) continue;
      values.ours.push(bulk ? (measured.ours * load.bytes) / MIB : measured.ours / 1000);
      values.control.push(bulk ? (measured.control * load.bytes) / MIB : measured.control / 1000);
    }
    const { what, goal } = load;
    against({ what, unit: bulk ? 'MiB/s' : 'thousand/s', ...values, better: 'more', goal, digits: bulk ? 0 : 1 });
  }
  memory('server', ours.server, go.server);
  memory('client', ours.load, go.load);
}

/** Calls a second. */
async function rate({ load }: Pair, { method, inFlight, bytes }: Load, ms: number): Promise<number> {
  const [calls, seconds] = (await load.ask(`${method} ${inFlight} ${bytes} ${ms}`)).split(' ').map(Number);
  return (calls ?? Number.NaN) / (seconds ?? Number.NaN);
}

function memory(what: string, ours: Program, go: Program): void {
  line(`${what}'s memory after all this, MiB`, residence(ours.pid), residence(go.pid));
}

function residence(pid: number): string {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const mib = (key: string) => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
  return `RSS ${mib('Rss').toFixed(1)}, private ${mib('Private_Dirty').toFixed(1)}`;
}
