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

const LOADS: readonly Load[] = [
  { what: 'echo of 100 bytes, 1 in flight', method: 'Echo', inFlight: 1, bytes: 100, goal: 2 },
  { what: 'echo of 100 bytes, 8 in flight', method: 'Echo', inFlight: 8, bytes: 100, goal: 6 },
  { what: 'echo of 100 bytes, 64 in flight', method: 'Echo', inFlight: 64, bytes: 100, goal: 10 },
  { what: '32 KiB written, 8 in flight', method: 'Write', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
  { what: '32 KiB read, 8 in flight', method: 'Read', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
  { what: '32 KiB each way, 8 in flight', method: 'Echo', inFlight: 8, bytes: BULK_BYTES, goal: 6 },
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
  const idle = { ours: memoryOf(ours.server), go: memoryOf(go.server) };
  head('ttrpc-go');
  for (const load of LOADS) {
    const measured: { ours: Measurement[]; control: Measurement[] } = { ours: [], control: [] };
    for (let run = -1; run < RUNS; run++) {
      const ms = run < 0 ? WARM_UP_MS : MEASURE_MS;
      const [one, other] = [await measure(ours, load, ms), await measure(go, load, ms)];
      if (run < 0) continue;
      measured.ours.push(one);
      measured.control.push(other);
    }
    const values = (of: (one: Measurement) => number) => ({
      ours: measured.ours.map(of),
      control: measured.control.map(of),
    });
    const { what, goal, bytes, method } = load;
    if (bytes === BULK_BYTES)
      against({ what, unit: 'MiB/s', ...values(({ rate }) => (rate * bytes) / MIB), better: 'more', goal });
    else against({ what, unit: '1000/s', ...values(({ rate }) => rate / 1000), better: 'more', goal, digits: 1 });
    const cpu = values((one) => one.cpu);
    if (method === 'Echo')
      against({ what: '  processor time a call, both ends', unit: 'us', ...cpu, better: 'less', digits: 1 });
  }
  line('server when started, MiB', idle.ours, idle.go);
  line('server after all this, MiB', memoryOf(ours.server), memoryOf(go.server));
  line('client after all this, MiB', memoryOf(ours.load), memoryOf(go.load));
}

interface Measurement {
  /** Calls a second. */
  readonly rate: number;
  /** Microseconds of processor time that both processes took for a call. What else the machine does is not in it. */
  readonly cpu: number;
}

async function measure({ server, load }: Pair, { method, inFlight, bytes }: Load, ms: number): Promise<Measurement> {
  const before = processorTime(server.pid) + processorTime(load.pid);
  const answer = (await load.ask(`${method} ${inFlight} ${bytes} ${ms}`)).split(' ').map(Number);
  const [calls = Number.NaN, seconds = Number.NaN] = answer;
  const after = processorTime(server.pid) + processorTime(load.pid);
  return { rate: calls / seconds, cpu: ((after - before) * 1e6) / calls };
}

/** Seconds that a process has run, by /proc/PID/stat: its 14th and 15th fields, in hundredths. */
function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function memoryOf({ pid }: Program): string {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const mib = (key: string) => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
  return `RSS ${mib('Rss').toFixed(0)}, private ${mib('Private_Dirty').toFixed(0)}`;
}
