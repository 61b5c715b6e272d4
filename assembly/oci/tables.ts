// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.
// biome-ignore-all format: tables, a row a line

export const MESSAGE_COUNT: i32 = 31;
/** Levels of messages within a document, its own included. */
export const MAX_NESTING: i32 = 5;

/** Two bytes a message: its first row in FIELDS, and how many are its own. */
export const MESSAGES: usize = memory.data<u8>([
  0, 10, // Spec
  10, 12, // Process
  22, 2, // Box
  24, 4, // User
  28, 5, // LinuxCapabilities
  33, 3, // POSIXRlimit
  36, 4, // Mount
  40, 2, // Root
  42, 6, // Hooks
  48, 4, // Hook
  52, 13, // Linux
  65, 0, // Windows
  65, 0, // Solaris
  65, 3, // LinuxIDMapping
  68, 2, // LinuxNamespace
  70, 7, // LinuxDevice
  77, 7, // LinuxResources
  84, 7, // LinuxMemory
  91, 7, // LinuxCPU
  98, 4, // LinuxWeightDevice
  102, 3, // LinuxThrottleDevice
  105, 7, // LinuxBlockIO
  112, 1, // LinuxPids
  113, 5, // LinuxDeviceCgroup
  118, 2, // LinuxNetwork
  120, 2, // LinuxHugepageLimit
  122, 2, // LinuxInterfacePriority
  124, 4, // LinuxSeccomp
  128, 4, // LinuxSeccompArg
  132, 4, // LinuxSyscall
  136, 1, // LinuxIntelRdt
]);

