/** The program in go/, built once a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildGo, goPackages } from '../../setup/go-packages.ts';
import { DEBIAN_CACHE, GO, GO_CACHE, ROOT } from '../../setup/paths.ts';
import { directory } from './program.ts';

export const goPeer = join(directory, 'peer');

await buildGo(await goPackages(GO, DEBIAN_CACHE, () => {}), join(ROOT, 'test/interop/go'), goPeer, GO_CACHE);

/** Starts the peer's decoder of envelopes. */
export function decoder(): ChildProcess {
  return spawn(goPeer, ['decode'], { stdio: ['pipe', 'pipe', 'inherit'] });
}
