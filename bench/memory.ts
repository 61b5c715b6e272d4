/** What processes take of the host's memory. */
import { readFileSync } from 'node:fs';
import type { Process } from '../setup/processes.ts';

export interface Memory {
  readonly name: string;
  /** Written pages that nobody else has, MiB. Clean ones are program text of the page cache: theirs to share, or to drop. */
  readonly privateMib: number;
  /** Private pages and the process's share of the others, MiB. */
  readonly pssMib: number;
}

/** By /proc/PID/smaps_rollup; undefined when the process has ended. */
export function memoryOf(process: Process): Memory | undefined {
  try {
    const text = readFileSync(`/proc/${process.pid}/smaps_rollup`, 'latin1');
    const kib = (key: string) => Number(new RegExp(`^${key}: +(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
    return {
      name: process.name,
      privateMib: (kib('Private_Dirty') + kib('Private_Hugetlb')) / 1024,
      pssMib: kib('Pss') / 1024,
    };
  } catch {
    return undefined;
  }
}
