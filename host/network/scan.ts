/** What a pod's network namespace holds that its VM is to have. */
import { KataError } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { ARPNeighbor, Route } from '../proto/messages/types.ts';
import { formatMac } from './address-text.ts';
import { type HostAddress, listAddresses } from './addresses.ts';
import { type HostLink, IFF_LOOPBACK, IFF_UP, listLinks } from './links.ts';
import { listNeighbors } from './neighbors.ts';
import type { Netlink } from './netlink.ts';
import { listRoutes } from './routes.ts';

/** Most interfaces of one pod: as many as a VM has room for. */
export const MAX_ENDPOINTS = 31;
/** Most addresses, routes or neighbours of one pod; the guest's agent takes no more. */
export const MAX_ENTRIES = 4096;

/** Devices whose frames are redirected to and from a tap. */
const REDIRECTED = ['veth', 'macvlan', 'ipvlan', 'vlan', 'dummy', 'bond', 'netkit'];
/** Devices the VMM opens itself. */
const OPENED = ['tap', 'macvtap'];
/** Devices the kernel puts into every namespace when their module is loaded. */
const FALLBACKS = [
  'ipip',
  'gre',
  'gretap',
  'erspan',
  'ip6gre',
  'ip6gretap',
  'ip6tnl',
  'sit',
  'vti',
  'vti6',
  'ip6erspan',
];
/** What we make, and a shim that has crashed may have left. */
const OURS = /^tap\d+_kata$/;

/** One interface of the pod. */
export interface Endpoint {
  readonly link: HostLink;
  readonly addresses: readonly HostAddress[];
}

export interface Scan {
  readonly endpoints: readonly Endpoint[];
  readonly routes: readonly Route[];
  readonly neighbors: readonly Init<ARPNeighbor>[];
}

/** Names of the devices we make for endpoints. */
export function tapName(index: number): string {
  return `tap${index}_kata`;
}

/** Whether we, or another shim in this namespace, have made a device. */
export function isOurs({ name, kind }: HostLink): boolean {
  return OURS.test(name) && OPENED.includes(kind);
}

/**
 * @throws KataError `failed_precondition` for a device a VM cannot be given, `resource_exhausted` over a limit;
 * NetlinkError
 */
export function scan(netlink: Netlink): Scan {
  const links = listLinks(netlink);
  const addresses = listAddresses(netlink, links);
  const endpoints = links
    .filter((link) => !isOurs(link))
    .map((link) => ({ link, addresses: addresses.filter(({ index }) => index === link.index) }))
    .filter(isWanted)
    .sort((a, b) => (a.link.name < b.link.name ? -1 : 1));
  bounded('interfaces', endpoints.length, MAX_ENDPOINTS);
  const names = new Map(endpoints.map(({ link }) => [link.index, link.name]));
  const routes = listRoutes(netlink, names);
  const neighbors = listNeighbors(netlink, names);
  for (const [what, list] of Object.entries({ addresses, routes, neighbors })) bounded(what, list.length, MAX_ENTRIES);
  return { endpoints, routes, neighbors };
}

/** @throws KataError `failed_precondition` for what is in use and cannot be given to a VM */
function isWanted({ link, addresses }: Endpoint): boolean {
  const { name, kind, flags, address } = link;
  if (flags & IFF_LOOPBACK || FALLBACKS.includes(kind)) return false;
  // Not set up: left for later, or a part of something else.
  if (!(flags & IFF_UP)) return false;
  if ((REDIRECTED.includes(kind) || OPENED.includes(kind)) && address.length === 6) return true;
  if (addresses.length === 0) return false;
  const what = kind === '' ? 'hardware' : `of kind "${kind}"`;
  throw new KataError(
    'failed_precondition',
    `the pod's network interface ${name} (${formatMac(address) || 'no hardware address'}) is ${what} and cannot be given to a virtual machine: use ${REDIRECTED.slice(0, 3).join(', ')} or tap`,
  );
}

function bounded(what: string, count: number, limit: number): void {
  if (count <= limit) return;
  throw new KataError('resource_exhausted', `the pod's network namespace has ${count} ${what}; ${limit} are the limit`);
}
