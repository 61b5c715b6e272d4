/** What PID 1 does before it serves: the root, the mounts, the modules, the loopback interface. */
import { reasonOf } from './error.ts';
import type { Loop } from './loop-interface.ts';
import { loadListed, type ModuleList, readModuleList, virtioDevices } from './modules.ts';
import { linkUp } from './network.ts';
import type { Sys } from './sys.ts';

// mount(2) flags.
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MS_MOVE = 8192;

const NEW_ROOT = '/newroot';
const CGROUP_ROOT = '/sys/fs/cgroup';
/** Controllers given to containers, as far as the kernel has them. */
const CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];
const MAX_CONTROLLERS_BYTES = 4096;

/** source, target, type, flags, data */
const MOUNTS: readonly (readonly [string, string, string, number, string])[] = [
  ['proc', '/proc', 'proc', MS_NOSUID | MS_NODEV | MS_NOEXEC, ''],
  ['sysfs', '/sys', 'sysfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, ''],
  ['devtmpfs', '/dev', 'devtmpfs', MS_NOSUID, 'mode=755'],
  ['devpts', '/dev/pts', 'devpts', MS_NOSUID | MS_NOEXEC, 'gid=5,mode=620,ptmxmode=666'],
  ['tmpfs', '/dev/shm', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=1777'],
  ['tmpfs', '/run', 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755'],
  ['cgroup2', CGROUP_ROOT, 'cgroup2', MS_NOSUID | MS_NODEV | MS_NOEXEC, 'nsdelegate'],
];

/**
 * Makes the machine ready to serve.
 * @returns what is left to do
 * @throws SysError where nothing can work without what failed
 */
export function boot(sys: Sys): ModuleList {
  leaveInitramfs(sys);
  for (const [source, target, type, flags, data] of MOUNTS) {
    makeDirectory(sys, target);
    sys.mount(source, target, type, flags, data);
  }
  sys.symlink('/proc/self/fd', '/dev/fd');
  delegateControllers(sys);
  const modules = readModuleList(sys);
  const devices = virtioDevices(sys);
  for (const line of modules.early) loadListed(sys, line, devices);
  return modules;
}

/**
 * What a sandbox needs but the agent's first answers do not, one piece a turn: linking the modules takes as long as all of
 * the agent's start, and the host has work of its own to do after the first answer. Never rejects.
 */
export async function finishBoot(sys: Sys, loop: Loop, { sandbox }: ModuleList): Promise<void> {
  const devices = virtioDevices(sys);
  for (const line of sandbox) {
    await loop.sleep(0);
    loadListed(sys, line, devices);
  }
  await loop.sleep(0);
  try {
    linkUp(sys, 'lo');
  } catch (error) {
    sys.log(`agent: the loopback interface stays down: ${reasonOf(error)}`);
  }
}

/** What is left: containers may need it. */
export function loadForContainers(sys: Sys, { containers }: ModuleList): void {
  const devices = virtioDevices(sys);
  for (const line of containers) loadListed(sys, line, devices);
}

/**
 * pivot_root(2) refuses the initramfs. A bind of the root moved over the root is a mount like any other, so that
 * containers can pivot, without copying anything.
 */
function leaveInitramfs(sys: Sys): void {
  makeDirectory(sys, NEW_ROOT);
  sys.mount('/', NEW_ROOT, '', MS_BIND, '');
  sys.chdir(NEW_ROOT);
  sys.mount('.', '/', '', MS_MOVE, '');
  sys.chroot('.');
  sys.chdir('/');
  sys.rmdir(NEW_ROOT);
}

function makeDirectory(sys: Sys, path: string): void {
  try {
    sys.mkdir(path, 0o755);
  } catch {
    // There already; if not, the mount says so.
  }
}

function delegateControllers(sys: Sys): void {
  const known = new TextDecoder().decode(sys.readFile(`${CGROUP_ROOT}/cgroup.controllers`, MAX_CONTROLLERS_BYTES));
  const present = new Set(known.trim().split(/\s+/));
  const wanted = CONTROLLERS.filter((name) => present.has(name));
  sys.writeFile(`${CGROUP_ROOT}/cgroup.subtree_control`, wanted.map((name) => `+${name}`).join(' '));
}
