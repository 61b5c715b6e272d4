/** Turns the spec that containerd wrote for the host into the one the guest's agent gets, by the tables of ./rules.ts. */
import { statSync } from 'node:fs';
import { encode, type MessageType } from '../proto/codec.ts';
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
   * Where the guest finds a host file or directory that the spec binds: its path in the guest, 'drop' to leave the mount
   * out, undefined to send it unchanged. Without it all are sent unchanged.
   */
  readonly mountSource?: ((mount: Mount) => string | undefined) | undefined;
  /** disable_guest_seccomp of the configuration. */
  readonly disableGuestSeccomp: boolean;
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
  const Devices = guestDevices(view.devices, omitted);
  addFields(edit, type, ['Linux'], encode(Linux, { Namespaces, Devices }));
  const Mounts = guestMounts(view.mounts, guest, omitted);
  addFields(edit, type, [], encode(Spec, { Mounts, Annotations: guestAnnotations(view, guest.bundle) }));
  const sandboxPidns = view.namespaces.some((namespace) => namespace.Type === 'pid' && namespace.Path !== '');
  return { spec: applyEdit(spec, edit), sandboxPidns, omitted };
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

function guestDevices(devices: readonly LinuxDevice[], omitted: string[]): LinuxDevice[] {
  return devices.filter((device) => {
    const rule = DEVICE_RULES.find((candidate) => candidate.applies(device));
    if (rule) omitted.push(`device ${device.Path} (${device.Type} ${device.Major}:${device.Minor}): ${rule.why}`);
    return !rule;
  });
}

function guestMounts(mounts: readonly Mount[], guest: GuestView, omitted: string[]): Mount[] {
  const host = guest.hostFiles ?? HOST_FILES;
  const out: Mount[] = [];
  for (const mount of mounts) {
    const rule = MOUNT_RULES.find((candidate) => candidate.applies(mount, host));
    const action = rule?.action ?? 'share';
    const source = action === 'share' ? guest.mountSource?.(mount) : undefined;
    if (action === 'drop' || source === 'drop') {
      omitted.push(`mount ${mount.destination} of ${mount.source}: ${rule?.why}`);
    } else if (action === 'shm') {
      out.push(shmMount(mount.destination, guest.shmBytes));
    } else {
      out.push(source === undefined ? mount : { ...mount, source });
    }
  }
  return out;
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
};
