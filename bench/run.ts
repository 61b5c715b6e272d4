/**
 * `npm run bench`: every section beside its control, in one run. `npm run bench -- SECTION...` runs some. Each number is the median
 * of RUNS measurements, with minimum and maximum.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../host/error.ts';
import { build } from '../setup/builds.ts';
import { ROOT } from '../setup/paths.ts';
import { RUNS } from './statistics.ts';

/** What each section measures; its module is loaded when its turn comes. */
const SECTIONS: Readonly<Record<string, () => Promise<{ section(): Promise<void> }>>> = {
  containers: () => import('./containers-section.ts'),
  pods: () => import('./pods-section.ts'),
  overhead: () => import('./overhead-section.ts'),
  boots: () => import('./boots-section.ts'),
  ttrpc: () => import('./ttrpc-section.ts'),
  remote: () => import('./remote-section.ts'),
  stdio: () => import('./stdio-section.ts'),
  scan: () => import('./scan-section.ts'),
  oci: () => import('./oci-section.ts'),
};

// Where it is set, Node reads certificates at every start, which is none of the shim's doing.
delete process.env.NODE_EXTRA_CA_CERTS;

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main(wanted: string[]): Promise<void> {
  const names = wanted.length > 0 ? wanted : Object.keys(SECTIONS);
  const unknown = names.find((name) => !Object.hasOwn(SECTIONS, name));
  if (unknown) throw new Error(`there is no section ${unknown}: ${Object.keys(SECTIONS).join(', ')}`);
  await build();
  printMachine();
  for (const name of names) {
    const { section } = (await SECTIONS[name]?.()) ?? {};
    process.stdout.write(`\n${name} (load ${loadavg()[0]?.toFixed(1)})\n`);
    await section?.();
  }
}

function printMachine(): void {
  const cpu = /^(?:model name|Processor)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch;
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const rows = {
    machine: `${cpu}, ${availableParallelism()} CPUs, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    versions: `kata-edge ${version}, Node ${process.versions.node}`,
    'each number': `median (minimum-maximum) of ${RUNS}, unless a row says otherwise`,
  };
  for (const [label, text] of Object.entries(rows)) process.stdout.write(`${label}: ${text}\n`);
}
