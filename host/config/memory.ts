/** What a guest's memory is made of on the host. */
import { QEMU, type Values } from './values.ts';

const HUGE_PAGES = ['hugetlbfs', 'thp'] as const;
export type HugePages = (typeof HUGE_PAGES)[number];

export interface MemorySettings {
  /** Whether all of it is taken before the guest starts. */
  readonly prealloc: boolean;
  /** Reserved pages (`hugetlbfs`), or those the kernel finds (`thp`); undefined: small ones. */
  readonly hugePages: HugePages | undefined;
  /** Whether the guest tells which pages are free, so that the host has them back. */
  readonly reclaim: boolean;
}

/** @throws KataError `invalid_argument` naming file and key */
export function memoryOf(values: Values): MemorySettings {
  const type = values.choice(QEMU, 'hugepage_type', HUGE_PAGES, 'hugetlbfs');
  const hugePages = values.boolean(QEMU, 'enable_hugepages', false) ? type : undefined;
  const prealloc = values.boolean(QEMU, 'enable_mem_prealloc', false);
  const reclaim = values.boolean(QEMU, 'reclaim_guest_freed_memory', false);
  if (prealloc && reclaim) {
    throw values.invalid(
      QEMU,
      'reclaim_guest_freed_memory',
      'is true together with enable_mem_prealloc: memory is either kept or given back; set one of them to false',
    );
  }
  // Taken at once, since a page that is missing later kills QEMU.
  return { prealloc: prealloc || hugePages === 'hugetlbfs', hugePages, reclaim };
}
