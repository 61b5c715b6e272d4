/** The operator's command: finds the subcommand and runs it. */
import type { Version } from '../shim/info.ts';

/**
 * @param words the command line without the program
 * @returns the exit status
 */
export async function run(words: readonly string[], version: Version): Promise<number> {
  if (words[0] !== '--version') {
    process.stderr.write('kata-runtime: only --version is there yet\n');
    return 1;
  }
  process.stdout.write(`kata-runtime  : ${version.version}\n   commit   : ${version.revision}\n`);
  return 0;
}
