/** Network namespaces that live as long as a file: what a private containerd, its bridges and its pods' host ends are in. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** Milliseconds for one of the commands here. */
const TIMEOUT_MS = 10_000;

/**
 * Without duplicate address detection an IPv6 address serves at once, also a bridge's that is made for the first pod. A kernel
 * without IPv6 has no such setting.
 */
const INIT = 'ip link set lo up; if cd /proc/sys/net/ipv6/conf/default 2>/dev/null; then echo 0 >accept_dad; fi';

/**
 * Makes a network namespace with its loopback up, held by a mount on `file`; unmounting ends it.
 * @throws Error with what the failing command said
 */
export function makeNetworkNamespace(file: string): void {
  closeSync(openSync(file, 'wx', 0o600));
  run(['unshare', `--net=${file}`, 'sh', '-c', INIT]);
}

/** The command line that runs `argv` in the namespace. (`ip netns exec` would also mount another /sys, without cgroups.) */
export function inNetworkNamespace(file: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=${file}`, ...argv];
}

/**
 * Names of the links in the namespace but for its loopback.
 * @throws Error with what the failing command said
 */
export function links(file: string): string[] {
  const listed = JSON.parse(run(inNetworkNamespace(file, ['ip', '-json', 'link', 'show']))) as { ifname: string }[];
  return listed.map(({ ifname }) => ifname).filter((name) => name !== 'lo');
}

function run(argv: readonly string[]): string {
  const [program = '', ...args] = argv;
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
  if (done.status !== 0) throw new Error(`${argv.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
  return done.stdout;
}
