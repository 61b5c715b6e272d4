/**
 * grpc.Linux → config.json's `linux`, for a guest that has cgroup v2 and one network namespace.
 * https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md
 */
import type { Int64 } from '../../host/proto/codec.ts';
import type {
  Linux,
  LinuxDevice,
  LinuxDeviceCgroup,
  LinuxIDMapping,
  LinuxResources,
  LinuxSeccomp,
  LinuxSyscall,
} from '../../host/proto/messages/oci.ts';

export type Json = string | number | bigint | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** Namespaces a container shares; undefined: it gets its own. */
export interface NamespacePaths {
  readonly ipc?: string | undefined;
  readonly uts?: string | undefined;
  readonly pid?: string | undefined;
}

interface LinuxPlace extends NamespacePaths {
  readonly cgroupsPath: string;
  readonly selinux: boolean;
}

/** Sysctls of the network namespace: it is the VM's, so the agent sets them and crun would refuse to. */
export const NET_SYSCTL = 'net.';

/**
 * Devices any container may use where the host gives no rules: making nodes, the console, /dev/ptmx, terminals, tun,
 * and null, zero, full, tty, random, urandom. Everything else, the VM's disks above all, is denied.
 */
const DEFAULT_RULES: readonly Readonly<{ type: string; major?: number; minor?: number; access: string }>[] = [
  { type: 'c', access: 'm' },
  { type: 'b', access: 'm' },
  { type: 'c', major: 1, minor: 3, access: 'rwm' },
  { type: 'c', major: 1, minor: 5, access: 'rwm' },
  { type: 'c', major: 1, minor: 7, access: 'rwm' },
  { type: 'c', major: 1, minor: 8, access: 'rwm' },
  { type: 'c', major: 1, minor: 9, access: 'rwm' },
  { type: 'c', major: 5, minor: 0, access: 'rwm' },
  { type: 'c', major: 5, minor: 1, access: 'rwm' },
  { type: 'c', major: 5, minor: 2, access: 'rwm' },
  { type: 'c', major: 136, access: 'rwm' },
  { type: 'c', major: 10, minor: 200, access: 'rwm' },
];

/** Rules the host may leave out: a container always gets these. */
const OWN_NAMESPACES = ['mount', 'pid', 'cgroup'];
/** The VM's network serves all; clocks are the VM's too. */
const SHARED_NAMESPACES = ['network', 'time'];

/** A sysctl's name may have its separators either way, as in sysctl(8): `net/ipv4/conf/eth0.7/mtu` is `net.ipv4.conf.eth0/7.mtu`. */
export function dottedSysctl(name: string): string {
  const slashed = /[./]/.exec(name)?.[0] === '/';
  return slashed ? name.replace(/[./]/g, (each) => (each === '.' ? '/' : '.')) : name;
}

/** config.json's `linux`. */
export function linuxConfig(linux: Linux | undefined, place: LinuxPlace): JsonObject {
  const sysctl = Object.entries(linux?.Sysctl ?? {})
    .map(([name, value]) => [dottedSysctl(name), value] as const)
    .filter(([name]) => !name.startsWith(NET_SYSCTL));
  return {
    namespaces: namespaces(linux, place),
    cgroupsPath: place.cgroupsPath,
    uidMappings: filled((linux?.UIDMappings ?? []).map(mapping)),
    gidMappings: filled((linux?.GIDMappings ?? []).map(mapping)),
    sysctl: sysctl.length > 0 ? Object.fromEntries(sysctl) : undefined,
    devices: filled((linux?.Devices ?? []).map(device)),
    resources: resources(linux?.Resources, linux?.Devices ?? []),
    seccomp: linux?.Seccomp && seccomp(linux.Seccomp),
    // crun refuses flags, of which the specification defines none.
    personality: linux?.Personality && { domain: linux.Personality.Domain },
    rootfsPropagation: text(linux?.RootfsPropagation),
    maskedPaths: filled(linux?.MaskedPaths ?? []),
    readonlyPaths: filled(linux?.ReadonlyPaths ?? []),
    mountLabel: place.selinux ? text(linux?.MountLabel) : undefined,
  };
}

