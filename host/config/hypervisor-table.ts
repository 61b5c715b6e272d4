/** Which hypervisor a configuration is for. */
import { KataError } from '../error.ts';
import type { Merged } from './files.ts';
import { nearest } from './nearest.ts';
import { placeOf, show } from './show.ts';
import { type HypervisorTable, QEMU, REMOTE } from './values.ts';

/**
 * The table that `runtime.hypervisor_name` names, else the one that is there. A file for another hypervisor is a mistake, not a
 * wish for QEMU with its defaults.
 * @throws KataError `invalid_argument` naming file and table
 */
export function hypervisorTable(merged: Merged, file: string | undefined): HypervisorTable {
  const chosen = merged.get('runtime')?.get('hypervisor_name');
  // Of another type it is told of with all other keys.
  if (chosen && chosen.value !== '' && typeof chosen.value === 'string') {
    if (chosen.value === 'qemu') return QEMU;
    if (chosen.value === 'remote') return REMOTE;
    throw invalid(
      `${placeOf(chosen)}: runtime.hypervisor_name is ${show(chosen.value)}; it must be "qemu" or "remote"; name Kata's file for QEMU by ConfigPath in containerd's runtime options, or set it to "qemu"`,
    );
  }
  const tables = [...merged.keys()].filter((table) => /^hypervisor\.[^.]+$/.test(table));
  const [qemu, remote] = [tables.includes(QEMU), tables.includes(REMOTE)];
  if (qemu && remote) {
    throw invalid(`configuration ${file}: [${QEMU}] and [${REMOTE}] are there; say which by runtime.hypervisor_name`);
  }
  if (remote) return REMOTE;
  if (qemu || tables.length === 0) return QEMU;
  const [other = ''] = tables;
  const name = other.slice('hypervisor.'.length);
  const meant = nearest(name, ['qemu', 'remote']);
  const first = [...(merged.get(other)?.values() ?? [])][0];
  const where = first ? placeOf({ file: first.file }) : `configuration ${file}`;
  throw invalid(
    `${where}: [${other}] is not supported; ${meant ? `did you mean [hypervisor.${meant}]?` : `the hypervisor is [${QEMU}] or [${REMOTE}]: use Kata's file for QEMU`}`,
  );
}

function invalid(text: string): KataError {
  return new KataError('invalid_argument', text);
}
