/** Where the container services find and put things; tests point them elsewhere. */
import { exists } from './files.ts';
import type { Loop } from './loop-interface.ts';
import type { Sys } from './sys.ts';

/** All that the container services know of the machine. */
export interface Guest {
  readonly sys: Sys;
  readonly loop: Loop;
  readonly options: ContainerOptions;
}

export interface ContainerOptions {
  /** Containers' bundles and what is shared: `/run/kata-containers`. At most 60 bytes: sockets lie in it. */
  readonly runDir: string;
  readonly crun: string;
  /** crun's state. */
  readonly crunRoot: string;
  /** Where cgroup v2 is mounted. */
  readonly cgroupRoot: string;
  readonly procRoot: string;
  readonly sysRoot: string;
  readonly devRoot: string;
  readonly resolvConf: string;
  /** Where modprobe, mkfs.ext4 and the iptables programs may be. A guest need not have them. */
  readonly programDirs: readonly string[];
  /** How long a hot-plugged device may take to appear, ms. */
  readonly hotplugTimeoutMs: number;
  /** Whether limits of controllers that this machine has not are left out: it was not booted for containers. Absent: refused. */
  readonly leaveOutLimits?: boolean;
  /** Called once the answer to DestroySandbox is on its way; undefined: the machine is powered off. */
  readonly afterDestroy?: () => void;
  /** Has `changed` called each time processors have gone online. */
  readonly onProcessorsOnline?: (changed: () => void) => void;
  /** Loads the kernel modules that containers and disks may need, unless they are loaded; undefined: they are. */
  readonly needModules?: () => void;
  /** Loads a kernel module by name; undefined: modprobe. */
  readonly loadModule?: (name: string, parameters: readonly string[]) => Promise<void> | void;
}

export const DEFAULT_OPTIONS: ContainerOptions = {
  runDir: '/run/kata-containers',
  crun: '/usr/bin/crun',
  crunRoot: '/run/crun',
  cgroupRoot: '/sys/fs/cgroup',
  procRoot: '/proc',
  sysRoot: '/sys',
  devRoot: '/dev',
  resolvConf: '/etc/resolv.conf',
  programDirs: ['/usr/sbin', '/sbin'],
  hotplugTimeoutMs: 3000,
};

/** The path of a program the guest may have. */
export function programPath({ sys, options }: Guest, name: string): string | undefined {
  return options.programDirs.map((directory) => `${directory}/${name}`).find((path) => exists(sys, path));
}

/** Below it the host's shared files appear. */
export function sharedDir(options: ContainerOptions): string {
  return `${options.runDir}/shared/containers`;
}
