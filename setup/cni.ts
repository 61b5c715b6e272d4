/** Networks for pods, as CNI configuration: bridges in the daemon's network namespace, addresses from host-local. */
import { mkdirSync, writeFileSync } from 'node:fs';

/** Of ranges nobody is reached by: RFC 2544's for measurements, RFC 4193's for private use. */
export const SUBNETS = { ipv4: '198.18.0.0/24', ipv6: 'fd00:198:18::/64' } as const;
export const GATEWAYS = { ipv4: '198.18.0.1', ipv6: 'fd00:198:18::1' } as const;
const SECOND_SUBNET = '198.19.0.0/24';

/** Kinds of network, each a directory of its own below the daemon's. */
export const NETWORKS = ['dual', 'ipv4', 'two', 'no-addresses'] as const;
export type NetworkName = (typeof NETWORKS)[number];

/** What is kept where. */
export function cniDirectory(directory: string, network: NetworkName): string {
  return `${directory}/cni/${network}`;
}

/** Addresses given out, one file each, below a directory per network. */
export function addressDirectory(directory: string): string {
  return `${directory}/ipam`;
}

/**
 * Writes the configuration of every network.
 * @param directory the daemon's
 */
export function writeNetworks(directory: string): void {
  const data = addressDirectory(directory);
  mkdirSync(data, { recursive: true });
  const both = [[{ subnet: SUBNETS.ipv4 }], [{ subnet: SUBNETS.ipv6 }]];
  const lists: Record<NetworkName, readonly object[]> = {
    dual: [list('dual', bridge('cni0', hostLocal(data, both, ['0.0.0.0/0', '::/0'])))],
    ipv4: [list('ipv4', bridge('cni4', hostLocal(data, [[{ subnet: SUBNETS.ipv4 }]], ['0.0.0.0/0'])))],
    two: [
      list('first', bridge('cni0', hostLocal(data, both, ['0.0.0.0/0', '::/0']))),
      list('second', bridge('cni1', hostLocal(data, [[{ subnet: SECOND_SUBNET }]], []))),
    ],
    'no-addresses': [list('bare', { type: 'bridge', bridge: 'cni2', ipam: {} })],
  };
  for (const network of NETWORKS) {
    const place = cniDirectory(directory, network);
    mkdirSync(place, { recursive: true });
    lists[network].forEach((content, i) => {
      writeFileSync(`${place}/${i}.conflist`, JSON.stringify(content, null, 2));
    });
  }
}

/** 0.4.0 is spoken by the plugins of all suites. */
function list(name: string, main: object): object {
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
  return { cniVersion: '0.4.0', name, plugins: [main, portmap] };
}

/** Without hairpin and masquerading: nothing leaves the daemon's network namespace. */
function bridge(name: string, ipam: object): object {
  return { type: 'bridge', bridge: name, isGateway: true, ipMasq: false, ipam };
}

function hostLocal(dataDir: string, ranges: readonly object[], routes: readonly string[]): object {
  return { type: 'host-local', dataDir, ranges, routes: routes.map((dst) => ({ dst })) };
}
