/** The situation of the machine that this runs on. */
import { chooseAccelerator } from '../../hypervisor/qemu/accelerator.ts';
import { native } from '../../native.ts';
import type { Call } from '../call.ts';
import { inspectionOf } from '../inspection.ts';
import { libDirectory } from '../lib-directory.ts';
import { realMachine } from './machine.ts';
import type { Situation } from './situation.ts';

export async function situationHere(call: Pick<Call, 'config' | 'environment'>): Promise<Situation> {
  const inspection = await inspectionOf(call);
  return {
    machine: realMachine(call.environment),
    configuration: inspection.configuration,
    inspection,
    lib: libDirectory(),
    accelerator: chooseAccelerator,
    loadAddon: () => void native(),
  };
}
