// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.
// biome-ignore-all format: a table, a message a line

/** Of each message of proto/oci.proto: names in OCI JSON to names of its fields. */
export const OCI_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'grpc.Spec': { ociVersion: 'Version', process: 'Process', root: 'Root', hostname: 'Hostname', mounts: 'Mounts', hooks: 'Hooks', annotations: 'Annotations', linux: 'Linux', solaris: 'Solaris', windows: 'Windows', domainname: 'Domainname' },
  'grpc.Process': { terminal: 'Terminal', consoleSize: 'ConsoleSize', user: 'User', args: 'Args', env: 'Env', cwd: 'Cwd', capabilities: 'Capabilities', rlimits: 'Rlimits', noNewPrivileges: 'NoNewPrivileges', apparmorProfile: 'ApparmorProfile', oomScoreAdj: 'OOMScoreAdj', selinuxLabel: 'SelinuxLabel' },
  'grpc.Box': { height: 'Height', width: 'Width' },
  'grpc.User': { uid: 'UID', gid: 'GID', additionalGids: 'AdditionalGids', username: 'Username', umask: 'Umask' },
  'grpc.LinuxCapabilities': { bounding: 'Bounding', effective: 'Effective', inheritable: 'Inheritable', permitted: 'Permitted', ambient: 'Ambient' },
  'grpc.POSIXRlimit': { type: 'Type', hard: 'Hard', soft: 'Soft' },
  'grpc.Mount': { destination: 'destination', source: 'source', type: 'type', options: 'options' },
  'grpc.Root': { path: 'Path', readonly: 'Readonly' },
  'grpc.Hooks': { prestart: 'Prestart', poststart: 'Poststart', poststop: 'Poststop', createRuntime: 'CreateRuntime', createContainer: 'CreateContainer', startContainer: 'StartContainer' },
  'grpc.Hook': { path: 'Path', args: 'Args', env: 'Env', timeout: 'Timeout' },
  'grpc.Linux': { uidMappings: 'UIDMappings', gidMappings: 'GIDMappings', sysctl: 'Sysctl', resources: 'Resources', cgroupsPath: 'CgroupsPath', namespaces: 'Namespaces', devices: 'Devices', seccomp: 'Seccomp', rootfsPropagation: 'RootfsPropagation', maskedPaths: 'MaskedPaths', readonlyPaths: 'ReadonlyPaths', mountLabel: 'MountLabel', intelRdt: 'IntelRdt', personality: 'Personality' },
  'grpc.Windows': {},
  'grpc.Solaris': {},
  'grpc.LinuxIDMapping': { hostID: 'HostID', containerID: 'ContainerID', size: 'Size' },
  'grpc.LinuxNamespace': { type: 'Type', path: 'Path' },
  'grpc.LinuxDevice': { path: 'Path', type: 'Type', major: 'Major', minor: 'Minor', fileMode: 'FileMode', uid: 'UID', gid: 'GID' },
  'grpc.LinuxResources': { devices: 'Devices', memory: 'Memory', cpu: 'CPU', pids: 'Pids', blockIO: 'BlockIO', hugepageLimits: 'HugepageLimits', network: 'Network', unified: 'Unified' },
  'grpc.LinuxMemory': { limit: 'Limit', reservation: 'Reservation', swap: 'Swap', kernel: 'Kernel', kernelTCP: 'KernelTCP', swappiness: 'Swappiness', disableOOMKiller: 'DisableOOMKiller' },
  'grpc.LinuxCPU': { shares: 'Shares', quota: 'Quota', period: 'Period', realtimeRuntime: 'RealtimeRuntime', realtimePeriod: 'RealtimePeriod', cpus: 'Cpus', mems: 'Mems', burst: 'Burst', idle: 'Idle' },
  'grpc.LinuxWeightDevice': { major: 'Major', minor: 'Minor', weight: 'Weight', leafWeight: 'LeafWeight' },
  'grpc.LinuxThrottleDevice': { major: 'Major', minor: 'Minor', rate: 'Rate' },
  'grpc.LinuxBlockIO': { weight: 'Weight', leafWeight: 'LeafWeight', weightDevice: 'WeightDevice', throttleReadBpsDevice: 'ThrottleReadBpsDevice', throttleWriteBpsDevice: 'ThrottleWriteBpsDevice', throttleReadIOPSDevice: 'ThrottleReadIOPSDevice', throttleWriteIOPSDevice: 'ThrottleWriteIOPSDevice' },
  'grpc.LinuxPids': { limit: 'Limit' },
  'grpc.LinuxDeviceCgroup': { allow: 'Allow', type: 'Type', major: 'Major', minor: 'Minor', access: 'Access' },
  'grpc.LinuxNetwork': { classID: 'ClassID', priorities: 'Priorities' },
  'grpc.LinuxHugepageLimit': { pageSize: 'Pagesize', limit: 'Limit' },
  'grpc.LinuxInterfacePriority': { name: 'Name', priority: 'Priority' },
  'grpc.LinuxSeccomp': { defaultAction: 'DefaultAction', architectures: 'Architectures', flags: 'Flags', syscalls: 'Syscalls', defaultErrnoRet: 'DefaultErrnoRet' },
  'grpc.LinuxSeccompArg': { index: 'Index', value: 'Value', valueTwo: 'ValueTwo', op: 'Op' },
  'grpc.LinuxSyscall': { names: 'Names', action: 'Action', errnoRet: 'errnoret', args: 'Args' },
  'grpc.LinuxIntelRdt': { l3CacheSchema: 'L3CacheSchema' },
  'grpc.LinuxPersonality': { domain: 'Domain', flags: 'Flags' },
};

/** Of each document: its number for `ociTranslate`. */
export const OCI_ROOTS = {
  Spec: 0,
  Process: 1,
  LinuxResources: 16,
} as const;
