/**
 * grpc.Spec → the config.json crun reads: the protocol's message says nothing where config.json would have no field,
 * so proto3's zero and empty values are left out, except where zero is what absence means anyway.
 * https://github.com/opencontainers/runtime-spec/blob/main/config.md
 */
import type { Hook, Hooks, LinuxCapabilities, Mount, Process, Spec } from '../../host/proto/messages/oci.ts';
import { type Json, type JsonObject, linuxConfig, type NamespacePaths } from './oci-linux.ts';

/** What the sandbox decides, not the host. */
export interface GuestPlace extends NamespacePaths {
  /** Where the container's root file system is mounted. */
  readonly rootfs: string;
  readonly cgroupsPath: string;
  /** Whether the guest's kernel runs SELinux: labels are errors otherwise. */
  readonly selinux: boolean;
}

/** crun 1.8 refuses 1.1 and later ("unknown version specified"), and all that the protocol carries is in this one. */
const OCI_VERSION = '1.0.2';
/** crun's own switches (other handlers, hooks' output files …); Kata's agent knows none, and a pod's author shall not reach them. */
const CRUN_ANNOTATIONS = 'run.oci.';

/** config.json for crun, as an object. */
export function configOf(spec: Spec, place: GuestPlace): JsonObject {
  return present({
    ociVersion: OCI_VERSION,
    process: spec.Process && processConfig(spec.Process, place.selinux),
    root: { path: place.rootfs, readonly: spec.Root?.Readonly ?? false },
    hostname: text(spec.Hostname),
    domainname: text(spec.Domainname),
    mounts: spec.Mounts.map(mountConfig),
    hooks: spec.Hooks && hooksConfig(spec.Hooks),
    annotations: annotations(spec.Annotations),
    linux: linuxConfig(spec.Linux, place),
  });
}

/** The `process` of config.json, also what `crun exec --process` reads. */
export function processConfig(process: Process, selinux: boolean): JsonObject {
  const { User: user, ConsoleSize: size } = process;
  return present({
    terminal: process.Terminal,
    consoleSize: size && (size.Height > 0 || size.Width > 0) ? { height: size.Height, width: size.Width } : undefined,
    user: present({
      uid: user?.UID ?? 0,
      gid: user?.GID ?? 0,
      umask: user?.Umask,
      additionalGids: filled(user?.AdditionalGids ?? []),
    }),
    args: [...process.Args],
    env: [...process.Env],
    cwd: process.Cwd === '' ? '/' : process.Cwd,
    capabilities: process.Capabilities && capabilitiesConfig(process.Capabilities),
    rlimits: filled(process.Rlimits.map(({ Type, Hard, Soft }) => ({ type: Type, hard: Hard, soft: Soft }))),
    noNewPrivileges: process.NoNewPrivileges,
    oomScoreAdj: process.OOMScoreAdj,
    selinuxLabel: selinux ? text(process.SelinuxLabel) : undefined,
  });
}

/** JSON text; a bigint becomes the plain number it is, which JSON allows and rlimits need (2^64 - 1: no limit). */
export function jsonText(value: Json | undefined): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${jsonText(item)}`).join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}

function capabilitiesConfig(set: LinuxCapabilities): JsonObject {
  return {
    bounding: [...set.Bounding],
    effective: [...set.Effective],
    inheritable: [...set.Inheritable],
    permitted: [...set.Permitted],
    ambient: [...set.Ambient],
  };
}

function mountConfig(mount: Mount): JsonObject {
  const options = [...mount.options];
  // config.md: with type bind, one of the two options is what makes it a bind mount.
  if (mount.type === 'bind' && !options.includes('bind') && !options.includes('rbind')) options.push('rbind');
  return present({
    destination: mount.destination,
    type: text(mount.type),
    source: text(mount.source),
    options: filled(options),
  });
}

function hooksConfig(hooks: Hooks): JsonObject | undefined {
  const of = (list: readonly Hook[]) => filled(list.map(hookConfig));
  const all = present({
    prestart: of(hooks.Prestart),
    createRuntime: of(hooks.CreateRuntime),
    createContainer: of(hooks.CreateContainer),
    startContainer: of(hooks.StartContainer),
    poststart: of(hooks.Poststart),
    poststop: of(hooks.Poststop),
  });
  return Object.keys(all).length > 0 ? all : undefined;
}

function hookConfig(hook: Hook): JsonObject {
  return present({
    path: hook.Path,
    args: filled(hook.Args),
    env: filled(hook.Env),
    timeout: hook.Timeout > 0 ? hook.Timeout : undefined,
  });
}

function annotations(all: Readonly<Record<string, string>>): JsonObject | undefined {
  const kept = Object.entries(all).filter(([key]) => !key.startsWith(CRUN_ANNOTATIONS));
  return kept.length > 0 ? Object.fromEntries(kept) : undefined;
}

function text(value: string): string | undefined {
  return value === '' ? undefined : value;
}

function filled<T>(items: readonly T[]): T[] | undefined {
  return items.length > 0 ? [...items] : undefined;
}

function present(object: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
