/** What a machine has of cgroups: the hierarchies that are mounted, and where in them this process is. */
import { execFile } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rmdir } from 'node:fs/promises';
import { promisify } from 'node:util';

/** systemd makes it when it is the init process, and nothing else does. */
const SYSTEMD_RUNS = '/run/systemd/system';
/** How long systemd may take to answer, ms. */
const BUSCTL_TIMEOUT_MS = 10_000;

/** One mounted hierarchy; version 2 has a single one. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** `cpu`, `memory`, …; version 1 also `name=systemd`. Version 2: none here, each directory says what it has. */
  readonly controllers: readonly string[];
  /** Where it is mounted. */
  readonly point: string;
  /** Directory this process was in; undefined where it lies outside of what is mounted. */
  readonly own: string | undefined;
}

/** Files of a cgroup file system. Failures are Node's system errors. */
export interface CgroupFiles {
  mkdir(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  read(path: string): Promise<string>;
  /** Never makes a file. */
  write(path: string, text: string): Promise<void>;
  /** The same by the calling thread, before it returns. */
  writeNow(path: string, text: string): void;
  /** Names of directories in a directory. */
  children(path: string): Promise<string[]>;
}

/** A machine; tests bring one of their own. */
export interface CgroupHost {
  readonly files: CgroupFiles;
  readonly hierarchies: readonly Hierarchy[];
  /** Whether systemd is the init process. */
  readonly systemd: boolean;
  /** This process. */
  readonly pid: number;
  /** Calls systemd's manager. @throws what busctl says */
  callSystemd(method: string, ...signatureAndValues: string[]): Promise<void>;
  /** Threads of a process with their names. */
  threads(pid: number): Promise<{ readonly tid: number; readonly name: string }[]>;
}

/** This machine, as it is now. */
export function thisHost(): CgroupHost {
  return {
    files: FILES,
    hierarchies: parseHierarchies(readText('/proc/self/mountinfo'), readText('/proc/self/cgroup')),
    systemd: existsSync(SYSTEMD_RUNS),
    pid: process.pid,
    callSystemd,
    threads: threadsOf,
  };
}

/**
 * @param mountinfo text of /proc/PID/mountinfo, proc(5)
 * @param cgroups text of /proc/PID/cgroup, cgroups(7)
 */
export function parseHierarchies(mountinfo: string, cgroups: string): Hierarchy[] {
  const memberships = cgroups
    .split('\n')
    .map((line) => /^[0-9]+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, names = '', path = '']) => ({ names: names === '' ? [] : names.split(','), path }));
  const found: (Hierarchy & { readonly root: string })[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [type, , options = ''] = right.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const [, , , root = '', point = ''] = left.split(' ').map(plain);
    const version = type === 'cgroup' ? 1 : 2;
    const words = options.split(',');
    const membership = memberships.find(({ names }) =>
      version === 2 ? names.length === 0 : names.length > 0 && names.every((name) => words.includes(name)),
    );
    if (!membership) continue;
    const hierarchy = {
      version,
      controllers: membership.names,
      point,
      root,
      own: within(point, root, membership.path),
    };
    const same = found.findIndex((other) => other.controllers.join() === hierarchy.controllers.join());
    if (same < 0) found.push(hierarchy as Hierarchy & { root: string });
    // Mounted more than once: the mount that shows the whole tree is the one that paths are meant for.
    else if (found[same]?.root !== '/' && root === '/') found[same] = hierarchy as Hierarchy & { root: string };
  }
  return found.map(({ root: _, ...hierarchy }) => hierarchy);
}

/** Octal escapes of mountinfo. */
function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function within(point: string, root: string, path: string): string | undefined {
  if (path.split('/').includes('..')) return undefined;
  const below =
    root === '/' ? path : path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : undefined;
  if (below === undefined) return undefined;
  return below === '/' ? point : `${point}${below}`;
}

const FILES: CgroupFiles = {
  mkdir: async (path) => {
    await mkdir(path, { mode: 0o755 });
  },
  rmdir,
  read: (path) => readFile(path, 'latin1'),
  write: async (path, text) => {
    const file = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      await file.write(text);
    } finally {
      await file.close();
    }
  },
  writeNow: (path, text) => {
    const file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      writeSync(file, text);
    } finally {
      closeSync(file);
    }
  },
  children: async (path) => {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  },
};

async function callSystemd(method: string, ...signatureAndValues: string[]): Promise<void> {
  const target = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
  const argv = ['--system', '--quiet', 'call', ...target, method, ...signatureAndValues];
  await promisify(execFile)('busctl', argv, { timeout: BUSCTL_TIMEOUT_MS });
}

async function threadsOf(pid: number): Promise<{ tid: number; name: string }[]> {
  const tids = await readdir(`/proc/${pid}/task`);
  return Promise.all(
    tids.map(async (tid) => {
      const name = await readFile(`/proc/${pid}/task/${tid}/comm`, 'latin1').catch(() => '');
      return { tid: Number(tid), name: name.trimEnd() };
    }),
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
