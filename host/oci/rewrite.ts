/** Turns the spec that containerd wrote for the host into the one the guest's agent gets, by the tables of ./rules.ts. */
import { statSync } from 'node:fs';
import { encode, type Init, type MessageType } from '../proto/codec.ts';
import {
  Linux,
  type LinuxDevice,
  type LinuxNamespace,
  LinuxResources,
  type Mount,
  Process,
  Root,
  Spec,
} from '../proto/messages/oci.ts';
import { addFields, applyEdit, dropField, type FieldPath, noEdit } from './edit.ts';
import {
  ANNOTATION_BUNDLE,
  ANNOTATION_CONTAINER_TYPE,
  DEFAULT_SHM_BYTES,
  DEVICE_RULES,
  DROPPED_FIELDS,
  GUEST_SHM,
  type HostFiles,
  MOUNT_RULES,
  type MountRule,
  NAMESPACES,
  REMOVED_ANNOTATIONS,
  REPLACED_FIELDS,
  SECCOMP,
} from './rules.ts';
import type { SpecView } from './view.ts';

export { readSpec, type SpecView } from './view.ts';

/** How the container looks in the guest. */
export interface GuestView {
  /** Absolute path of the root file system in the guest. */
  readonly rootPath: string;
  /** The bundle's directory on the host, for the annotation. */
  readonly bundle: string;
  /**
   * What the guest gets in place of mounts that `sharedMounts` named: another mount, or 'drop' for none. Those that are not
   * in it are sent unchanged.
   */
  readonly mounts?: ReadonlyMap<Mount, Init<Mount> | 'drop'> | undefined;
  /** Paths of block devices in the spec that the guest has been given; all others are left out. */
  readonly blockDevices?: ReadonlySet<string> | undefined;
  /** disable_guest_seccomp of the configuration. */
  readonly disableGuestSeccomp: boolean;
  /** Sysctls of the pod where no pause container's spec carries them; they win over the container's. */
  readonly sysctls?: Readonly<Record<string, string>> | undefined;
  /** Size of the sandbox's /dev/shm, bytes; 0: it has none, and the container gets one of its own. */
  readonly shmBytes?: number | undefined;
  /** For tests; the host's own files otherwise. */
  readonly hostFiles?: HostFiles | undefined;
}

export interface RewrittenSpec {
  /** Encoded grpc.Spec. */
  readonly spec: Uint8Array;
  /** For CreateContainerRequest: the container shares the sandbox's pid namespace. */
  readonly sandboxPidns: boolean;
  /** What was left out that the container might miss, a line each, for the log. */
  readonly omitted: readonly string[];
}

/**
 * The mounts of a spec that bind files or directories of the host, which have to be made available in the guest first.
 * @param view what `readSpec` read
 * @param host for tests; the host's own files otherwise
 */
export function sharedMounts(view: Pick<SpecView, 'mounts'>, host: HostFiles = HOST_FILES): Mount[] {
  return view.mounts.filter((mount) => ruleOf(mount, host)?.action === 'share');
}

/**
 * Rewrites a spec for the guest.
 * @param spec encoded grpc.Spec of `translateSpec`
 * @param view what `readSpec` read in it
 */
export function rewriteSpec(spec: Uint8Array, view: SpecView, guest: GuestView): RewrittenSpec {
  const omitted: string[] = [];
  const edit = noEdit();
  const type = Spec as MessageType<unknown>;
  for (const { path } of DROPPED_FIELDS) dropField(edit, type, path);
  if (guest.disableGuestSeccomp) dropField(edit, type, SECCOMP);
  for (const path of REPLACED_FIELDS) dropField(edit, type, path);
  addFields(edit, type, ['Root'], encode(Root, { Path: guest.rootPath }));
  const Namespaces = guestNamespaces(view.namespaces);
  const Devices = guestDevices(view.devices, guest, omitted);
  addFields(edit, type, ['Linux'], encode(Linux, { Namespaces, Devices, Sysctl: guest.sysctls ?? {} }));
  const Mounts = guestMounts(view.mounts, guest, omitted);
  addFields(edit, type, [], encode(Spec, { Mounts, Annotations: guestAnnotations(view, guest.bundle) }));
  return { spec: applyEdit(spec, edit), sandboxPidns: sharesPids(view), omitted };
}

