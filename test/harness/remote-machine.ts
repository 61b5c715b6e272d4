/**
 * A machine that is none: the guest's files and its agent as ordinary processes of this one, in namespaces and a cgroup of their own.
 * The kernel and the network card are missing; everything the agent does is real.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildMachine, compilerFor } from '../../guest/image/toolchain.ts';
import { succeed } from '../../setup/command.ts';
import { BUILD, ROOT } from '../../setup/paths.ts';

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const INITRAMFS = join(BUILD, 'share', 'guest', ARCHITECTURE, 'initramfs.cpio.gz');
const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? 'busybox';
/** Where cgroups of version 2 are mounted: alone, or beside version 1 without a controller. */
const CGROUPS =
  ['/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/unified/cgroup.procs']
    .find((path) => existsSync(path))
    ?.replace('/cgroup.procs', '') ?? '/sys/fs/cgroup';
/** How long a killed machine's cgroups may stay busy, ms, and how often they are tried. */
const CGROUP_WAIT_MS = 5000;
const CGROUP_RETRY_MS = 10;

/**
 * PID 1 of the machine: mounts what a booted guest has, leaves the host's files behind, and runs the agent, whose end is its own.
 * $1 the image, $2 an empty directory, $3 the directory of the agent's socket, $4 busybox.
 */
const INIT = `set -e
mount --bind "$1" "$2"
mount -o remount,bind,ro "$2"
mount -t tmpfs -o mode=755 tmpfs "$2/run"
mkdir "$2/run/peer"
mount --bind "$3" "$2/run/peer"
mount -t proc proc "$2/proc"
mount -t sysfs sysfs "$2/sys"
mount -t cgroup2 cgroup2 "$2/sys/fs/cgroup"
for name in $(cat "$2/sys/fs/cgroup/cgroup.controllers"); do
  echo "+$name" >"$2/sys/fs/cgroup/cgroup.subtree_control"
done
mount -t tmpfs -o mode=755 tmpfs "$2/dev"
mkdir "$2/dev/pts" "$2/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$2/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$2/dev/shm"
ln -s pts/ptmx "$2/dev/ptmx"
ln -s /proc/self/fd "$2/dev/fd"
mknod -m 666 "$2/dev/null" c 1 3
mknod -m 666 "$2/dev/zero" c 1 5
mknod -m 666 "$2/dev/full" c 1 7
mknod -m 666 "$2/dev/random" c 1 8
mknod -m 666 "$2/dev/urandom" c 1 9
mknod -m 666 "$2/dev/tty" c 5 0
"$4" ifconfig lo up
cd "$2"
pivot_root . mnt
exec "$4" chroot . /bin/busybox sh -c 'umount -l /mnt; /init --listen unix:///run/peer/agent.sock & wait'
`;

/** Unpacks the guest's files into a new directory, for `startMachine`. */
export async function unpackGuest(directory: string): Promise<string> {
  const image = join(directory, 'image');
  mkdirSync(image);
  await succeed([BUSYBOX, 'sh', '-c', 'cd "$2" && zcat "$1" | cpio -i -d -m', 'sh', INITRAMFS, image]);
  const preload = join(image, 'lib', 'memlock.so');
  const flags = ['-shared', '-fPIC', '-O2', '-D_GNU_SOURCE', '-Wall', '-Werror', '-o', preload];
  await succeed([compilerFor(buildMachine()).glibc, ...flags, join(ROOT, 'test', 'harness', 'memlock.c')]);
  writeFileSync(join(image, 'etc', 'ld.so.preload'), '/lib/memlock.so\n');
  return image;
}

export interface Machine {
  /** Of PID 1's parent. */
  readonly pid: number;
  /** Resolves when every process of it has ended. */
  readonly ended: Promise<void>;
  /** Ends it and removes all it had. Idempotent. */
  stop(): Promise<void>;
}

/** Path of the socket on which the agent of a machine in `directory` will listen. */
export function agentSocket(directory: string): string {
  return join(directory, 'agent', 'agent.sock');
}

/**
 * Starts a machine; its agent listens soon.
 * @param directory new, of this machine alone; its last part names the cgroup
 * @param image of `unpackGuest`
 */
export function startMachine(directory: string, image: string): Machine {
  const root = join(directory, 'root');
  const agent = join(directory, 'agent');
  for (const path of [directory, root, agent]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const cgroup = join(CGROUPS, `ke-machine-${process.pid}-${directory.split('/').pop()}`);
  mkdirSync(join(cgroup, 'agent'), { recursive: true });
  const enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"';
  const init = ['/bin/sh', '-c', INIT, 'sh', image, root, agent, BUSYBOX];
  const inner = ['unshare', '--fork', '--pid', '--mount', '--uts', '--ipc', '--net', '--kill-child', '--', ...init];
  // The namespace's root is the machine's cgroup, in which no process may stay once it has controllers.
  const moved = ['unshare', '--cgroup', '--', '/bin/sh', '-c', enter, join(cgroup, 'agent'), ...inner];
  const child = spawn('/bin/sh', ['-c', enter, cgroup, ...moved], {
    stdio: ['ignore', 'ignore', 'inherit'],
    cwd: directory,
  });
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let stopped: Promise<void> | undefined;
  return {
    pid: child.pid ?? 0,
    ended,
    stop: () => {
      stopped ??= end(child, ended, directory, cgroup).finally(() => process.off('exit', kill));
      return stopped;
    },
  };
}

async function end(child: ChildProcess, ended: Promise<void>, directory: string, cgroup: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await ended;
  for (const deadline = Date.now() + CGROUP_WAIT_MS; existsSync(cgroup); await sleep(CGROUP_RETRY_MS)) {
    if (Date.now() > deadline) throw new Error(`cgroup ${cgroup} cannot be removed: something still runs in it`);
    removeCgroup(cgroup);
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Children first; what is still in use stays for the next try. */
function removeCgroup(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(path, entry.name));
    }
    rmdirSync(path);
  } catch {
    // Its processes are just ending.
  }
}
