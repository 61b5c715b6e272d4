// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.
// biome-ignore-all format: tables, a row a line

export const MESSAGE_COUNT: i32 = 32;
/** Levels of messages within a document, its own included. */
export const MAX_NESTING: i32 = 5;

/** Two bytes a message: its first row in FIELDS, and how many are its own. */
export const MESSAGES: usize = memory.data<u8>([
  0, 11, // Spec
  11, 12, // Process
  23, 2, // Box
  25, 5, // User
  30, 5, // LinuxCapabilities
  35, 3, // POSIXRlimit
  38, 4, // Mount
  42, 2, // Root
  44, 6, // Hooks
  50, 4, // Hook
  54, 14, // Linux
  68, 0, // Windows
  68, 0, // Solaris
  68, 3, // LinuxIDMapping
  71, 2, // LinuxNamespace
  73, 7, // LinuxDevice
  80, 8, // LinuxResources
  88, 7, // LinuxMemory
  95, 9, // LinuxCPU
  104, 4, // LinuxWeightDevice
  108, 3, // LinuxThrottleDevice
  111, 7, // LinuxBlockIO
  118, 1, // LinuxPids
  119, 5, // LinuxDeviceCgroup
  124, 2, // LinuxNetwork
  126, 2, // LinuxHugepageLimit
  128, 2, // LinuxInterfacePriority
  130, 5, // LinuxSeccomp
  135, 4, // LinuxSeccompArg
  139, 4, // LinuxSyscall
  143, 1, // LinuxIntelRdt
  144, 2, // LinuxPersonality
]);