/** Six bytes a field: length of its name, number, kind, message, offset of its name in NAMES (two bytes, low first). */
export const FIELDS: usize = memory.data<u8>([
  10, 1, 1, 0, 227, 1, // Spec.ociVersion
  7, 2, 6, 1, 75, 2, // Spec.process
  4, 3, 6, 7, 168, 2, // Spec.root
  8, 4, 1, 0, 45, 1, // Spec.hostname
  6, 5, 22, 6, 180, 1, // Spec.mounts
  5, 6, 6, 8, 34, 1, // Spec.hooks
  11, 7, 7, 0, 38, 0, // Spec.annotations
  5, 8, 6, 10, 134, 1, // Spec.linux
  7, 9, 6, 12, 222, 2, // Spec.solaris
  7, 10, 6, 11, 190, 3, // Spec.windows
  8, 1, 2, 0, 21, 3, // Process.terminal
  11, 2, 6, 2, 126, 0, // Process.consoleSize
  4, 3, 6, 3, 142, 3, // Process.user
  4, 4, 17, 0, 77, 0, // Process.args
  3, 5, 17, 0, 242, 0, // Process.env
  3, 6, 1, 0, 183, 0, // Process.cwd
  12, 7, 6, 4, 96, 0, // Process.capabilities
  7, 8, 22, 5, 161, 2, // Process.rlimits
  15, 9, 2, 0, 212, 1, // Process.noNewPrivileges
  15, 10, 1, 0, 49, 0, // Process.apparmorProfile
  11, 11, 3, 0, 237, 1, // Process.oomScoreAdj
  12, 12, 1, 0, 196, 2, // Process.selinuxLabel
  6, 1, 5, 0, 28, 1, // Box.height
  5, 2, 5, 0, 185, 3, // Box.width
  3, 1, 5, 0, 128, 3, // User.uid
  3, 2, 5, 0, 10, 1, // User.gid
  14, 3, 21, 0, 12, 0, // User.additionalGids
  8, 4, 1, 0, 146, 3, // User.username
  8, 1, 17, 0, 88, 0, // LinuxCapabilities.bounding
  9, 2, 17, 0, 233, 0, // LinuxCapabilities.effective
  11, 3, 17, 0, 72, 1, // LinuxCapabilities.inheritable
  9, 4, 17, 0, 19, 2, // LinuxCapabilities.permitted
  7, 5, 17, 0, 31, 0, // LinuxCapabilities.ambient
  4, 1, 1, 0, 124, 3, // POSIXRlimit.type
  4, 2, 4, 0, 24, 1, // POSIXRlimit.hard
  4, 3, 4, 0, 218, 2, // POSIXRlimit.soft
  11, 1, 1, 0, 199, 0, // Mount.destination
  6, 2, 1, 0, 229, 2, // Mount.source
  4, 3, 1, 0, 124, 3, // Mount.type
  7, 4, 17, 0, 250, 1, // Mount.options
  4, 1, 1, 0, 9, 2, // Root.path
  8, 2, 2, 0, 91, 2, // Root.readonly
  8, 1, 22, 9, 49, 2, // Hooks.prestart
  9, 2, 22, 9, 32, 2, // Hooks.poststart
  8, 3, 22, 9, 41, 2, // Hooks.poststop
  13, 4, 22, 9, 170, 0, // Hooks.createRuntime
  15, 5, 22, 9, 155, 0, // Hooks.createContainer
  14, 6, 22, 9, 235, 2, // Hooks.startContainer
  4, 1, 1, 0, 9, 2, // Hook.path
  4, 2, 17, 0, 77, 0, // Hook.args
  3, 3, 17, 0, 242, 0, // Hook.env
  7, 4, 3, 0, 117, 3, // Hook.timeout
  11, 1, 22, 13, 131, 3, // Linux.uidMappings
  11, 2, 22, 13, 13, 1, // Linux.gidMappings
  6, 3, 7, 0, 15, 3, // Linux.sysctl
  9, 4, 6, 16, 152, 2, // Linux.resources
  11, 5, 1, 0, 108, 0, // Linux.cgroupsPath
  10, 6, 22, 14, 195, 1, // Linux.namespaces
  7, 7, 22, 15, 210, 0, // Linux.devices
  7, 8, 6, 27, 189, 2, // Linux.seccomp
  17, 9, 1, 0, 172, 2, // Linux.rootfsPropagation
  11, 10, 17, 0, 144, 1, // Linux.maskedPaths
  13, 11, 17, 0, 99, 2, // Linux.readonlyPaths
  10, 12, 1, 0, 170, 1, // Linux.mountLabel
  8, 13, 6, 30, 83, 1, // Linux.intelRdt
  6, 1, 5, 0, 39, 1, // LinuxIDMapping.hostID
  11, 2, 5, 0, 137, 0, // LinuxIDMapping.containerID
  4, 3, 5, 0, 214, 2, // LinuxIDMapping.size
  4, 1, 1, 0, 124, 3, // LinuxNamespace.type
  4, 2, 1, 0, 9, 2, // LinuxNamespace.path
  4, 1, 1, 0, 9, 2, // LinuxDevice.path
  4, 2, 1, 0, 124, 3, // LinuxDevice.type
  5, 3, 3, 0, 139, 1, // LinuxDevice.major
  5, 4, 3, 0, 165, 1, // LinuxDevice.minor
  8, 5, 5, 0, 253, 0, // LinuxDevice.fileMode
  3, 6, 5, 0, 128, 3, // LinuxDevice.uid
  3, 7, 5, 0, 10, 1, // LinuxDevice.gid
  7, 1, 22, 23, 210, 0, // LinuxResources.devices
  6, 2, 6, 17, 155, 1, // LinuxResources.memory
  3, 3, 6, 18, 148, 0, // LinuxResources.cpu
  4, 4, 6, 22, 28, 2, // LinuxResources.pids
  7, 5, 6, 21, 81, 0, // LinuxResources.blockIO
  14, 6, 22, 25, 53, 1, // LinuxResources.hugepageLimits
  7, 7, 6, 24, 205, 1, // LinuxResources.network
  5, 1, 3, 0, 129, 1, // LinuxMemory.limit
  11, 2, 3, 0, 141, 2, // LinuxMemory.reservation
  4, 3, 3, 0, 249, 2, // LinuxMemory.swap
  6, 4, 3, 0, 91, 1, // LinuxMemory.kernel
  9, 5, 3, 0, 97, 1, // LinuxMemory.kernelTCP
  10, 6, 4, 0, 253, 2, // LinuxMemory.swappiness
  16, 7, 2, 0, 217, 0, // LinuxMemory.disableOOMKiller
  6, 1, 4, 0, 208, 2, // LinuxCPU.shares
  5, 2, 3, 0, 82, 2, // LinuxCPU.quota
  6, 3, 4, 0, 13, 2, // LinuxCPU.period
  15, 4, 3, 0, 126, 2, // LinuxCPU.realtimeRuntime
  14, 5, 4, 0, 112, 2, // LinuxCPU.realtimePeriod
  4, 6, 1, 0, 151, 0, // LinuxCPU.cpus
  4, 7, 1, 0, 161, 1, // LinuxCPU.mems
  5, 1, 3, 0, 139, 1, // LinuxWeightDevice.major
  5, 2, 3, 0, 165, 1, // LinuxWeightDevice.minor
  6, 3, 5, 0, 167, 3, // LinuxWeightDevice.weight
  10, 4, 5, 0, 119, 1, // LinuxWeightDevice.leafWeight
  5, 1, 3, 0, 139, 1, // LinuxThrottleDevice.major
  5, 2, 3, 0, 165, 1, // LinuxThrottleDevice.minor
  4, 3, 4, 0, 87, 2, // LinuxThrottleDevice.rate
  6, 1, 5, 0, 167, 3, // LinuxBlockIO.weight
  10, 2, 5, 0, 119, 1, // LinuxBlockIO.leafWeight
  12, 3, 22, 19, 173, 3, // LinuxBlockIO.weightDevice
  21, 4, 22, 20, 29, 3, // LinuxBlockIO.throttleReadBpsDevice
  22, 5, 22, 20, 72, 3, // LinuxBlockIO.throttleWriteBpsDevice
  22, 6, 22, 20, 50, 3, // LinuxBlockIO.throttleReadIOPSDevice
  23, 7, 22, 20, 94, 3, // LinuxBlockIO.throttleWriteIOPSDevice
  5, 1, 3, 0, 129, 1, // LinuxPids.limit
  5, 1, 2, 0, 26, 0, // LinuxDeviceCgroup.allow
  4, 2, 1, 0, 124, 3, // LinuxDeviceCgroup.type
  5, 3, 3, 0, 139, 1, // LinuxDeviceCgroup.major
  5, 4, 3, 0, 165, 1, // LinuxDeviceCgroup.minor
  6, 5, 1, 0, 0, 0, // LinuxDeviceCgroup.access
  7, 1, 5, 0, 119, 0, // LinuxNetwork.classID
  10, 2, 22, 26, 57, 2, // LinuxNetwork.priorities
  8, 1, 1, 0, 1, 2, // LinuxHugepageLimit.pageSize
  5, 2, 4, 0, 129, 1, // LinuxHugepageLimit.limit
  4, 1, 1, 0, 186, 1, // LinuxInterfacePriority.name
  8, 2, 5, 0, 67, 2, // LinuxInterfacePriority.priority
  13, 1, 1, 0, 186, 0, // LinuxSeccomp.defaultAction
  13, 2, 17, 0, 64, 0, // LinuxSeccomp.architectures
  5, 3, 17, 0, 5, 1, // LinuxSeccomp.flags
  8, 4, 22, 29, 7, 3, // LinuxSeccomp.syscalls
  5, 1, 4, 0, 67, 1, // LinuxSeccompArg.index
  5, 2, 4, 0, 154, 3, // LinuxSeccompArg.value
  8, 3, 4, 0, 159, 3, // LinuxSeccompArg.valueTwo
  2, 4, 1, 0, 248, 1, // LinuxSeccompArg.op
  5, 1, 17, 0, 190, 1, // LinuxSyscall.names
  6, 2, 1, 0, 6, 0, // LinuxSyscall.action
  8, 3, 37, 0, 245, 0, // LinuxSyscall.errnoRet
  4, 4, 22, 28, 77, 0, // LinuxSyscall.args
  13, 1, 1, 0, 106, 1, // LinuxIntelRdt.l3CacheSchema
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
  100, 101, 115, 116, 105, 110, 97, 116, 105, 111, 110, // destination
  100, 101, 118, 105, 99, 101, 115, // devices
  100, 105, 115, 97, 98, 108, 101, 79, 79, 77, 75, 105, 108, 108, 101, 114, // disableOOMKiller
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
  117, 115, 101, 114, // user
  117, 115, 101, 114, 110, 97, 109, 101, // username
  118, 97, 108, 117, 101, // value
  118, 97, 108, 117, 101, 84, 119, 111, // valueTwo
  119, 101, 105, 103, 104, 116, // weight
  119, 101, 105, 103, 104, 116, 68, 101, 118, 105, 99, 101, // weightDevice
  119, 105, 100, 116, 104, // width
  119, 105, 110, 100, 111, 119, 115, // windows
]);
