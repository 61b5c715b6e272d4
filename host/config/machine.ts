/** What defaults depend on. */
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  /** Node's name: x64, arm64. */
  readonly arch: string;
  /** Directory of our guest's kernel and initramfs. */
  readonly guest: string;
  readonly cpus: number;
  /** MiB. */
  readonly memoryMib: number;
}

/** This machine, with guest assets beside the program at `lib`. */
export function thisMachine(lib: string): Machine {
  const arch = process.arch;
  const debian = arch === 'x64' ? 'amd64' : arch;
  return {
    arch,
    guest: join(lib, '..', 'share', 'guest', debian),
    cpus: availableParallelism(),
    memoryMib: Math.floor(totalmem() / 2 ** 20),
  };
}
