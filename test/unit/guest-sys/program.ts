/** Programs on QuickJS and guest/sys, built for the machine the tests run on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAgent, QUICKJS_DIRECTORY } from '../../../guest/image/agent.ts';
import { packagesFor } from '../../../guest/image/recipe.ts';
import { buildMachine } from '../../../guest/image/toolchain.ts';
import { fetchPackages, unpack } from '../../../setup/debian.ts';
import { DEBIAN_CACHE } from '../../../setup/paths.ts';

export interface Program {
  readonly path: string;
  /** A directory for the test's files. */
  readonly directory: string;
  remove(): Promise<void>;
}

/** @param entry TypeScript that defines the global function `turn` */
export async function buildProgram(entry: string): Promise<Program> {
  const own = buildMachine();
  const directory = await mkdtemp(join(tmpdir(), 'kata-sys-'));
  const [source] = await fetchPackages([packagesFor(own.arch).quickjs], DEBIAN_CACHE, () => {});
  if (!source) throw new Error('no QuickJS source');
  await unpack(source.file, join(directory, 'quickjs'));
  const quickjs = join(directory, 'quickjs', QUICKJS_DIRECTORY);
  const path = await buildAgent(entry, own, quickjs, source.sha256, directory);
  return { path, directory, remove: () => rm(directory, { recursive: true, force: true }) };
}
