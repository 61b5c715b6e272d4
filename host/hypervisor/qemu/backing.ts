/** What a guest's memory is made of: QEMU's backend, and whether the host has the pages for it. */
import { readdirSync, readFileSync } from 'node:fs';
import type { MemorySettings } from '../../config/memory.ts';
import { KataError } from '../../error.ts';

/** Where the kernel tells of its huge pages: a directory for each size, `hugepages-<KiB>kB`. */
const HUGE_PAGES = '/sys/kernel/mm/hugepages';
/** Whether shared memory may have transparent huge pages; the word in brackets counts. */
const SHARED_HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
/** Words by which it may, since QEMU asks for them. */
const ALLOWED = ['always', 'within_size', 'advise', 'force'];
const KIB_PER_MIB = 1024;

/** Transparent huge pages lie at multiples of it, in the file and in QEMU's address space, MiB. */
const ALIGN_MIB = 2;

/** Where a guest's memory is to come from. */
export interface Pages {
  /** KiB of the reserved pages to take, of `hugePageSize`. */
  readonly hugePageKib?: number | undefined;
  /** QEMU's number of a file that is memory only; absent: QEMU makes its own. */
  readonly descriptor?: number | undefined;
}

/** Files that tell of huge pages; tests have their own. */
export interface HugePageFiles {
  readonly pools: string;
  readonly shared: string;
}

/** Huge pages of one size. */
interface Pool {
  readonly pageKib: number;
  /** Pages there are, and pages that nobody has or is promised. */
  readonly total: number;
  readonly available: number;
}

/** The memory backend `mem`. Shared: vhost-user daemons map it. */
export function memoryBackend(sizeMib: number, settings: MemorySettings | undefined, pages: Pages = {}): string {
  const { hugePageKib, descriptor } = pages;
  return [
    // A file that QEMU makes by itself is mapped at any page, where no huge one would fit.
    descriptor === undefined
      ? `memory-backend-memfd,id=mem,size=${sizeMib}M,share=on`
      : `memory-backend-file,id=mem,size=${sizeMib}M,mem-path=/proc/self/fd/${descriptor},share=on,align=${ALIGN_MIB}M`,
    ...(hugePageKib === undefined ? [] : [`hugetlb=on,hugetlbsize=${hugePageKib}K`]),
    ...(settings?.prealloc ? ['prealloc=on'] : []),
  ].join(',');
}

/**
 * Looks for the huge pages that the configuration asks for.
 * @returns KiB of the reserved ones to take; undefined: none of them
 * @throws KataError `failed_precondition` with what there is, and what to do
 */
export function hugePageSize(
  sizeMib: number,
  settings: MemorySettings | undefined,
  files: HugePageFiles = { pools: HUGE_PAGES, shared: SHARED_HUGE_PAGES },
): number | undefined {
  if (settings?.hugePages === 'thp') checkShared(files.shared);
  if (settings?.hugePages !== 'hugetlbfs') return undefined;
  const pools = readPools(files.pools);
  const wantedKib = sizeMib * KIB_PER_MIB;
  const fits = (pool: Pool): boolean => wantedKib % pool.pageKib === 0 && wantedKib / pool.pageKib <= pool.available;
  const found = pools.find(fits);
  if (found) return found.pageKib;
  const has = pools.map(
    ({ pageKib, total, available }) => `${available} of ${total} pages of ${size(pageKib)} are free`,
  );
  const [least] = pools;
  const pages = least ? Math.ceil(wantedKib / least.pageKib) : 0;
  throw new KataError(
    'failed_precondition',
    `hypervisor.qemu.enable_hugepages: the virtual machine needs ${sizeMib} MiB of huge pages, and ${has.join(', ') || 'this kernel has none'}` +
      `${least ? `; reserve ${pages} more (sysctl vm.nr_hugepages)` : ''}, use hugepage_type = "thp", or set enable_hugepages to false`,
  );
}

/** Smallest first. */
function readPools(directory: string): Pool[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  const pools = names.flatMap((name) => {
    const pageKib = Number(/^hugepages-([0-9]+)kB$/.exec(name)?.[1] ?? 0);
    if (pageKib === 0) return [];
    const count = (file: string): number => readNumber(`${directory}/${name}/${file}`);
    const spare = Math.max(0, count('nr_overcommit_hugepages') - count('surplus_hugepages'));
    const available = Math.max(0, count('free_hugepages') - count('resv_hugepages') + spare);
    return [{ pageKib, total: count('nr_hugepages') + spare, available }];
  });
  return pools.sort((one, other) => one.pageKib - other.pageKib);
}

function readNumber(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1').trim()) || 0;
  } catch {
    return 0;
  }
}

function checkShared(path: string): void {
  let text = '';
  try {
    text = readFileSync(path, 'latin1').trim();
  } catch {
    // A kernel without them: told below.
  }
  const word = /\[([a-z_]+)\]/.exec(text)?.[1] ?? '';
  if (ALLOWED.includes(word)) return;
  throw new KataError(
    'failed_precondition',
    `hypervisor.qemu.hugepage_type is "thp", but this host gives shared memory no transparent huge pages ` +
      `(${path} ${word ? `is ${word}` : 'does not exist'}); write "advise" into it, or set enable_hugepages to false`,
  );
}

function size(pageKib: number): string {
  return pageKib >= KIB_PER_MIB ? `${pageKib / KIB_PER_MIB} MiB` : `${pageKib} KiB`;
}
