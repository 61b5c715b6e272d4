/** What the guest is made of: packages, kernel modules, files. Everything that differs by architecture stands here. */
import type { DebianArch, PackageSpec } from '../../setup/debian.ts';

/** Debian packages the build machine needs. */
export const GUEST_BUILD_PACKAGES: readonly string[] = [
  'apt',
  'dpkg',
  'gcc',
  'libc6-dev',
  'linux-libc-dev',
  'musl-tools',
  'util-linux',
];
/** What it needs besides to build for the other architecture. */
export const GUEST_CROSS_PACKAGES: Readonly<Record<DebianArch, readonly string[]>> = {
  amd64: ['gcc-x86-64-linux-gnu', 'libc6-dev-amd64-cross'],
  arm64: ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross'],
};

/** Version of what boots and how the host reaches it; the host refuses a manifest of another. */
export const MANIFEST_FORMAT = 1;

export interface Architecture {
  readonly arch: DebianArch;
  /** GNU's name, in library paths and names of cross compilers. */
  readonly triplet: string;
  /** The dynamic loader, as crun names it. */
  readonly loader: string;
  /** Name of the kernel file. */
  readonly kernel: string;
}

export const ARCHITECTURES: Readonly<Record<DebianArch, Architecture>> = {
  amd64: { arch: 'amd64', triplet: 'x86_64-linux-gnu', loader: 'lib64/ld-linux-x86-64.so.2', kernel: 'vmlinux' },
  arm64: { arch: 'arm64', triplet: 'aarch64-linux-gnu', loader: 'lib/ld-linux-aarch64.so.1', kernel: 'Image' },
};

/** The packages whose files go into the guest, by the name the build uses for them. */
export function packagesFor(arch: DebianArch): Readonly<Record<PackageRole, PackageSpec>> {
  const bookworm = (name: string): PackageSpec => ({ suite: 'bookworm', name, arch });
  return {
    kernel: bookworm(`linux-image-6.1.*-cloud-${arch}`),
    crun: bookworm('crun'),
    libc: bookworm('libc6'),
    libcap: bookworm('libcap2'),
    libseccomp: bookworm('libseccomp2'),
    libyajl: bookworm('libyajl2'),
    busybox: bookworm('busybox-static'),
    iptables: bookworm('iptables'),
    libxtables: bookworm('libxtables12'),
    libip4tc: bookworm('libip4tc2'),
    libip6tc: bookworm('libip6tc2'),
    // Only source, the same for every architecture; bookworm has no QuickJS.
    quickjs: { suite: 'sid', name: 'qjs-src' },
  };
}

export type PackageRole =
  | 'kernel'
  | 'crun'
  | 'libc'
  | 'libcap'
  | 'libseccomp'
  | 'libyajl'
  | 'busybox'
  | 'iptables'
  | 'libxtables'
  | 'libip4tc'
  | 'libip6tc'
  | 'quickjs';

/** Shared libraries of crun: package, and the name crun asks for. libsystemd is our stub. */
export const LIBRARIES: readonly (readonly [role: PackageRole, soname: string])[] = [
  ['libc', 'libc.so.6'],
  ['libcap', 'libcap.so.2'],
  ['libseccomp', 'libseccomp.so.2'],
  ['libyajl', 'libyajl.so.2'],
];

/**
 * Kernel modules in load order. With a number, the module is loaded only where a virtio device of that id exists;
 * without, always: its device may be hot-plugged later.
 */
export const MODULES: readonly (readonly [name: string, virtioId?: number])[] = [
  ['virtio_ring'],
  ['virtio'],
  ['virtio_pci_modern_dev'],
  ['virtio_pci_legacy_dev'],
  ['virtio_pci'],
  ['virtio_console'],
  ['fuse'],
  ['virtiofs'],
  ['failover'],
  ['net_failover'],
  ['virtio_net'],
  ['vsock', 19],
  ['vmw_vsock_virtio_transport_common', 19],
  ['vmw_vsock_virtio_transport', 19],
  ['virtio_blk'],
  ['overlay'],
  ['virtio_mem'],
  ['virtio-rng', 4],
  ['virtio_balloon', 5],
];
/** With it loaded the agent's channel works; the modules after it are loaded while the agent serves. */
export const LAST_EARLY_MODULE = 'virtio_console';
/** With it loaded a sandbox can be created; the modules after it are loaded when containers may need them. */
export const LAST_SANDBOX_MODULE = 'vmw_vsock_virtio_transport';

/** What packet filter rules may need of the kernel; what these need in turn is found. */
export const NETFILTER_MODULES: readonly string[] = [
  ...['iptable_filter', 'iptable_nat', 'iptable_mangle', 'iptable_raw'],
  ...['ip6table_filter', 'ip6table_nat', 'ip6table_mangle', 'ip6table_raw'],
  ...[
    'xt_tcpudp',
    'xt_conntrack',
    'xt_state',
    'xt_addrtype',
    'xt_comment',
    'xt_limit',
    'xt_mark',
    'xt_multiport',
    'xt_owner',
  ],
  ...['xt_nat', 'xt_MASQUERADE', 'xt_REDIRECT', 'ipt_REJECT', 'ip6t_REJECT', 'xt_LOG', 'nf_log_syslog', 'xt_TCPMSS'],
];
/** The same of iptables. */
export const NETFILTER_EXTENSIONS: readonly string[] = [
  ...['libxt_standard', 'libxt_tcp', 'libxt_udp', 'libipt_icmp', 'libip6t_icmp6', 'libxt_conntrack', 'libxt_state'],
  ...['libxt_addrtype', 'libxt_comment', 'libxt_limit', 'libxt_mark', 'libxt_MARK', 'libxt_multiport', 'libxt_owner'],
  ...['libxt_DNAT', 'libxt_SNAT', 'libxt_MASQUERADE', 'libxt_REDIRECT', 'libipt_REJECT', 'libip6t_REJECT'],
  ...['libxt_LOG', 'libxt_TCPMSS'],
];
