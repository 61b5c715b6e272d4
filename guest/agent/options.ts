/** Where the container services find and put things; tests point them elsewhere. */
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
  /** How long a hot-plugged device may take to appear, ms. */
  readonly hotplugTimeoutMs: number;
  /** Called once the answer to DestroySandbox is on its way; undefined: the machine is powered off. */
  readonly afterDestroy?: () => void;
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
  hotplugTimeoutMs: 3000,
};

/** Below it the host's shared files appear. */
export function sharedDir(options: ContainerOptions): string {
  return `${options.runDir}/shared/containers`;
}
