/**
 * What containers may ask for, in the form of the OCI runtime specification (features.md): `-info` tells it, containerd's CRI
 * passes on that mounts can be read-only recursively.
 */
import type { Init } from '../proto/codec.ts';
import type { RuntimeInfo } from '../proto/messages/containerd_types.ts';

/** The name under which containerd knows the type; the value is JSON. */
const TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/features/Features';

const FEATURES = {
  ociVersionMin: '1.0.0',
  ociVersionMax: '1.1.0',
  hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
  mountOptions: (
    'async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec noiversion ' +
    'nolazytime nomand norelatime nostrictatime nosuid nosymfollow private rbind relatime remount rnodev rnoexec rnosuid ro ' +
    'rprivate rro rrw rshared rslave runbindable rw shared silent slave strictatime suid sync unbindable'
  ).split(' '),
  linux: {
    // Time namespaces and networks are the virtual machine's.
    namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'user', 'uts'],
    cgroup: { v1: false, v2: true, systemd: false, systemdUser: false },
    apparmor: { enabled: false },
    intelRdt: { enabled: false },
    // No field of the agent protocol carries mappings of mounts.
    mountExtensions: { idmap: { enabled: false } },
  },
} as const;

/** For RuntimeInfo. */
export function features(): Init<NonNullable<RuntimeInfo['features']>> {
  return { type_url: TYPE_URL, value: new TextEncoder().encode(JSON.stringify(FEATURES)) };
}
