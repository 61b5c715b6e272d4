/** Output of an exec through a shim's FIFO, read by a program that does nothing else: the same for every shim. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { finish } from '../setup/command.ts';
import type { ShimExec } from './shim-exec.ts';

/** KiB the process in the container writes at a time: what a FIFO takes in one piece. */
const BLOCK_KIB = 64;

let serial = 0;

/** A reader of a FIFO that counts what it reads. */
interface Reader {
  /** Bytes, once the FIFO has ended. */
  readonly done: Promise<number>;
}

/**
 * Has a container write zeros to its stdout.
 * @returns milliseconds from the exec's start until its reader has seen the end
 * @throws Error when bytes are missing
 */
export async function pour(shim: ShimExec, mib: number): Promise<number> {
  const path = join(shim.directory, `pour-${serial++}`);
  await finish(['mkfifo', path]);
  const reader = read(path);
  const command = ['dd', 'if=/dev/zero', `bs=${BLOCK_KIB}k`, `count=${(mib * 1024) / BLOCK_KIB}`];
  const exec = await shim.prepare(command, path);
  const since = performance.now();
  await exec.start();
  const bytes = await reader.done;
  const ms = performance.now() - since;
  await exec.end();
  if (bytes !== mib * 2 ** 20) throw new Error(`${bytes} bytes of ${mib} MiB arrived`);
  return ms;
}

/** An exec that writes for ever. */
export interface Chatter {
  stop(): Promise<void>;
}

/** Has a container write to its stdout, as fast as it is read, until it is stopped. */
export async function chatter(shim: ShimExec): Promise<Chatter> {
  const path = join(shim.directory, `pour-${serial++}`);
  await finish(['mkfifo', path]);
  const reader = read(path);
  const exec = await shim.prepare(['dd', 'if=/dev/zero', `bs=${BLOCK_KIB}k`], path);
  await exec.start();
  return {
    stop: async () => {
      await exec.kill();
      await reader.done;
    },
  };
}

/** dd tells what it has read when it ends. */
function read(path: string): Reader {
  const child = spawn('dd', [`if=${path}`, 'of=/dev/null', 'bs=1M'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  return { done: once(child, 'close').then(() => Number(/^(\d+) bytes/m.exec(said)?.[1])) };
}
