// Generated from proto/oci.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface Spec {
  Version: string;
  Process: Process | undefined;
  Root: Root | undefined;
  Hostname: string;
  Mounts: Mount[];
  Hooks: Hooks | undefined;
  Annotations: Record<string, string>;
  Linux: Linux | undefined;
  Solaris: Solaris | undefined;
  Windows: Windows | undefined;
  Domainname: string;
}
export const Spec: MessageType<Spec> = /* @__PURE__ */ message<Spec>('grpc.Spec', () => [
  [1, 'Version', 'string'],
  [2, 'Process', Process],
  [3, 'Root', Root],
  [4, 'Hostname', 'string'],
  [5, 'Mounts', Mount, 'repeated'],
  [6, 'Hooks', Hooks],
  [7, 'Annotations', 'string', 'map', 'string'],
  [8, 'Linux', Linux],
  [9, 'Solaris', Solaris],
  [10, 'Windows', Windows],
  [100, 'Domainname', 'string'],
]);

export interface Process {
  Terminal: boolean;
  ConsoleSize: Box | undefined;
  User: User | undefined;
  Args: string[];
  Env: string[];
  Cwd: string;
  Capabilities: LinuxCapabilities | undefined;
  Rlimits: POSIXRlimit[];
  NoNewPrivileges: boolean;
  ApparmorProfile: string;
  OOMScoreAdj: Int64;
  SelinuxLabel: string;
}
export const Process: MessageType<Process> = /* @__PURE__ */ message<Process>('grpc.Process', () => [
  [1, 'Terminal', 'bool'],
  [2, 'ConsoleSize', Box],
  [3, 'User', User],
  [4, 'Args', 'string', 'repeated'],
  [5, 'Env', 'string', 'repeated'],
  [6, 'Cwd', 'string'],
  [7, 'Capabilities', LinuxCapabilities],
  [8, 'Rlimits', POSIXRlimit, 'repeated'],
  [9, 'NoNewPrivileges', 'bool'],
  [10, 'ApparmorProfile', 'string'],
  [11, 'OOMScoreAdj', 'int64'],
  [12, 'SelinuxLabel', 'string'],
]);

export interface Box {
  Height: number;
  Width: number;
}
export const Box: MessageType<Box> = /* @__PURE__ */ message<Box>('grpc.Box', () => [
  [1, 'Height', 'uint32'],
  [2, 'Width', 'uint32'],
]);

export interface User {
  UID: number;
  GID: number;
  AdditionalGids: number[];
  Username: string;
  Umask: number | undefined;
}
export const User: MessageType<User> = /* @__PURE__ */ message<User>('grpc.User', () => [
  [1, 'UID', 'uint32'],
  [2, 'GID', 'uint32'],
  [3, 'AdditionalGids', 'uint32', 'repeated'],
  [4, 'Username', 'string'],
  [100, 'Umask', 'uint32', 'optional'],
]);

export interface LinuxCapabilities {
  Bounding: string[];
  Effective: string[];
  Inheritable: string[];
  Permitted: string[];
  Ambient: string[];
}
export const LinuxCapabilities: MessageType<LinuxCapabilities> = /* @__PURE__ */ message<LinuxCapabilities>('grpc.LinuxCapabilities', () => [
  [1, 'Bounding', 'string', 'repeated'],
  [2, 'Effective', 'string', 'repeated'],
  [3, 'Inheritable', 'string', 'repeated'],
  [4, 'Permitted', 'string', 'repeated'],
  [5, 'Ambient', 'string', 'repeated'],
]);

export interface POSIXRlimit {
  Type: string;
  Hard: Int64;
  Soft: Int64;
}
export const POSIXRlimit: MessageType<POSIXRlimit> = /* @__PURE__ */ message<POSIXRlimit>('grpc.POSIXRlimit', () => [
  [1, 'Type', 'string'],
  [2, 'Hard', 'uint64'],
  [3, 'Soft', 'uint64'],
]);

export interface Mount {
  destination: string;
  source: string;
  type: string;
  options: string[];
}
export const Mount: MessageType<Mount> = /* @__PURE__ */ message<Mount>('grpc.Mount', () => [
  [1, 'destination', 'string'],
  [2, 'source', 'string'],
  [3, 'type', 'string'],
  [4, 'options', 'string', 'repeated'],
]);

export interface Root {
  Path: string;
  Readonly: boolean;
}
export const Root: MessageType<Root> = /* @__PURE__ */ message<Root>('grpc.Root', () => [
  [1, 'Path', 'string'],
  [2, 'Readonly', 'bool'],
]);