/** Six bytes a field: length of its name, number, kind, message, offset of its name in NAMES (two bytes, low first). */
export const FIELDS: usize = memory.data<u8>([
  10, 1, 1, 0, 11, 2, // Spec.ociVersion
  7, 2, 6, 1, 126, 2, // Spec.process
  4, 3, 6, 7, 219, 2, // Spec.root
  8, 4, 1, 0, 81, 1, // Spec.hostname
  6, 5, 22, 6, 220, 1, // Spec.mounts
  5, 6, 6, 8, 70, 1, // Spec.hooks
  11, 7, 7, 0, 38, 0, // Spec.annotations
  5, 8, 6, 10, 174, 1, // Spec.linux
  7, 9, 6, 12, 17, 3, // Spec.solaris
  7, 10, 6, 11, 253, 3, // Spec.windows
  10, 100, 1, 0, 3, 1, // Spec.domainname
  8, 1, 2, 0, 72, 3, // Process.terminal
  11, 2, 6, 2, 131, 0, // Process.consoleSize
  4, 3, 6, 3, 205, 3, // Process.user
  4, 4, 17, 0, 77, 0, // Process.args
  3, 5, 17, 0, 22, 1, // Process.env
  3, 6, 1, 0, 188, 0, // Process.cwd
  12, 7, 6, 4, 101, 0, // Process.capabilities
  7, 8, 22, 5, 212, 2, // Process.rlimits
  15, 9, 2, 0, 252, 1, // Process.noNewPrivileges
  15, 10, 1, 0, 49, 0, // Process.apparmorProfile
  11, 11, 3, 0, 21, 2, // Process.oomScoreAdj
  12, 12, 1, 0, 247, 2, // Process.selinuxLabel
  6, 1, 5, 0, 64, 1, // Box.height
  5, 2, 5, 0, 248, 3, // Box.width
  3, 1, 5, 0, 179, 3, // User.uid
  3, 2, 5, 0, 46, 1, // User.gid
  14, 3, 21, 0, 12, 0, // User.additionalGids
  8, 4, 1, 0, 209, 3, // User.username
  5, 100, 37, 0, 193, 3, // User.umask
  8, 1, 17, 0, 88, 0, // LinuxCapabilities.bounding
  9, 2, 17, 0, 13, 1, // LinuxCapabilities.effective
  11, 3, 17, 0, 112, 1, // LinuxCapabilities.inheritable
  9, 4, 17, 0, 59, 2, // LinuxCapabilities.permitted
  7, 5, 17, 0, 31, 0, // LinuxCapabilities.ambient
  4, 1, 1, 0, 175, 3, // POSIXRlimit.type
  4, 2, 4, 0, 60, 1, // POSIXRlimit.hard
  4, 3, 4, 0, 13, 3, // POSIXRlimit.soft
  11, 1, 1, 0, 219, 0, // Mount.destination
  6, 2, 1, 0, 24, 3, // Mount.source
  4, 3, 1, 0, 175, 3, // Mount.type
  7, 4, 17, 0, 34, 2, // Mount.options
  4, 1, 1, 0, 49, 2, // Root.path
  8, 2, 2, 0, 142, 2, // Root.readonly
  8, 1, 22, 9, 100, 2, // Hooks.prestart
  9, 2, 22, 9, 83, 2, // Hooks.poststart
  8, 3, 22, 9, 92, 2, // Hooks.poststop
  13, 4, 22, 9, 175, 0, // Hooks.createRuntime
  15, 5, 22, 9, 160, 0, // Hooks.createContainer
  14, 6, 22, 9, 30, 3, // Hooks.startContainer
  4, 1, 1, 0, 49, 2, // Hook.path
  4, 2, 17, 0, 77, 0, // Hook.args
  3, 3, 17, 0, 22, 1, // Hook.env
  7, 4, 3, 0, 168, 3, // Hook.timeout
  11, 1, 22, 13, 182, 3, // Linux.uidMappings
  11, 2, 22, 13, 49, 1, // Linux.gidMappings
  6, 3, 7, 0, 66, 3, // Linux.sysctl
  9, 4, 6, 16, 203, 2, // Linux.resources
  11, 5, 1, 0, 113, 0, // Linux.cgroupsPath
  10, 6, 22, 14, 235, 1, // Linux.namespaces
  7, 7, 22, 15, 230, 0, // Linux.devices
  7, 8, 6, 27, 240, 2, // Linux.seccomp
  17, 9, 1, 0, 223, 2, // Linux.rootfsPropagation
  11, 10, 17, 0, 184, 1, // Linux.maskedPaths
  13, 11, 17, 0, 150, 2, // Linux.readonlyPaths
  10, 12, 1, 0, 210, 1, // Linux.mountLabel
  8, 13, 6, 30, 123, 1, // Linux.intelRdt
  11, 100, 6, 31, 68, 2, // Linux.personality
  6, 1, 5, 0, 75, 1, // LinuxIDMapping.hostID
  11, 2, 5, 0, 142, 0, // LinuxIDMapping.containerID
  4, 3, 5, 0, 9, 3, // LinuxIDMapping.size
  4, 1, 1, 0, 175, 3, // LinuxNamespace.type
  4, 2, 1, 0, 49, 2, // LinuxNamespace.path
  4, 1, 1, 0, 49, 2, // LinuxDevice.path
  4, 2, 1, 0, 175, 3, // LinuxDevice.type
  5, 3, 3, 0, 179, 1, // LinuxDevice.major
  5, 4, 3, 0, 205, 1, // LinuxDevice.minor
  8, 5, 5, 0, 33, 1, // LinuxDevice.fileMode
  3, 6, 5, 0, 179, 3, // LinuxDevice.uid
  3, 7, 5, 0, 46, 1, // LinuxDevice.gid
  7, 1, 22, 23, 230, 0, // LinuxResources.devices
  6, 2, 6, 17, 195, 1, // LinuxResources.memory
  3, 3, 6, 18, 153, 0, // LinuxResources.cpu
  4, 4, 6, 22, 79, 2, // LinuxResources.pids
  7, 5, 6, 21, 81, 0, // LinuxResources.blockIO
  14, 6, 22, 25, 89, 1, // LinuxResources.hugepageLimits
  7, 7, 6, 24, 245, 1, // LinuxResources.network
  7, 100, 7, 0, 198, 3, // LinuxResources.unified
  5, 1, 3, 0, 169, 1, // LinuxMemory.limit
  11, 2, 3, 0, 192, 2, // LinuxMemory.reservation
  4, 3, 3, 0, 44, 3, // LinuxMemory.swap
  6, 4, 3, 0, 131, 1, // LinuxMemory.kernel
  9, 5, 3, 0, 137, 1, // LinuxMemory.kernelTCP
  10, 6, 4, 0, 48, 3, // LinuxMemory.swappiness
  16, 7, 2, 0, 237, 0, // LinuxMemory.disableOOMKiller
  6, 1, 4, 0, 3, 3, // LinuxCPU.shares
  5, 2, 3, 0, 133, 2, // LinuxCPU.quota
  6, 3, 4, 0, 53, 2, // LinuxCPU.period
  15, 4, 3, 0, 177, 2, // LinuxCPU.realtimeRuntime
  14, 5, 4, 0, 163, 2, // LinuxCPU.realtimePeriod
  4, 6, 1, 0, 156, 0, // LinuxCPU.cpus
  4, 7, 1, 0, 201, 1, // LinuxCPU.mems
  5, 100, 4, 0, 96, 0, // LinuxCPU.burst
  4, 101, 35, 0, 103, 1, // LinuxCPU.idle
  5, 1, 3, 0, 179, 1, // LinuxWeightDevice.major
  5, 2, 3, 0, 205, 1, // LinuxWeightDevice.minor
  6, 3, 5, 0, 230, 3, // LinuxWeightDevice.weight
  10, 4, 5, 0, 159, 1, // LinuxWeightDevice.leafWeight
  5, 1, 3, 0, 179, 1, // LinuxThrottleDevice.major
  5, 2, 3, 0, 205, 1, // LinuxThrottleDevice.minor
  4, 3, 4, 0, 138, 2, // LinuxThrottleDevice.rate
  6, 1, 5, 0, 230, 3, // LinuxBlockIO.weight
  10, 2, 5, 0, 159, 1, // LinuxBlockIO.leafWeight
  12, 3, 22, 19, 236, 3, // LinuxBlockIO.weightDevice
  21, 4, 22, 20, 80, 3, // LinuxBlockIO.throttleReadBpsDevice
  22, 5, 22, 20, 123, 3, // LinuxBlockIO.throttleWriteBpsDevice
  22, 6, 22, 20, 101, 3, // LinuxBlockIO.throttleReadIOPSDevice
  23, 7, 22, 20, 145, 3, // LinuxBlockIO.throttleWriteIOPSDevice
  5, 1, 3, 0, 169, 1, // LinuxPids.limit
  5, 1, 2, 0, 26, 0, // LinuxDeviceCgroup.allow
  4, 2, 1, 0, 175, 3, // LinuxDeviceCgroup.type
  5, 3, 3, 0, 179, 1, // LinuxDeviceCgroup.major
  5, 4, 3, 0, 205, 1, // LinuxDeviceCgroup.minor
  6, 5, 1, 0, 0, 0, // LinuxDeviceCgroup.access
  7, 1, 5, 0, 124, 0, // LinuxNetwork.classID
  10, 2, 22, 26, 108, 2, // LinuxNetwork.priorities
  8, 1, 1, 0, 41, 2, // LinuxHugepageLimit.pageSize
  5, 2, 4, 0, 169, 1, // LinuxHugepageLimit.limit
  4, 1, 1, 0, 226, 1, // LinuxInterfacePriority.name
  8, 2, 5, 0, 118, 2, // LinuxInterfacePriority.priority
  13, 1, 1, 0, 191, 0, // LinuxSeccomp.defaultAction
  13, 2, 17, 0, 64, 0, // LinuxSeccomp.architectures
  5, 3, 17, 0, 41, 1, // LinuxSeccomp.flags
  8, 4, 22, 29, 58, 3, // LinuxSeccomp.syscalls
  15, 100, 37, 0, 204, 0, // LinuxSeccomp.defaultErrnoRet
  5, 1, 4, 0, 107, 1, // LinuxSeccompArg.index
  5, 2, 4, 0, 217, 3, // LinuxSeccompArg.value
  8, 3, 4, 0, 222, 3, // LinuxSeccompArg.valueTwo
  2, 4, 1, 0, 32, 2, // LinuxSeccompArg.op
  5, 1, 17, 0, 230, 1, // LinuxSyscall.names
  6, 2, 1, 0, 6, 0, // LinuxSyscall.action
  8, 3, 37, 0, 25, 1, // LinuxSyscall.errnoRet
  4, 4, 22, 28, 77, 0, // LinuxSyscall.args
  13, 1, 1, 0, 146, 1, // LinuxIntelRdt.l3CacheSchema
  6, 1, 1, 0, 253, 0, // LinuxPersonality.domain
  5, 2, 17, 0, 41, 1, // LinuxPersonality.flags
]);