/** A pod's container without a pid namespace wants the host's (hostPID): the widest there is for it is the pod's. */
function sharesPids({ namespaces, containerType }: SpecView): boolean {
  const entry = namespaces.find(({ Type }) => Type === 'pid');
  return entry ? entry.Path !== '' : containerType === 'pod_container';
}

/**
 * Rewrites the process of an exec for the guest.
 * @param process encoded grpc.Process of `translateProcess`
 */
export function rewriteProcess(process: Uint8Array): Uint8Array {
  return withoutDropped(process, Process as MessageType<unknown>, ['Process']);
}

/**
 * Rewrites the resources of an update for the guest.
 * @param resources encoded grpc.LinuxResources of `translateResources`
 */
export function rewriteResources(resources: Uint8Array): Uint8Array {
  return withoutDropped(resources, LinuxResources as MessageType<unknown>, ['Linux', 'Resources']);
}

/** A part of a spec without what of DROPPED_FIELDS lies below `at`. */
function withoutDropped(encoded: Uint8Array, type: MessageType<unknown>, at: FieldPath): Uint8Array {
  const edit = noEdit();
  for (const { path } of DROPPED_FIELDS) {
    const below = path.length > at.length && at.every((name, i) => path[i] === name);
    if (below) dropField(edit, type, path.slice(at.length));
  }
  return applyEdit(encoded, edit);
}

function guestNamespaces(namespaces: readonly LinuxNamespace[]): Pick<LinuxNamespace, 'Type'>[] {
  const kept = namespaces.filter(({ Type }) => !Object.hasOwn(NAMESPACES, Type) || NAMESPACES[Type]?.action === 'keep');
  return kept.map(({ Type }) => ({ Type }));
}

function guestDevices(devices: readonly LinuxDevice[], guest: GuestView, omitted: string[]): LinuxDevice[] {
  return devices.filter((device) => {
    if (device.Type === 'b' && guest.blockDevices?.has(device.Path)) return true;
    const rule = DEVICE_RULES.find((candidate) => candidate.applies(device));
    if (rule) omitted.push(`device ${device.Path} (${device.Type} ${device.Major}:${device.Minor}): ${rule.why}`);
    return !rule;
  });
}

function guestMounts(mounts: readonly Mount[], guest: GuestView, omitted: string[]): Init<Mount>[] {
  const host = guest.hostFiles ?? HOST_FILES;
  const out: Init<Mount>[] = [];
  for (const mount of mounts) {
    const replacement = guest.mounts?.get(mount);
    const rule = replacement ? undefined : ruleOf(mount, host);
    if (replacement) {
      if (replacement !== 'drop') out.push(replacement);
    } else if (rule?.action === 'drop') omitted.push(`mount ${mount.destination} of ${mount.source}: ${rule.why}`);
    else if (rule?.action === 'shm') out.push(shmMount(mount.destination, guest.shmBytes));
    else out.push(mount);
  }
  return out;
}

function ruleOf(mount: Mount, host: HostFiles): MountRule | undefined {
  return MOUNT_RULES.find((candidate) => candidate.applies(mount, host));
}

function shmMount(destination: string, sandboxBytes: number | undefined): Mount {
  if (sandboxBytes !== 0) return { destination, type: 'bind', source: GUEST_SHM, options: ['rbind'] };
  const options = ['noexec', 'nosuid', 'nodev', 'mode=1777', `size=${DEFAULT_SHM_BYTES}`];
  return { destination, type: 'tmpfs', source: 'shm', options };
}

function guestAnnotations(view: SpecView, bundle: string): Record<string, string> {
  const out: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(view.annotations)) if (!REMOVED_ANNOTATIONS.has(key)) out[key] = value;
  out[ANNOTATION_CONTAINER_TYPE] = view.containerType;
  out[ANNOTATION_BUNDLE] = bundle;
  return out;
}

const HOST_FILES: HostFiles = {
  isRegularFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
  isBlockDevice: (path) => statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false,
};