export interface Hooks {
  Prestart: Hook[];
  Poststart: Hook[];
  Poststop: Hook[];
  CreateRuntime: Hook[];
  CreateContainer: Hook[];
  StartContainer: Hook[];
}
export const Hooks: MessageType<Hooks> = /* @__PURE__ */ message<Hooks>('grpc.Hooks', () => [
  [1, 'Prestart', Hook, 'repeated'],
  [2, 'Poststart', Hook, 'repeated'],
  [3, 'Poststop', Hook, 'repeated'],
  [4, 'CreateRuntime', Hook, 'repeated'],
  [5, 'CreateContainer', Hook, 'repeated'],
  [6, 'StartContainer', Hook, 'repeated'],
]);

export interface Hook {
  Path: string;
  Args: string[];
  Env: string[];
  Timeout: Int64;
}
export const Hook: MessageType<Hook> = /* @__PURE__ */ message<Hook>('grpc.Hook', () => [
  [1, 'Path', 'string'],
  [2, 'Args', 'string', 'repeated'],
  [3, 'Env', 'string', 'repeated'],
  [4, 'Timeout', 'int64'],
]);

export interface Linux {
  UIDMappings: LinuxIDMapping[];
  GIDMappings: LinuxIDMapping[];
  Sysctl: Record<string, string>;
  Resources: LinuxResources | undefined;
  CgroupsPath: string;
  Namespaces: LinuxNamespace[];
  Devices: LinuxDevice[];
  Seccomp: LinuxSeccomp | undefined;
  RootfsPropagation: string;
  MaskedPaths: string[];
  ReadonlyPaths: string[];
  MountLabel: string;
  IntelRdt: LinuxIntelRdt | undefined;
  Personality: LinuxPersonality | undefined;
}
export const Linux: MessageType<Linux> = /* @__PURE__ */ message<Linux>('grpc.Linux', () => [
  [1, 'UIDMappings', LinuxIDMapping, 'repeated'],
  [2, 'GIDMappings', LinuxIDMapping, 'repeated'],
  [3, 'Sysctl', 'string', 'map', 'string'],
  [4, 'Resources', LinuxResources],
  [5, 'CgroupsPath', 'string'],
  [6, 'Namespaces', LinuxNamespace, 'repeated'],
  [7, 'Devices', LinuxDevice, 'repeated'],
  [8, 'Seccomp', LinuxSeccomp],
  [9, 'RootfsPropagation', 'string'],
  [10, 'MaskedPaths', 'string', 'repeated'],
  [11, 'ReadonlyPaths', 'string', 'repeated'],
  [12, 'MountLabel', 'string'],
  [13, 'IntelRdt', LinuxIntelRdt],
  [100, 'Personality', LinuxPersonality],
]);

export interface Windows {
  dummy: string;
}
export const Windows: MessageType<Windows> = /* @__PURE__ */ message<Windows>('grpc.Windows', () => [
  [1, 'dummy', 'string'],
]);

export interface Solaris {
  dummy: string;
}
export const Solaris: MessageType<Solaris> = /* @__PURE__ */ message<Solaris>('grpc.Solaris', () => [
  [1, 'dummy', 'string'],
]);

export interface LinuxIDMapping {
  HostID: number;
  ContainerID: number;
  Size: number;
}
export const LinuxIDMapping: MessageType<LinuxIDMapping> = /* @__PURE__ */ message<LinuxIDMapping>('grpc.LinuxIDMapping', () => [
  [1, 'HostID', 'uint32'],
  [2, 'ContainerID', 'uint32'],
  [3, 'Size', 'uint32'],
]);

export interface LinuxNamespace {
  Type: string;
  Path: string;
}
export const LinuxNamespace: MessageType<LinuxNamespace> = /* @__PURE__ */ message<LinuxNamespace>('grpc.LinuxNamespace', () => [
  [1, 'Type', 'string'],
  [2, 'Path', 'string'],
]);

export interface LinuxDevice {
  Path: string;
  Type: string;
  Major: Int64;
  Minor: Int64;
  FileMode: number;
  UID: number;
  GID: number;
}
export const LinuxDevice: MessageType<LinuxDevice> = /* @__PURE__ */ message<LinuxDevice>('grpc.LinuxDevice', () => [
  [1, 'Path', 'string'],
  [2, 'Type', 'string'],
  [3, 'Major', 'int64'],
  [4, 'Minor', 'int64'],
  [5, 'FileMode', 'uint32'],
  [6, 'UID', 'uint32'],
  [7, 'GID', 'uint32'],
]);

