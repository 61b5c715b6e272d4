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
    // Only source, the same for every architecture; bookworm has no QuickJS.
    quickjs: { suite: 'sid', name: 'qjs-src' },
  };
}

export type PackageRole = 'kernel' | 'crun' | 'libc' | 'libcap' | 'libseccomp' | 'libyajl' | 'busybox' | 'quickjs';

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
