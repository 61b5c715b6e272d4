/** The program in go/, built once a process, and its runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Finished, finish } from '../../setup/command.ts';
import { buildGo, goPackages } from '../../setup/go-packages.ts';
import { DEBIAN_CACHE, GO, GO_CACHE, ROOT } from '../../setup/paths.ts';

/** Milliseconds for one check; the peer gives up earlier. */
const CHECK_TIMEOUT_MS = 30_000;

const directory = mkdtempSync(join(tmpdir(), 'kata-interop-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const program = join(directory, 'peer');

await buildGo(await goPackages(GO, DEBIAN_CACHE, () => {}), join(ROOT, 'test/interop/go'), program, GO_CACHE);

export function socketPath(name: string): string {
  return join(directory, `${name}.sock`);
}

/** The names of what the peer can check of a server. */
export async function checkNames(): Promise<string[]> {
  return (await finish([program, 'checks'])).stdout.trim().split('\n');
}

/** Runs one check against the server at `socket`. */
export function check(name: string, socket: string): Promise<Finished> {
  return finish([program, 'check', name, socket], { timeoutMs: CHECK_TIMEOUT_MS });
}

/** Starts the peer's server and waits until it listens. */
export async function serve(socket: string): Promise<ChildProcess> {
  // It says on its standard error what it refuses, which is what some tests ask for.
  const child = spawn(program, ['serve', socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  if (line !== 'ready') throw new Error(`the peer said ${line} where it was to be ready`);
  return child;
}

/** Starts the peer's decoder of envelopes. */
export function decoder(): ChildProcess {
  return spawn(program, ['decode'], { stdio: ['pipe', 'pipe', 'inherit'] });
}