export interface LinuxResources {
  Devices: LinuxDeviceCgroup[];
  Memory: LinuxMemory | undefined;
  CPU: LinuxCPU | undefined;
  Pids: LinuxPids | undefined;
  BlockIO: LinuxBlockIO | undefined;
  HugepageLimits: LinuxHugepageLimit[];
  Network: LinuxNetwork | undefined;
  Unified: Record<string, string>;
}
export const LinuxResources: MessageType<LinuxResources> = /* @__PURE__ */ message<LinuxResources>('grpc.LinuxResources', () => [
  [1, 'Devices', LinuxDeviceCgroup, 'repeated'],
  [2, 'Memory', LinuxMemory],
  [3, 'CPU', LinuxCPU],
  [4, 'Pids', LinuxPids],
  [5, 'BlockIO', LinuxBlockIO],
  [6, 'HugepageLimits', LinuxHugepageLimit, 'repeated'],
  [7, 'Network', LinuxNetwork],
  [100, 'Unified', 'string', 'map', 'string'],
]);

export interface LinuxMemory {
  Limit: Int64;
  Reservation: Int64;
  Swap: Int64;
  Kernel: Int64;
  KernelTCP: Int64;
  Swappiness: Int64;
  DisableOOMKiller: boolean;
}
export const LinuxMemory: MessageType<LinuxMemory> = /* @__PURE__ */ message<LinuxMemory>('grpc.LinuxMemory', () => [
  [1, 'Limit', 'int64'],
  [2, 'Reservation', 'int64'],
  [3, 'Swap', 'int64'],
  [4, 'Kernel', 'int64'],
  [5, 'KernelTCP', 'int64'],
  [6, 'Swappiness', 'uint64'],
  [7, 'DisableOOMKiller', 'bool'],
]);

export interface LinuxCPU {
  Shares: Int64;
  Quota: Int64;
  Period: Int64;
  RealtimeRuntime: Int64;
  RealtimePeriod: Int64;
  Cpus: string;
  Mems: string;
  Burst: Int64;
  Idle: Int64 | undefined;
}
export const LinuxCPU: MessageType<LinuxCPU> = /* @__PURE__ */ message<LinuxCPU>('grpc.LinuxCPU', () => [
  [1, 'Shares', 'uint64'],
  [2, 'Quota', 'int64'],
  [3, 'Period', 'uint64'],
  [4, 'RealtimeRuntime', 'int64'],
  [5, 'RealtimePeriod', 'uint64'],
  [6, 'Cpus', 'string'],
  [7, 'Mems', 'string'],
  [100, 'Burst', 'uint64'],
  [101, 'Idle', 'int64', 'optional'],
]);

export interface LinuxWeightDevice {
  Major: Int64;
  Minor: Int64;
  Weight: number;
  LeafWeight: number;
}
export const LinuxWeightDevice: MessageType<LinuxWeightDevice> = /* @__PURE__ */ message<LinuxWeightDevice>('grpc.LinuxWeightDevice', () => [
  [1, 'Major', 'int64'],
  [2, 'Minor', 'int64'],
  [3, 'Weight', 'uint32'],
  [4, 'LeafWeight', 'uint32'],
]);

export interface LinuxThrottleDevice {
  Major: Int64;
  Minor: Int64;
  Rate: Int64;
}
export const LinuxThrottleDevice: MessageType<LinuxThrottleDevice> = /* @__PURE__ */ message<LinuxThrottleDevice>('grpc.LinuxThrottleDevice', () => [
  [1, 'Major', 'int64'],
  [2, 'Minor', 'int64'],
  [3, 'Rate', 'uint64'],
]);

export interface LinuxBlockIO {
  Weight: number;
  LeafWeight: number;
  WeightDevice: LinuxWeightDevice[];
  ThrottleReadBpsDevice: LinuxThrottleDevice[];
  ThrottleWriteBpsDevice: LinuxThrottleDevice[];
  ThrottleReadIOPSDevice: LinuxThrottleDevice[];
  ThrottleWriteIOPSDevice: LinuxThrottleDevice[];
}
export const LinuxBlockIO: MessageType<LinuxBlockIO> = /* @__PURE__ */ message<LinuxBlockIO>('grpc.LinuxBlockIO', () => [
  [1, 'Weight', 'uint32'],
  [2, 'LeafWeight', 'uint32'],
  [3, 'WeightDevice', LinuxWeightDevice, 'repeated'],
  [4, 'ThrottleReadBpsDevice', LinuxThrottleDevice, 'repeated'],
  [5, 'ThrottleWriteBpsDevice', LinuxThrottleDevice, 'repeated'],
  [6, 'ThrottleReadIOPSDevice', LinuxThrottleDevice, 'repeated'],
  [7, 'ThrottleWriteIOPSDevice', LinuxThrottleDevice, 'repeated'],
]);

