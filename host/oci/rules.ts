/**
 * What of a container's spec changes on its way into the guest, as tables. host/oci/rewrite.ts carries them out.
 *
 * Everything that is not named here reaches the guest as containerd wrote it. resources.unified, cpu.burst and .idle,
 * seccomp.defaultErrnoRet, user.umask, domainname and personality travel in fields of our own (proto/oci.proto): our agent
 * applies them, others skip them. What has no field cannot reach any guest: resources.rdma, memory.checkBeforeUpdate,
 * seccomp's listener, a mount's uidMappings and gidMappings, time offsets, scheduler, ioPriority, execCPUAffinity.
 */
import type { LinuxDevice, Mount } from '../proto/messages/oci.ts';
import type { FieldPath } from './edit.ts';

/** Where the guest keeps the /dev/shm that a sandbox's containers share. */
export const GUEST_SHM = '/run/kata-containers/sandbox/shm';
/** Size of a container's own /dev/shm, bytes, where the sandbox has none. */
export const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

export type ContainerType = 'pod_sandbox' | 'pod_container' | 'single_container';

/** Annotations that tell a pod's sandbox from its containers; the first present one decides. None: a container by itself. */
export const CONTAINER_TYPES: readonly {
  readonly key: string;
  readonly values: Readonly<Record<string, ContainerType>>;
}[] = [
  { key: 'io.kubernetes.cri.container-type', values: { sandbox: 'pod_sandbox', container: 'pod_container' } },
  { key: 'io.kubernetes.cri-o.ContainerType', values: { sandbox: 'pod_sandbox', container: 'pod_container' } },
  { key: 'io.kubernetes.docker.type', values: { podsandbox: 'pod_sandbox', container: 'pod_container' } },
];

/** Annotations that name the sandbox a pod's container belongs to; the first present one decides. */
export const SANDBOX_IDS: readonly string[] = [
  'io.kubernetes.cri.sandbox-id',
  'io.kubernetes.cri-o.SandboxID',
  'io.kubernetes.sandbox.id',
];

export const ANNOTATION_CONTAINER_TYPE = 'io.katacontainers.pkg.oci.container_type';
export const ANNOTATION_BUNDLE = 'io.katacontainers.pkg.oci.bundle_path';

/** Annotations meant for the host: they may be large, and are none of the guest's business. */
export const REMOVED_ANNOTATIONS: ReadonlySet<string> = new Set([
  'io.katacontainers.config.agent.policy',
  'io.katacontainers.config.hypervisor.cc_init_data',
]);

/** Fields that never reach the guest. */
export const DROPPED_FIELDS: readonly { readonly path: FieldPath; readonly why: string }[] = [
  ...['Prestart', 'CreateRuntime', 'CreateContainer', 'Poststart', 'Poststop'].map((stage) => ({
    path: ['Hooks', stage],
    why: 'programs of the host; those of startContainer are the container’s own',
  })),
  { path: ['Solaris'], why: 'the guest is Linux' },
  { path: ['Windows'], why: 'the guest is Linux' },
  { path: ['Process', 'SelinuxLabel'], why: "labels are the host policy's; the guest has none" },
  { path: ['Linux', 'MountLabel'], why: "labels are the host policy's; the guest has none" },
  { path: ['Linux', 'Resources', 'Network'], why: "traffic classes are marked on the host's interfaces" },
];

/** Dropped where the configuration says disable_guest_seccomp. */
export const SECCOMP: FieldPath = ['Linux', 'Seccomp'];

/** Fields that rewriting replaces as a whole. */
export const REPLACED_FIELDS: readonly FieldPath[] = [
  ['Root', 'Path'],
  ['Mounts'],
  ['Annotations'],
  ['Linux', 'Namespaces'],
  ['Linux', 'Devices'],
];

/**
 * Namespaces by type. Paths name namespaces of the host and are always emptied; a type that is not listed is kept,
 * and refused by the guest if it does not know it.
 */
export const NAMESPACES: Readonly<Record<string, { readonly action: 'keep' | 'remove'; readonly why: string }>> = {
  network: { action: 'remove', why: "containers use the VM's network stack" },
  pid: { action: 'remove', why: 'sandbox_pidns of CreateContainer says whether to share or to make one' },
  cgroup: { action: 'remove', why: 'the guest decides by its cgroup version' },
  time: { action: 'remove', why: 'offsets are not in the protocol' },
  mount: { action: 'keep', why: "made in the guest, a container's own" },
  ipc: { action: 'keep', why: "the guest substitutes the sandbox's" },
  uts: { action: 'keep', why: "the guest substitutes the sandbox's" },
  user: { action: 'keep', why: 'with its mappings, inside the VM' },
};

/** What becomes of a mount: sent as it is, left out, the sandbox's /dev/shm, or a host file to share. */
export type MountAction = 'send' | 'drop' | 'shm' | 'share';

export interface MountRule {
  readonly why: string;
  readonly applies: (mount: Mount, host: HostFiles) => boolean;
  readonly action: MountAction;
}

/** What the rules ask about the host's files. */
export interface HostFiles {
  /** Whether a path exists and is a regular file. */
  readonly isRegularFile: (path: string) => boolean;
  /** Whether a path leads to the node of a block device. */
  readonly isBlockDevice: (path: string) => boolean;
}

/** kubelet's emptyDirs. */
const EMPTY_DIR = /\/kubernetes\.io~empty-dir\/[^/]+\/?$/;

/** Mount rules; the first that applies decides. */
export const MOUNT_RULES: readonly MountRule[] = [
  {
    why: 'a layer of the root file system, mounted with it',
    applies: (mount) => mount.options.some((option) => option.startsWith('io.katacontainers.fs-opt.is-layer')),
    action: 'drop',
  },
  {
    why: "the guest's own /proc and /sys",
    applies: (mount) => isWithin(mount.source, '/proc') || isWithin(mount.source, '/sys'),
    action: 'send',
  },
  {
    why: 'proc, sysfs, tmpfs, devpts, mqueue, cgroup: made by the guest kernel',
    applies: (mount) => !isBind(mount),
    action: 'send',
  },
  {
    why: "the pod's shared memory lives in the guest",
    // An emptyDir there is a volume like others, of a size of its own.
    applies: (mount) => withoutTrailingSlash(mount.destination) === '/dev/shm' && !EMPTY_DIR.test(mount.source),
    action: 'shm',
  },
  {
    why: 'a block device of the host: attached to the virtual machine',
    applies: (mount, host) => isWithin(mount.source, '/dev') && host.isBlockDevice(mount.source),
    action: 'share',
  },
  {
    why: "the guest's own devices",
    applies: (mount, host) => isWithin(mount.source, '/dev') && !host.isRegularFile(mount.source),
    action: 'send',
  },
  { why: 'a file or directory of the host', applies: () => true, action: 'share' },
];

/** Device nodes that are not made in the guest. */
export const DEVICE_RULES: readonly { readonly why: string; readonly applies: (device: LinuxDevice) => boolean }[] = [
  {
    // Of the guest's own disks among others: a container that opens one of those reads the files of its pod's other containers.
    why: 'the same numbers are other disks in the guest',
    applies: (device) => device.Type === 'b',
  },
  {
    why: 'VFIO groups are of the host',
    applies: (device) => isWithin(device.Path, '/dev/vfio') && device.Path !== '/dev/vfio',
  },
];

/** A bind mount by its type, or by its options as `mount --bind` has it (type `none`). */
function isBind(mount: Mount): boolean {
  return mount.type === 'bind' || mount.options.includes('bind') || mount.options.includes('rbind');
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
