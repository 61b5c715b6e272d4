/** The configuration file that a sandbox made now would get. */
import { findFile, searchPathOf } from '../config/files.ts';
import type { Call } from './call.ts';

/**
 * @param lib directory of the program's files
 * @returns its resolved path; undefined: there is none
 * @throws KataError of `findFile`
 */
export function fileInUse(
  { config, environment }: Pick<Call, 'config' | 'environment'>,
  lib: string,
): string | undefined {
  return findFile({
    optionsPath: config,
    environmentPath: environment.KATA_CONF_FILE ?? '',
    searchPath: searchPathOf(lib),
  });
}
