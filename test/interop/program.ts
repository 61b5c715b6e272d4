/** A peer in another language: a program that serves kata.edge.interop.Peer and checks a server of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Finished, finish } from '../../setup/command.ts';

/** Milliseconds for one check; the peer gives up earlier. */
const CHECK_TIMEOUT_MS = 30_000;

/** Programs and sockets of this process. */
export const directory = mkdtempSync(join(tmpdir(), 'kata-interop-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

export function socketPath(name: string): string {
  return join(directory, `${name}.sock`);
}

/** The names of what the program can check of a server. */
export async function checkNames(program: string): Promise<string[]> {
  return (await finish([program, 'checks'])).stdout.trim().split('\n');
}

/** Runs one check against the server at `socket`. */
export function check(program: string, name: string, socket: string): Promise<Finished> {
  return finish([program, 'check', name, socket], { timeoutMs: CHECK_TIMEOUT_MS });
}

/** Starts the program's server and waits until it listens. */
export async function serve(program: string, socket: string): Promise<ChildProcess> {
  // It says on its standard error what it refuses, which is what some tests ask for.
  const child = spawn(program, ['serve', socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  const first = once(createInterface({ input: child.stdout }), 'line').then(([line]) => String(line));
  const line = await Promise.race([first, once(child, 'exit').then(([code]) => `exit code ${code}`)]);
  if (line !== 'ready') throw new Error(`${program} serve: ${line}, where it was to be ready`);
  return child;
}
