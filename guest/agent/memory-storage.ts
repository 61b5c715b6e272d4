/** Storages that are the guest's own memory: tmpfs, huge pages, directories. */
import type { Storage } from '../../host/proto/messages/agent.ts';
import { AgentError } from './error.ts';
import { mkdirs, readTextIfAny } from './files.ts';
import { mountAt } from './mount.ts';
import type { Guest } from './options.ts';

const SETGID = 0o2000;
const DIRECTORY_MODE = 0o755;

/**
 * A tmpfs, or huge pages.
 * @throws AgentError
 */
export function ephemeral(guest: Guest, storage: Storage, target: string): boolean {
  if (storage.fstype === 'hugetlbfs') return hugePages(guest, storage, target);
  const { group, rest } = groupOf(storage.options);
  mountAt(guest.sys, storage.source || 'tmpfs', target, storage.fstype || 'tmpfs', sized(guest, rest));
  if (group !== undefined) setGroup(guest, target, group);
  return true;
}

/** Options `pagesize=BYTES,size=BYTES`: so many pages are taken from the kernel first. */
function hugePages(guest: Guest, storage: Storage, target: string): boolean {
  const { sys, options } = guest;
  const values = new Map(
    storage.options.flatMap((each) => each.split(',')).map((each) => each.split('=') as [string, string]),
  );
  const page = Number(values.get('pagesize'));
  const size = Number(values.get('size'));
  if (!(page > 0) || !(size > 0))
    throw new AgentError('invalid_argument', 'hugetlbfs: options pagesize=BYTES,size=BYTES are needed');
  const file = `${options.sysRoot}/kernel/mm/hugepages/hugepages-${page / 1024}kB/nr_hugepages`;
  const wanted = Number(readTextIfAny(sys, file) ?? Number.NaN) + Math.ceil(size / page);
  if (!Number.isFinite(wanted))
    throw new AgentError('invalid_argument', `the guest has no huge pages of ${page} bytes`);
  sys.writeFile(file, String(wanted));
  const got = Number(readTextIfAny(sys, file));
  if (got < wanted)
    throw new AgentError('resource_exhausted', `${got} of ${wanted} huge pages of ${page} bytes could be had`);
  mountAt(sys, storage.source, target, 'hugetlbfs', [`pagesize=${page}`, `size=${size}`]);
  return true;
}

/** A plain directory: no mount. */
export function local(guest: Guest, storage: Storage, target: string): boolean {
  const { group, rest } = groupOf(storage.options);
  mkdirs(guest.sys, target, DIRECTORY_MODE);
  const mode = rest.find((option) => /^mode=[0-7]{1,5}$/.test(option));
  // mkdir's mode is subject to the umask.
  if (mode) guest.sys.chmod(target, Number.parseInt(mode.slice('mode='.length), 8));
  if (group !== undefined) setGroup(guest, target, group);
  return false;
}

/**
 * The host's size of a tmpfs, unless the guest is smaller than that: then the kernel's own limit, half of the memory, is
 * what tells a writer in time that there is no more.
 */
function sized({ sys, options: { procRoot } }: Guest, options: readonly string[]): string[] {
  const [, kib] = /^MemTotal:\s+([0-9]+) kB$/m.exec(readTextIfAny(sys, `${procRoot}/meminfo`) ?? '') ?? [];
  const total = kib === undefined ? Number.POSITIVE_INFINITY : Number(kib) * 1024;
  return options.filter((option) => !(/^size=[0-9]+$/.test(option) && Number(option.slice('size='.length)) > total));
}

/** Takes `fsgid=N` out of the options. */
export function groupOf(options: readonly string[]): { group: number | undefined; rest: string[] } {
  const all = options.flatMap((each) => each.split(','));
  const found = all.find((option) => /^fsgid=[0-9]+$/.test(option));
  return {
    group: found === undefined ? undefined : Number(found.slice('fsgid='.length)),
    rest: all.filter((option) => !option.startsWith('fsgid=')),
  };
}

/** A directory and all that is made in it belong to the group. */
export function setGroup(guest: Guest, path: string, group: number): void {
  guest.sys.lchown(path, -1, group);
  guest.sys.chmod(path, (guest.sys.stat(path).mode & 0o7777) | SETGID);
}
