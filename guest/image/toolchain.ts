/** Compilers for a target, and how they are called. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KataError } from '../../host/error.ts';
import { finish } from '../../setup/command.ts';
import { machineArch } from '../../setup/debian.ts';
import { ARCHITECTURES, type Architecture, GUEST_BUILD_PACKAGES, GUEST_CROSS_PACKAGES } from './recipe.ts';

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

/**
 * What the target's compilers call themselves, for the hash of what a build is made from.
 * @throws KataError `failed_precondition` naming the packages that are missing
 */
export async function compilerVersions(target: Architecture): Promise<string> {
  const { static: command, glibc } = compilerFor(target);
  let versions = '';
  for (const compiler of [command[0] as string, glibc]) {
    const found = await finish([compiler, '--version']).catch(() => undefined);
    if (found?.code !== 0) {
      const cross = target.arch === machineArch() ? [] : GUEST_CROSS_PACKAGES[target.arch];
      const wanted = [...GUEST_BUILD_PACKAGES, ...cross].join(' ');
      throw new KataError(
        'failed_precondition',
        `the compiler ${compiler} does not run; install the packages ${wanted}`,
      );
    }
    versions += found.stdout;
  }
  return versions;
}

/** The machine that builds, which also runs the byte code compiler. */
export function buildMachine(): Architecture {
  return ARCHITECTURES[machineArch()];
}
