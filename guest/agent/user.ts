/** Users given by name, as the container's own /etc/passwd and /etc/group know them. */
import type { StringUser } from '../../host/proto/messages/agent.ts';
import type { Mount, Process, User } from '../../host/proto/messages/oci.ts';
import { AgentError } from './error.ts';
import type { Guest } from './options.ts';

/** Largest passwd or group file that is read, bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const PASSWD = '/etc/passwd';
/** Largest id. */
const MAX_ID = 0xffff_fffe;

/** Where a container's root file system is. */
interface Rooted {
  readonly bundle: string;
}

/**
 * Numbers are taken as they are; names are looked up in the container.
 * @throws AgentError invalid_argument for unknown names
 */
export function resolveUser(guest: Guest, container: Rooted, user: StringUser): User {
  const passwd = () => records(guest, container, 'passwd');
  const group = () => records(guest, container, 'group');
  const entry = user.uid === '' ? undefined : find(user.uid, passwd);
  const uid = user.uid === '' ? 0 : (number(user.uid) ?? number(entry?.[2] ?? '') ?? unknown('user', user.uid));
  const gid = user.gid === '' ? (number(entry?.[3] ?? '') ?? 0) : groupId(user.gid, group);
  const AdditionalGids = user.additionalGids.map((name) => groupId(name, group));
  return { UID: uid, GID: gid, AdditionalGids, Username: '', Umask: undefined };
}

/**
 * The environment of a process that crun starts. crun finds HOME in /etc/passwd, but gives none to a user who is not in it:
 * other runtimes say `/` then.
 */
export function withHome(guest: Guest, container: Rooted, process: Process, mounts: readonly Mount[]): string[] {
  const { Env, User } = process;
  if (Env.some((each) => each.startsWith('HOME='))) return Env;
  // What is mounted there is seen only from within.
  if (mounts.some(({ destination }) => PASSWD.startsWith(`${destination}/`) || destination === PASSWD)) return Env;
  const known = records(guest, container, 'passwd').some((fields) => number(fields[2] ?? '') === (User?.UID ?? 0));
  return known ? Env : [...Env, 'HOME=/'];
}

function groupId(name: string, group: () => string[][]): number {
  return number(name) ?? number(find(name, group)?.[2] ?? '') ?? unknown('group', name);
}

function find(name: string, all: () => string[][]): string[] | undefined {
  return all().find((fields) => fields[0] === name || fields[2] === name);
}

function unknown(what: string, name: string): never {
  throw new AgentError('invalid_argument', `the container has no ${what} ${JSON.stringify(name)}`);
}

function number(text: string): number | undefined {
  return /^[0-9]{1,10}$/.test(text) && Number(text) <= MAX_ID ? Number(text) : undefined;
}

/** Lines of a file below /etc, split at colons; none where the container has no such regular file. */
function records(guest: Guest, container: Rooted, name: string): string[][] {
  const { sys } = guest;
  const etc = `${container.bundle}/rootfs/etc`;
  // The container owns these names: a link could lead to the guest's own files.
  try {
    if (sys.lstat(etc).type !== 'dir' || sys.lstat(`${etc}/${name}`).type !== 'file') return [];
    const text = new TextDecoder().decode(sys.readFile(`${etc}/${name}`, MAX_FILE_BYTES));
    return text.split('\n').map((line) => line.split(':'));
  } catch {
    return [];
  }
}
