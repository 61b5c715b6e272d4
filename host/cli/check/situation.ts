/** What the checks are told: the machine, and what its configuration says. */
import type { Configuration } from '../../config/configuration.ts';
import type { Inspection } from '../../config/inspect.ts';
import { QEMU } from '../../config/values.ts';
import type { Accelerator } from '../../hypervisor/hypervisor.ts';
import type { CheckedMachine } from './machine.ts';

export interface Situation {
  readonly machine: CheckedMachine;
  /** undefined: the files are wrong. It may still ask for what this machine has not. */
  readonly configuration: Configuration | undefined;
  readonly inspection: Pick<Inspection, 'file' | 'errors' | 'ignored' | 'unknown'>;
  /** Directory of the program's files. */
  readonly lib: string;
  /** Finds the accelerator of a QEMU and a kernel, in the end by booting one. */
  readonly accelerator: (qemu: string, kernel: string) => Promise<{ accelerator: Accelerator; reason: string }>;
  /** Loads the addon. @throws what is wrong with it */
  readonly loadAddon: () => void;
}

/** Debian's name of an architecture, which guests go by. */
export function debianArch(arch: string): string {
  return arch === 'x64' ? 'amd64' : arch;
}

export const NO_CONFIGURATION = 'not known without a usable configuration';

/** A path as a failure names it: with the file and line that set it. */
export function placed({ values }: Configuration, key: string, path: string): string {
  return values.isSet(QEMU, key) ? `${values.where(QEMU, key)}: ${path}` : path;
}
