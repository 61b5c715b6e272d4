/** Which hypervisor a configuration is for. */
import { KataError } from '../error.ts';
import type { Merged } from './files.ts';
import { type HypervisorTable, QEMU, REMOTE, show } from './values.ts';

/**
 * The table that `runtime.hypervisor_name` names, else the one that is there. A file for another hypervisor is a mistake, not a
 * wish for QEMU with its defaults.
 * @throws KataError `invalid_argument` naming file and table
 */
export function hypervisorTable(merged: Merged, file: string | undefined): HypervisorTable {
  const chosen = merged.get('runtime')?.get('hypervisor_name');
  if (chosen && chosen.value !== '') {
    if (chosen.value === 'qemu') return QEMU;
    if (chosen.value === 'remote') return REMOTE;
    throw invalid(`${chosen.file}: runtime.hypervisor_name is ${show(chosen.value)}; it must be "qemu" or "remote"`);
  }
  const tables = [...merged.keys()].filter((table) => /^hypervisor\.[^.]+$/.test(table));
  const [qemu, remote] = [tables.includes(QEMU), tables.includes(REMOTE)];
  if (qemu && remote) {
    throw invalid(`configuration ${file}: [${QEMU}] and [${REMOTE}] are there; say which by runtime.hypervisor_name`);
  }
  if (remote) return REMOTE;
  if (qemu || tables.length === 0) return QEMU;
  throw invalid(`configuration ${file}: [${tables[0]}] is not supported; the hypervisor is [${QEMU}] or [${REMOTE}]`);
}

function invalid(text: string): KataError {
  return new KataError('invalid_argument', text);
}
