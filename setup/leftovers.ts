/**
 * What a container leaves behind on the machine: processes, mounts, cgroups, files and sockets under /run and /dev/shm.
 * A snapshot before, a comparison after.
 */
import { type Dirent, existsSync, lstatSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { links } from './network-namespace.ts';
import { markedProcesses, processes } from './processes.ts';

/** Directories where every new file, socket, FIFO and directory counts; the last one has CNI's results. */
const WATCHED = ['/run', '/dev/shm', '/var/lib/cni'];
/** The same below the daemon's directory: addresses given out, and what containerd holds of tasks, containers and pods. */
const WATCHED_OF_DAEMON = [
  'fifo',
  'ipam',
  'logs',
  'state/io.containerd.runtime.v2.task',
  'state/io.containerd.grpc.v1.cri',
  'root/io.containerd.grpc.v1.cri',
  'root/io.containerd.runtime.v2.task',
];
/** Where `ctr` makes the FIFOs of this containerd, below its directory. */
export const FIFO_DIRECTORY = 'fifo';
const CGROUPS = '/sys/fs/cgroup';
/** Levels below a watched directory that are looked at. */
const DEPTH = 6;
/** Milliseconds between two looks. */
const INTERVAL_MS = 50;
/** Characters of a process's pid and command. */
const COMMAND_LENGTH = 300;

/** Directories which containerd, its clients and runc make once and keep for good. */
const KEPT = [
  /^\/run\/containerd(\/s|\/runc(\/[^/]+)?)?$/,
  // Clients of every containerd of the machine share it; ours are told to use FIFO_DIRECTORY.
  /^\/run\/containerd\/fifo(\/.*)?$/,
  /^\/run\/kata-containers$/,
  // Where Kata's tools look for management sockets: its monitor watches the directory.
  /^\/run\/vc(\/sbs)?$/,
  // Where disks for sandboxes are recorded.
  /^\/run\/kata-containers\/shared(\/direct-volumes)?$/,
  /^\/var\/lib\/cni(\/results)?$/,
  // host-local's memory of where it was, and its lock.
  /\/ipam\/[^/]+(\/last_reserved_ip\.\d+|\/lock)?$/,
  // Directories for all of a kind.
  /\/(root|state)\/io\.containerd\.runtime\.v2\.task\/[^/]+$/,
  /\/(root|state)\/io\.containerd\.grpc\.v1\.cri\/(sandboxes|containers|netns)$/,
  // The state of the machine's own containerd, and of its plugins.
  /^\/run\/containerd\/io\.containerd\.[^/]+(\/.*)?$/,
  /^\/run\/nri(\/.*)?$/,
  /^\/run\/user(\/.*)?$/,
  /^\/run\/lock(\/.*)?$/,
];

/** Bridges of setup/cni.ts, made for the first pod and kept. */
const BRIDGE = /^cni\d$/;

/** cgroups and network namespaces of unit tests, which may run meanwhile. */
const UNIT_TEST = /\/kata-test-\d+-|^\/run\/netns\/kata-(pod|peer)-[0-9a-f]{8}$/;

/** The cgroup of a private containerd, or the one of its pods: named after its directory. */
const DAEMON_CGROUP = /\/(ke-[A-Za-z0-9]{6})(-pods)?(\/|$)/;

/** What runc keeps of a container, what a shim of ours keeps, and a shim's socket: they tell whose they are only by what is in them or beside them. */
const RUNC_STATE = /^\/run\/containerd\/runc\/[^/]+\/[^/]+/;
const SANDBOX = /^\/run\/kata-containers\/[0-9a-f]{32}/;
const SHIM_SOCKET = /^\/run\/containerd\/s\/[0-9a-f]{64}$/;

export interface Snapshot {
  readonly files: ReadonlySet<string>;
  readonly mounts: ReadonlySet<string>;
  readonly cgroups: ReadonlySet<string>;
  /** `pid:start time` of the containerd's own processes. */
  readonly processes: ReadonlySet<string>;
  /** Network links in the daemon's own network namespace, where it has one. */
  readonly links: ReadonlySet<string>;
}

export interface Leftover {
  readonly kind: 'process' | 'mount' | 'file' | 'cgroup' | 'link';
  /** A path, or a pid and the command. */
  readonly what: string;
}

/**
 * What is there now.
 * @param mark directory of the private containerd whose processes are meant
 */
export function snapshot(mark: string): Snapshot {
  return {
    files: new Set(
      [...WATCHED, ...WATCHED_OF_DAEMON.map((name) => `${mark}/${name}`)].flatMap((directory) =>
        walk(directory, DEPTH, false),
      ),
    ),
    mounts: new Set(mountPoints()),
    cgroups: new Set(walk(CGROUPS, DEPTH, true)),
    processes: new Set(markedProcesses(mark).map((process) => `${process.pid}:${process.startTime}`)),
    links: new Set(mountPoints().includes(`${mark}/netns`) ? links(`${mark}/netns`) : []),
  };
}

/**
 * What has been added since `before`. Ends as soon as nothing is left, so that clean-up may still be under way when it is called.
 * @param withinMs milliseconds that clean-up may take
 * @param forgiven what does not count
 */
export async function leftovers(
  before: Snapshot,
  mark: string,
  withinMs: number,
  forgiven?: RegExp,
): Promise<Leftover[]> {
  for (const deadline = Date.now() + withinMs; ; await sleep(INTERVAL_MS)) {
    const found = added(before, mark).filter(({ what }) => !forgiven?.test(what));
    if (found.length === 0 || Date.now() > deadline) return found;
  }
}

/** Removes files and cgroups that were left, deepest first, as far as that goes; processes and mounts are the caller's. */
export function sweep(found: readonly Leftover[]): void {
  for (const { kind, what } of [...found].reverse()) {
    try {
      if (kind === 'file') lstatSync(what).isDirectory() ? rmdirSync(what) : unlinkSync(what);
      else if (kind === 'cgroup') rmdirSync(what);
    } catch {
      // Gone meanwhile, or still in use: a later look will tell.
    }
  }
}

function added(before: Snapshot, mark: string): Leftover[] {
  const now = snapshot(mark);
  const own = markedProcesses(mark);
  const ownPids = new Set(own.map((process) => process.pid));
  const strangers = [strangersText(ownPids), ...othersBundles(mark)].join('\n');
  const foreign = (path: string) => keysIn(path).some((key) => strangers.includes(key));
  const fresh = (now: ReadonlySet<string>, then: ReadonlySet<string>) => [...now].filter((entry) => !then.has(entry));
  const files = fresh(now.files, before.files).filter(
    (path) =>
      !foreign(path) &&
      !KEPT.some((kept) => kept.test(path)) &&
      !UNIT_TEST.test(path) &&
      !isOfAnotherDaemon(path, mark),
  );
  const mounts = fresh(now.mounts, before.mounts).filter(
    (path) => isOurs(path, mark) && !foreign(path) && !UNIT_TEST.test(path),
  );
  const cgroups = fresh(now.cgroups, before.cgroups).filter(
    (path) =>
      isOwnCgroup(path, mark) && !isNamespaceCgroup(path) && !UNIT_TEST.test(path) && !hasStranger(path, ownPids),
  );
  const running = own.filter((process) => !before.processes.has(`${process.pid}:${process.startTime}`));
  const named = running.map((process) =>
    `${process.pid} ${process.command || `[${process.name}]`}`.slice(0, COMMAND_LENGTH),
  );
  const of = (kind: Leftover['kind'], all: readonly string[]) => all.map((what) => ({ kind, what }));
  return [
    ...of('process', named),
    ...of('mount', mounts),
    ...of('file', files),
    ...of('cgroup', cgroups),
    ...of(
      'link',
      fresh(now.links, before.links).filter((name) => !BRIDGE.test(name)),
    ),
  ];
}

/** A mount anywhere else is another program's. */
function isOurs(path: string, mark: string): boolean {
  return [mark, ...WATCHED].some((directory) => path === directory || path.startsWith(`${directory}/`));
}

function isOwnCgroup(path: string, mark: string): boolean {
  const daemon = DAEMON_CGROUP.exec(path)?.[1];
  return daemon === undefined || daemon === basename(mark);
}

/** The cgroup of a containerd namespace (`default`) is made for its first container and kept, by runc as by others. */
function isNamespaceCgroup(path: string): boolean {
  const unified = existsSync(`${CGROUPS}/cgroup.controllers`);
  return path.slice(CGROUPS.length + 1).split('/').length === (unified ? 1 : 2);
}

/**
 * Sandboxes of another containerd of this machine may come and go meanwhile: their files bear a hash that is also in the
 * arguments of their processes.
 */
function strangersText(own: ReadonlySet<number>): string {
  return processes()
    .filter((process) => !own.has(process.pid))
    .map((process) => process.command)
    .join('\n');
}

/** Whether a file under /run belongs to another containerd of this machine. */
function isOfAnotherDaemon(path: string, mark: string): boolean {
  const runc = RUNC_STATE.exec(path)?.[0];
  if (runc !== undefined) {
    const state = content(`${runc}/state.json`);
    return state !== '' && !state.includes(`${mark}/`);
  }
  const sandbox = SANDBOX.exec(path)?.[0];
  if (sandbox !== undefined) {
    const state = content(`${sandbox}/state.json`);
    return state !== '' && !state.includes(`${mark}/`);
  }
  return SHIM_SOCKET.test(path) && othersAddresses(mark).some((address) => address.includes(path));
}

/** Tasks of other private containerds, and of the machine's own: `<state>/<namespace>/<id>`. */
function othersBundles(mark: string): string[] {
  const parent = dirname(mark);
  const places = walk(parent, 1, true)
    .filter((path) => path.startsWith(`${parent}/ke-`) && path !== mark)
    .map((path) => `${path}/state`);
  const tasks = [...places, '/run/containerd'].map((state) => `${state}/io.containerd.runtime.v2.task`);
  // Namespace, then task.
  return tasks.flatMap((directory) => walk(directory, 2, true));
}

/** What their shims have written down of their sockets. */
function othersAddresses(mark: string): string[] {
  return othersBundles(mark).flatMap((bundle) =>
    ['address', 'bootstrap.json'].map((name) => content(`${bundle}/${name}`)),
  );
}

function content(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function keysIn(path: string): string[] {
  return path.match(/[0-9a-f]{32}/g) ?? [];
}

function hasStranger(cgroup: string, own: ReadonlySet<number>): boolean {
  try {
    const pids = readFileSync(`${cgroup}/cgroup.procs`, 'latin1').split('\n').filter(Boolean);
    return pids.some((pid) => !own.has(Number(pid)));
  } catch {
    return false;
  }
}

/** Mount points of this mount namespace. Octal escapes stay as they are: paths of ours have none. */
export function mountPoints(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path !== '');
}

/** Paths below `directory`, which itself is left out. Symbolic links are not followed. */
function walk(directory: string, depth: number, onlyDirectories: boolean): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (!entry.isDirectory()) return onlyDirectories ? [] : [path];
    return [path, ...(depth > 1 ? walk(path, depth - 1, onlyDirectories) : [])];
  });
}
