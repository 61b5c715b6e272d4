/** What CRI takes besides containerd, from Debian packages unpacked beside the system: CNI plugins, iptables, the protocol. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CONTAINERD_SUITES, type ContainerdVersion, unpacked } from './containerd-packages.ts';
import { fetchPackages, type Progress, type Suite, unpack } from './debian.ts';

/** portmap's tool, and the libraries that a minimal Debian lacks. */
const IPTABLES_PACKAGES = [
  'iptables',
  'libip4tc2',
  'libip6tc2',
  'libxtables12',
  'libmnl0',
  'libnetfilter-conntrack3',
  'libnfnetlink0',
  'libnftnl11',
];
const IPTABLES_SUITE: Suite = 'bookworm';
/** The newest: one file without imports, which older daemons tolerate. */
const CRI_API = { suite: 'sid', name: 'golang-k8s-cri-api-dev' } as const;
const API_PROTO = 'usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto';
/** Debian's name of the machine's library directory, by Node's name of the CPU. */
const LIBRARIES: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

export interface CriPackages {
  /** Directory with bridge, host-local, portmap… */
  readonly cniBin: string;
  /** Directory with iptables and ip6tables. */
  readonly iptablesBin: string;
  /** The CRI's protobuf definition. */
  readonly apiProto: string;
}

/**
 * Unpacks what is not there yet; after that no network is needed.
 * @param directory where to, e.g. build/containerd
 * @param cache where .deb files are kept
 * @throws KataError when a package cannot be had
 */
export async function criPackages(
  version: ContainerdVersion,
  directory: string,
  cache: string,
  progress: Progress,
): Promise<CriPackages> {
  const suite = CONTAINERD_SUITES[version];
  const cni = await unpacked('containernetworking-plugins', suite, `${directory}/cni-${version}`, cache, progress);
  const api = await unpacked(CRI_API.name, CRI_API.suite, `${directory}/cri-api`, cache, progress);
  const iptablesBin = await iptables(`${directory}/iptables`, cache, progress);
  return { cniBin: `${cni}/usr/lib/cni`, iptablesBin, apiProto: `${api}/${API_PROTO}` };
}

/** Whether `criPackages` has nothing to do. */
export function isCriUnpacked(version: ContainerdVersion, directory: string): boolean {
  return [`cni-${version}`, 'cri-api', 'iptables'].every((name) => existsSync(`${directory}/${name}`));
}

/** The programs need their own libraries and plugins: two scripts that name them. */
async function iptables(target: string, cache: string, progress: Progress): Promise<string> {
  const bin = `${target}/bin`;
  if (existsSync(target)) return bin;
  const specs = IPTABLES_PACKAGES.map((name) => ({ suite: IPTABLES_SUITE, name }));
  const partial = `${target}.${process.pid}`;
  for (const { file } of await fetchPackages(specs, cache, progress)) await unpack(file, partial);
  const libraries = `$root/usr/lib/${LIBRARIES[process.arch]}`;
  mkdirSync(`${partial}/bin`);
  for (const name of ['iptables', 'ip6tables']) {
    const script = `#!/bin/sh
root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
export LD_LIBRARY_PATH="${libraries}" XTABLES_LIBDIR="${libraries}/xtables"
exec "$root/usr/sbin/xtables-nft-multi" ${name} "$@"
`;
    writeFileSync(`${partial}/bin/${name}`, script);
    chmodSync(`${partial}/bin/${name}`, 0o755);
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(partial, target);
  return bin;
}