function namespaces(linux: Linux | undefined, place: LinuxPlace): JsonObject[] {
  const kept = (linux?.Namespaces ?? [])
    .map((entry) => entry.Type)
    .filter((type) => !SHARED_NAMESPACES.includes(type) && !OWN_NAMESPACES.includes(type));
  // A map: types are the host's words, and an object would know `__proto__`.
  const paths = new Map(Object.entries({ ipc: place.ipc, uts: place.uts, pid: place.pid }));
  return [...new Set([...kept, ...OWN_NAMESPACES])].map((type) => ({ type, path: paths.get(type) }));
}

function mapping(entry: LinuxIDMapping): JsonObject {
  return { containerID: entry.ContainerID, hostID: entry.HostID, size: entry.Size };
}

function device(entry: LinuxDevice): JsonObject {
  return {
    path: entry.Path,
    type: entry.Type,
    major: entry.Major,
    minor: entry.Minor,
    fileMode: entry.FileMode === 0 ? undefined : entry.FileMode,
    uid: entry.UID,
    gid: entry.GID,
  };
}

/**
 * What crun shall set. Cgroup v2 has no kernel memory limit, swappiness, real-time share or network class, and crun
 * refuses a config.json that asks for them; block I/O and huge pages the agent sets itself where the guest has the controller.
 */
function resources(from: LinuxResources | undefined, devices: readonly LinuxDevice[]): JsonObject {
  const memory = from?.Memory;
  const cpu = from?.CPU;
  return {
    devices: deviceRules(from?.Devices ?? [], devices),
    memory: memory && {
      limit: nonZero(memory.Limit),
      reservation: nonZero(memory.Reservation),
      // crun, as the specification, takes swap only beside a limit.
      swap: isZero(memory.Limit) ? undefined : nonZero(memory.Swap),
    },
    cpu: cpu && {
      shares: nonZero(cpu.Shares),
      quota: nonZero(cpu.Quota),
      period: nonZero(cpu.Period),
      cpus: text(cpu.Cpus),
      mems: text(cpu.Mems),
    },
    pids: from?.Pids && !isZero(from.Pids.Limit) ? { limit: from.Pids.Limit } : undefined,
  };
}

function deviceRules(rules: readonly LinuxDeviceCgroup[], devices: readonly LinuxDevice[]): JsonObject[] {
  if (rules.length > 0) return rules.map(deviceRule);
  const own = devices
    .filter((entry) => entry.Type !== 'p')
    .map((entry) => ({
      allow: true,
      type: entry.Type === 'b' ? 'b' : 'c',
      major: entry.Major,
      minor: entry.Minor,
      access: 'rwm',
    }));
  return [{ allow: false, access: 'rwm' }, ...DEFAULT_RULES.map((rule) => ({ allow: true, ...rule })), ...own];
}

/** Major 0 is no device's, so 0 and -1 both say "any"; minor 0 is a real one below a given major. */
function deviceRule(rule: LinuxDeviceCgroup): JsonObject {
  const anyMajor = Number(rule.Major) <= 0;
  const anyMinor = anyMajor ? Number(rule.Minor) <= 0 : Number(rule.Minor) < 0;
  return {
    allow: rule.Allow,
    type: text(rule.Type),
    major: anyMajor ? undefined : rule.Major,
    minor: anyMinor ? undefined : rule.Minor,
    access: rule.Access === '' ? 'rwm' : rule.Access,
  };
}

function seccomp(filter: LinuxSeccomp): JsonObject {
  return {
    defaultAction: filter.DefaultAction,
    defaultErrnoRet: filter.DefaultErrnoRet,
    architectures: filled(filter.Architectures),
    flags: filled(filter.Flags),
    syscalls: filled(filter.Syscalls.map(syscall)),
  };
}

function syscall(entry: LinuxSyscall): JsonObject {
  return {
    names: [...entry.Names],
    action: entry.Action,
    errnoRet: entry.errnoret,
    args: filled(entry.Args.map((arg) => ({ index: arg.Index, value: arg.Value, valueTwo: arg.ValueTwo, op: arg.Op }))),
  };
}

function isZero(value: Int64): boolean {
  return Number(value) === 0;
}

function nonZero(value: Int64): Int64 | undefined {
  return isZero(value) ? undefined : value;
}

function text(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function filled<T>(items: readonly T[]): T[] | undefined {
  return items.length > 0 ? [...items] : undefined;
}