export interface LinuxPids {
  Limit: Int64;
}
export const LinuxPids: MessageType<LinuxPids> = /* @__PURE__ */ message<LinuxPids>('grpc.LinuxPids', () => [
  [1, 'Limit', 'int64'],
]);

export interface LinuxDeviceCgroup {
  Allow: boolean;
  Type: string;
  Major: Int64;
  Minor: Int64;
  Access: string;
}
export const LinuxDeviceCgroup: MessageType<LinuxDeviceCgroup> = /* @__PURE__ */ message<LinuxDeviceCgroup>('grpc.LinuxDeviceCgroup', () => [
  [1, 'Allow', 'bool'],
  [2, 'Type', 'string'],
  [3, 'Major', 'int64'],
  [4, 'Minor', 'int64'],
  [5, 'Access', 'string'],
]);

export interface LinuxNetwork {
  ClassID: number;
  Priorities: LinuxInterfacePriority[];
}
export const LinuxNetwork: MessageType<LinuxNetwork> = /* @__PURE__ */ message<LinuxNetwork>('grpc.LinuxNetwork', () => [
  [1, 'ClassID', 'uint32'],
  [2, 'Priorities', LinuxInterfacePriority, 'repeated'],
]);

export interface LinuxHugepageLimit {
  Pagesize: string;
  Limit: Int64;
}
export const LinuxHugepageLimit: MessageType<LinuxHugepageLimit> = /* @__PURE__ */ message<LinuxHugepageLimit>('grpc.LinuxHugepageLimit', () => [
  [1, 'Pagesize', 'string'],
  [2, 'Limit', 'uint64'],
]);

export interface LinuxInterfacePriority {
  Name: string;
  Priority: number;
}
export const LinuxInterfacePriority: MessageType<LinuxInterfacePriority> = /* @__PURE__ */ message<LinuxInterfacePriority>('grpc.LinuxInterfacePriority', () => [
  [1, 'Name', 'string'],
  [2, 'Priority', 'uint32'],
]);

export interface LinuxSeccomp {
  DefaultAction: string;
  Architectures: string[];
  Flags: string[];
  Syscalls: LinuxSyscall[];
  DefaultErrnoRet: number | undefined;
}
export const LinuxSeccomp: MessageType<LinuxSeccomp> = /* @__PURE__ */ message<LinuxSeccomp>('grpc.LinuxSeccomp', () => [
  [1, 'DefaultAction', 'string'],
  [2, 'Architectures', 'string', 'repeated'],
  [3, 'Flags', 'string', 'repeated'],
  [4, 'Syscalls', LinuxSyscall, 'repeated'],
  [100, 'DefaultErrnoRet', 'uint32', 'optional'],
]);

export interface LinuxSeccompArg {
  Index: Int64;
  Value: Int64;
  ValueTwo: Int64;
  Op: string;
}
export const LinuxSeccompArg: MessageType<LinuxSeccompArg> = /* @__PURE__ */ message<LinuxSeccompArg>('grpc.LinuxSeccompArg', () => [
  [1, 'Index', 'uint64'],
  [2, 'Value', 'uint64'],
  [3, 'ValueTwo', 'uint64'],
  [4, 'Op', 'string'],
]);

export interface LinuxSyscall {
  Names: string[];
  Action: string;
  errnoret: number | undefined;
  Args: LinuxSeccompArg[];
}
export const LinuxSyscall: MessageType<LinuxSyscall> = /* @__PURE__ */ message<LinuxSyscall>('grpc.LinuxSyscall', () => [
  [1, 'Names', 'string', 'repeated'],
  [2, 'Action', 'string'],
  [3, 'errnoret', 'uint32', 'optional'],
  [4, 'Args', LinuxSeccompArg, 'repeated'],
]);

export interface LinuxIntelRdt {
  L3CacheSchema: string;
}
export const LinuxIntelRdt: MessageType<LinuxIntelRdt> = /* @__PURE__ */ message<LinuxIntelRdt>('grpc.LinuxIntelRdt', () => [
  [1, 'L3CacheSchema', 'string'],
]);

export interface LinuxPersonality {
  Domain: string;
  Flags: string[];
}
export const LinuxPersonality: MessageType<LinuxPersonality> = /* @__PURE__ */ message<LinuxPersonality>('grpc.LinuxPersonality', () => [
  [1, 'Domain', 'string'],
  [2, 'Flags', 'string', 'repeated'],
]);
