/** The configuration that a sandbox made now would get. */
import { resolve } from 'node:path';
import { searchPathOf } from '../config/files.ts';
import { type Inspection, inspectConfiguration } from '../config/inspect.ts';
import { thisMachine } from '../config/machine.ts';
import type { Call } from './call.ts';
import { libDirectory } from './lib-directory.ts';

export function inspectionOf({ config, environment }: Pick<Call, 'config' | 'environment'>): Promise<Inspection> {
  const lib = libDirectory();
  const lookup = {
    // A user's path may be relative; containerd's may not.
    optionsPath: config === '' ? '' : resolve(config),
    environmentPath: environment.KATA_CONF_FILE ?? '',
    searchPath: searchPathOf(lib),
  };
  return inspectConfiguration(lookup, thisMachine(lib));
}
