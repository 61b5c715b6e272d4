/** The configuration that a sandbox made now would get. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { searchPathOf } from '../config/files.ts';
import { type Inspection, inspectConfiguration } from '../config/inspect.ts';
import { thisMachine } from '../config/machine.ts';
import { KataError } from '../error.ts';
import type { Call } from './call.ts';
import { libDirectory } from './lib-directory.ts';

/** @throws KataError `not_found`: --config names no file */
export async function inspectionOf({ config, environment }: Pick<Call, 'config' | 'environment'>): Promise<Inspection> {
  const lib = libDirectory();
  if (config !== '' && !existsSync(config)) {
    throw new KataError('not_found', `--config ${config}: there is no such file`);
  }
  const lookup = {
    // A user's path may be relative; containerd's may not.
    optionsPath: config === '' ? '' : resolve(config),
    environmentPath: environment.KATA_CONF_FILE ?? '',
    searchPath: searchPathOf(lib),
  };
  return inspectConfiguration(lookup, thisMachine(lib));
}
