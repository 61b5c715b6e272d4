/** The situation of the machine that this runs on. */

import { type Configuration, loadConfiguration } from '../../config/configuration.ts';
import { thisMachine } from '../../config/machine.ts';
import { reasonOf } from '../../error.ts';
import { chooseAccelerator } from '../../hypervisor/qemu/accelerator.ts';
import { native } from '../../native.ts';
import { fileInUse } from '../configuration-file.ts';
import { libDirectory } from '../lib-directory.ts';
import { realMachine } from './machine.ts';
import type { Situation } from './situation.ts';

/** @param config path of --config; empty: the search order holds */
export async function situationHere(config: string, environment: NodeJS.ProcessEnv): Promise<Situation> {
  const lib = libDirectory();
  let file = '';
  let configuration: Configuration | undefined;
  let problem = '';
  try {
    file = fileInUse({ config, environment }, lib) ?? '';
    configuration = await loadConfiguration(file || undefined, thisMachine(lib));
  } catch (thrown) {
    problem = reasonOf(thrown);
  }
  return {
    machine: realMachine(environment),
    configuration,
    file,
    problem,
    lib,
    accelerator: chooseAccelerator,
    loadAddon: () => void native(),
  };
}
