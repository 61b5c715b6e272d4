// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.
// biome-ignore-all format: a table, a message a line

/** A field: name in OCI JSON, number, kind, and message where it is one (its place in OCI_MESSAGES). */
export type OciField = readonly [key: string, number: number, kind: number, message: number];

/** The fields of each message, as assembly/oci/tables.ts has them. */
export const OCI_MESSAGES: readonly (readonly OciField[])[] = [
  [['ociVersion', 1, 1, 0], ['process', 2, 6, 1], ['root', 3, 6, 7], ['hostname', 4, 1, 0], ['mounts', 5, 22, 6], ['hooks', 6, 6, 8], ['annotations', 7, 7, 0], ['linux', 8, 6, 10], ['solaris', 9, 6, 12], ['windows', 10, 6, 11], ['domainname', 100, 1, 0]], // Spec
  [['terminal', 1, 2, 0], ['consoleSize', 2, 6, 2], ['user', 3, 6, 3], ['args', 4, 17, 0], ['env', 5, 17, 0], ['cwd', 6, 1, 0], ['capabilities', 7, 6, 4], ['rlimits', 8, 22, 5], ['noNewPrivileges', 9, 2, 0], ['apparmorProfile', 10, 1, 0], ['oomScoreAdj', 11, 3, 0], ['selinuxLabel', 12, 1, 0]], // Process
  [['height', 1, 5, 0], ['width', 2, 5, 0]], // Box
  [['uid', 1, 5, 0], ['gid', 2, 5, 0], ['additionalGids', 3, 21, 0], ['username', 4, 1, 0], ['umask', 100, 37, 0]], // User
  [['bounding', 1, 17, 0], ['effective', 2, 17, 0], ['inheritable', 3, 17, 0], ['permitted', 4, 17, 0], ['ambient', 5, 17, 0]], // LinuxCapabilities
  [['type', 1, 1, 0], ['hard', 2, 4, 0], ['soft', 3, 4, 0]], // POSIXRlimit
  [['destination', 1, 1, 0], ['source', 2, 1, 0], ['type', 3, 1, 0], ['options', 4, 17, 0]], // Mount
  [['path', 1, 1, 0], ['readonly', 2, 2, 0]], // Root
  [['prestart', 1, 22, 9], ['poststart', 2, 22, 9], ['poststop', 3, 22, 9], ['createRuntime', 4, 22, 9], ['createContainer', 5, 22, 9], ['startContainer', 6, 22, 9]], // Hooks
  [['path', 1, 1, 0], ['args', 2, 17, 0], ['env', 3, 17, 0], ['timeout', 4, 3, 0]], // Hook
  [['uidMappings', 1, 22, 13], ['gidMappings', 2, 22, 13], ['sysctl', 3, 7, 0], ['resources', 4, 6, 16], ['cgroupsPath', 5, 1, 0], ['namespaces', 6, 22, 14], ['devices', 7, 22, 15], ['seccomp', 8, 6, 27], ['rootfsPropagation', 9, 1, 0], ['maskedPaths', 10, 17, 0], ['readonlyPaths', 11, 17, 0], ['mountLabel', 12, 1, 0], ['intelRdt', 13, 6, 30], ['personality', 100, 6, 31]], // Linux
  [], // Windows
  [], // Solaris
  [['hostID', 1, 5, 0], ['containerID', 2, 5, 0], ['size', 3, 5, 0]], // LinuxIDMapping
  [['type', 1, 1, 0], ['path', 2, 1, 0]], // LinuxNamespace
  [['path', 1, 1, 0], ['type', 2, 1, 0], ['major', 3, 3, 0], ['minor', 4, 3, 0], ['fileMode', 5, 5, 0], ['uid', 6, 5, 0], ['gid', 7, 5, 0]], // LinuxDevice
  [['devices', 1, 22, 23], ['memory', 2, 6, 17], ['cpu', 3, 6, 18], ['pids', 4, 6, 22], ['blockIO', 5, 6, 21], ['hugepageLimits', 6, 22, 25], ['network', 7, 6, 24], ['unified', 100, 7, 0]], // LinuxResources
  [['limit', 1, 3, 0], ['reservation', 2, 3, 0], ['swap', 3, 3, 0], ['kernel', 4, 3, 0], ['kernelTCP', 5, 3, 0], ['swappiness', 6, 4, 0], ['disableOOMKiller', 7, 2, 0]], // LinuxMemory
  [['shares', 1, 4, 0], ['quota', 2, 3, 0], ['period', 3, 4, 0], ['realtimeRuntime', 4, 3, 0], ['realtimePeriod', 5, 4, 0], ['cpus', 6, 1, 0], ['mems', 7, 1, 0], ['burst', 100, 4, 0], ['idle', 101, 35, 0]], // LinuxCPU
  [['major', 1, 3, 0], ['minor', 2, 3, 0], ['weight', 3, 5, 0], ['leafWeight', 4, 5, 0]], // LinuxWeightDevice
  [['major', 1, 3, 0], ['minor', 2, 3, 0], ['rate', 3, 4, 0]], // LinuxThrottleDevice
  [['weight', 1, 5, 0], ['leafWeight', 2, 5, 0], ['weightDevice', 3, 22, 19], ['throttleReadBpsDevice', 4, 22, 20], ['throttleWriteBpsDevice', 5, 22, 20], ['throttleReadIOPSDevice', 6, 22, 20], ['throttleWriteIOPSDevice', 7, 22, 20]], // LinuxBlockIO
  [['limit', 1, 3, 0]], // LinuxPids
  [['allow', 1, 2, 0], ['type', 2, 1, 0], ['major', 3, 3, 0], ['minor', 4, 3, 0], ['access', 5, 1, 0]], // LinuxDeviceCgroup
  [['classID', 1, 5, 0], ['priorities', 2, 22, 26]], // LinuxNetwork
  [['pageSize', 1, 1, 0], ['limit', 2, 4, 0]], // LinuxHugepageLimit
  [['name', 1, 1, 0], ['priority', 2, 5, 0]], // LinuxInterfacePriority
  [['defaultAction', 1, 1, 0], ['architectures', 2, 17, 0], ['flags', 3, 17, 0], ['syscalls', 4, 22, 29], ['defaultErrnoRet', 100, 37, 0]], // LinuxSeccomp
  [['index', 1, 4, 0], ['value', 2, 4, 0], ['valueTwo', 3, 4, 0], ['op', 4, 1, 0]], // LinuxSeccompArg
  [['names', 1, 17, 0], ['action', 2, 1, 0], ['errnoRet', 3, 37, 0], ['args', 4, 22, 28]], // LinuxSyscall
  [['l3CacheSchema', 1, 1, 0]], // LinuxIntelRdt
  [['domain', 1, 1, 0], ['flags', 2, 17, 0]], // LinuxPersonality
];