export const NAMES: usize = memory.data<u8>([
  97, 99, 99, 101, 115, 115, // access
  97, 99, 116, 105, 111, 110, // action
  97, 100, 100, 105, 116, 105, 111, 110, 97, 108, 71, 105, 100, 115, // additionalGids
  97, 108, 108, 111, 119, // allow
  97, 109, 98, 105, 101, 110, 116, // ambient
  97, 110, 110, 111, 116, 97, 116, 105, 111, 110, 115, // annotations
  97, 112, 112, 97, 114, 109, 111, 114, 80, 114, 111, 102, 105, 108, 101, // apparmorProfile
  97, 114, 99, 104, 105, 116, 101, 99, 116, 117, 114, 101, 115, // architectures
  97, 114, 103, 115, // args
  98, 108, 111, 99, 107, 73, 79, // blockIO
  98, 111, 117, 110, 100, 105, 110, 103, // bounding
  98, 117, 114, 115, 116, // burst
  99, 97, 112, 97, 98, 105, 108, 105, 116, 105, 101, 115, // capabilities
  99, 103, 114, 111, 117, 112, 115, 80, 97, 116, 104, // cgroupsPath
  99, 108, 97, 115, 115, 73, 68, // classID
  99, 111, 110, 115, 111, 108, 101, 83, 105, 122, 101, // consoleSize
  99, 111, 110, 116, 97, 105, 110, 101, 114, 73, 68, // containerID
  99, 112, 117, // cpu
  99, 112, 117, 115, // cpus
  99, 114, 101, 97, 116, 101, 67, 111, 110, 116, 97, 105, 110, 101, 114, // createContainer
  99, 114, 101, 97, 116, 101, 82, 117, 110, 116, 105, 109, 101, // createRuntime
  99, 119, 100, // cwd
  100, 101, 102, 97, 117, 108, 116, 65, 99, 116, 105, 111, 110, // defaultAction
  100, 101, 102, 97, 117, 108, 116, 69, 114, 114, 110, 111, 82, 101, 116, // defaultErrnoRet
  100, 101, 115, 116, 105, 110, 97, 116, 105, 111, 110, // destination
  100, 101, 118, 105, 99, 101, 115, // devices
  100, 105, 115, 97, 98, 108, 101, 79, 79, 77, 75, 105, 108, 108, 101, 114, // disableOOMKiller
  100, 111, 109, 97, 105, 110, // domain
  100, 111, 109, 97, 105, 110, 110, 97, 109, 101, // domainname
  101, 102, 102, 101, 99, 116, 105, 118, 101, // effective
  101, 110, 118, // env
  101, 114, 114, 110, 111, 82, 101, 116, // errnoRet
  102, 105, 108, 101, 77, 111, 100, 101, // fileMode
  102, 108, 97, 103, 115, // flags
  103, 105, 100, // gid
  103, 105, 100, 77, 97, 112, 112, 105, 110, 103, 115, // gidMappings
  104, 97, 114, 100, // hard
  104, 101, 105, 103, 104, 116, // height
  104, 111, 111, 107, 115, // hooks
  104, 111, 115, 116, 73, 68, // hostID
  104, 111, 115, 116, 110, 97, 109, 101, // hostname
  104, 117, 103, 101, 112, 97, 103, 101, 76, 105, 109, 105, 116, 115, // hugepageLimits
  105, 100, 108, 101, // idle
  105, 110, 100, 101, 120, // index
  105, 110, 104, 101, 114, 105, 116, 97, 98, 108, 101, // inheritable
  105, 110, 116, 101, 108, 82, 100, 116, // intelRdt
  107, 101, 114, 110, 101, 108, // kernel
  107, 101, 114, 110, 101, 108, 84, 67, 80, // kernelTCP
  108, 51, 67, 97, 99, 104, 101, 83, 99, 104, 101, 109, 97, // l3CacheSchema
  108, 101, 97, 102, 87, 101, 105, 103, 104, 116, // leafWeight
  108, 105, 109, 105, 116, // limit
  108, 105, 110, 117, 120, // linux
  109, 97, 106, 111, 114, // major
  109, 97, 115, 107, 101, 100, 80, 97, 116, 104, 115, // maskedPaths
  109, 101, 109, 111, 114, 121, // memory
  109, 101, 109, 115, // mems
  109, 105, 110, 111, 114, // minor
  109, 111, 117, 110, 116, 76, 97, 98, 101, 108, // mountLabel
  109, 111, 117, 110, 116, 115, // mounts
  110, 97, 109, 101, // name
  110, 97, 109, 101, 115, // names
  110, 97, 109, 101, 115, 112, 97, 99, 101, 115, // namespaces
  110, 101, 116, 119, 111, 114, 107, // network
  110, 111, 78, 101, 119, 80, 114, 105, 118, 105, 108, 101, 103, 101, 115, // noNewPrivileges
  111, 99, 105, 86, 101, 114, 115, 105, 111, 110, // ociVersion
  111, 111, 109, 83, 99, 111, 114, 101, 65, 100, 106, // oomScoreAdj
  111, 112, // op
  111, 112, 116, 105, 111, 110, 115, // options
  112, 97, 103, 101, 83, 105, 122, 101, // pageSize
  112, 97, 116, 104, // path
  112, 101, 114, 105, 111, 100, // period
  112, 101, 114, 109, 105, 116, 116, 101, 100, // permitted
  112, 101, 114, 115, 111, 110, 97, 108, 105, 116, 121, // personality
  112, 105, 100, 115, // pids
  112, 111, 115, 116, 115, 116, 97, 114, 116, // poststart
  112, 111, 115, 116, 115, 116, 111, 112, // poststop
  112, 114, 101, 115, 116, 97, 114, 116, // prestart
  112, 114, 105, 111, 114, 105, 116, 105, 101, 115, // priorities
  112, 114, 105, 111, 114, 105, 116, 121, // priority
  112, 114, 111, 99, 101, 115, 115, // process
  113, 117, 111, 116, 97, // quota
  114, 97, 116, 101, // rate
  114, 101, 97, 100, 111, 110, 108, 121, // readonly
  114, 101, 97, 100, 111, 110, 108, 121, 80, 97, 116, 104, 115, // readonlyPaths
  114, 101, 97, 108, 116, 105, 109, 101, 80, 101, 114, 105, 111, 100, // realtimePeriod
  114, 101, 97, 108, 116, 105, 109, 101, 82, 117, 110, 116, 105, 109, 101, // realtimeRuntime
  114, 101, 115, 101, 114, 118, 97, 116, 105, 111, 110, // reservation
  114, 101, 115, 111, 117, 114, 99, 101, 115, // resources
  114, 108, 105, 109, 105, 116, 115, // rlimits
  114, 111, 111, 116, // root
  114, 111, 111, 116, 102, 115, 80, 114, 111, 112, 97, 103, 97, 116, 105, 111, 110, // rootfsPropagation
  115, 101, 99, 99, 111, 109, 112, // seccomp
  115, 101, 108, 105, 110, 117, 120, 76, 97, 98, 101, 108, // selinuxLabel
  115, 104, 97, 114, 101, 115, // shares
  115, 105, 122, 101, // size
  115, 111, 102, 116, // soft
  115, 111, 108, 97, 114, 105, 115, // solaris
  115, 111, 117, 114, 99, 101, // source
  115, 116, 97, 114, 116, 67, 111, 110, 116, 97, 105, 110, 101, 114, // startContainer
  115, 119, 97, 112, // swap
  115, 119, 97, 112, 112, 105, 110, 101, 115, 115, // swappiness
  115, 121, 115, 99, 97, 108, 108, 115, // syscalls
  115, 121, 115, 99, 116, 108, // sysctl
  116, 101, 114, 109, 105, 110, 97, 108, // terminal
  116, 104, 114, 111, 116, 116, 108, 101, 82, 101, 97, 100, 66, 112, 115, 68, 101, 118, 105, 99, 101, // throttleReadBpsDevice
  116, 104, 114, 111, 116, 116, 108, 101, 82, 101, 97, 100, 73, 79, 80, 83, 68, 101, 118, 105, 99, 101, // throttleReadIOPSDevice
  116, 104, 114, 111, 116, 116, 108, 101, 87, 114, 105, 116, 101, 66, 112, 115, 68, 101, 118, 105, 99, 101, // throttleWriteBpsDevice
  116, 104, 114, 111, 116, 116, 108, 101, 87, 114, 105, 116, 101, 73, 79, 80, 83, 68, 101, 118, 105, 99, 101, // throttleWriteIOPSDevice
  116, 105, 109, 101, 111, 117, 116, // timeout
  116, 121, 112, 101, // type
  117, 105, 100, // uid
  117, 105, 100, 77, 97, 112, 112, 105, 110, 103, 115, // uidMappings
  117, 109, 97, 115, 107, // umask
  117, 110, 105, 102, 105, 101, 100, // unified
  117, 115, 101, 114, // user
  117, 115, 101, 114, 110, 97, 109, 101, // username
  118, 97, 108, 117, 101, // value
  118, 97, 108, 117, 101, 84, 119, 111, // valueTwo
  119, 101, 105, 103, 104, 116, // weight
  119, 101, 105, 103, 104, 116, 68, 101, 118, 105, 99, 101, // weightDevice
  119, 105, 100, 116, 104, // width
  119, 105, 110, 100, 111, 119, 115, // windows
]);
