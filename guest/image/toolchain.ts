/** Compilers for a target, and how they are called. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { machineArch } from '../../setup/debian.ts';
import { ARCHITECTURES, type Architecture } from './recipe.ts';

export const GUEST_DIRECTORY = dirname(dirname(fileURLToPath(import.meta.url)));
/** Our C. */
export const SYS_DIRECTORY = join(GUEST_DIRECTORY, 'sys');

export interface Compiler {
  /** Command and options for the static binary. */
  readonly static: readonly string[];
  /** Command for a shared library beside Debian's glibc. */
  readonly glibc: string;
}

/**
 * musl where it is the machine's own architecture; Debian has no musl for another, so that glibc, larger but static too,
 * takes its place.
 */
export function compilerFor(target: Architecture): Compiler {
  const glibc = `${target.triplet}-gcc`;
  if (target.arch !== machineArch()) return { static: [glibc, '-static'], glibc };
  // musl brings no kernel headers; these come last, so that no header of glibc is taken for one of musl's.
  const headers = ['/usr/include', `/usr/include/${target.triplet}`].flatMap((path) => ['-idirafter', path]);
  return { static: ['musl-gcc', '-static', ...headers], glibc };
}

/** The machine that builds, which also runs the byte code compiler. */
export function buildMachine(): Architecture {
  return ARCHITECTURES[machineArch()];
}
