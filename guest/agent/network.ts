/** The pod's network in the guest: interfaces, routes, neighbours, as the host saw them in the pod's namespace. */
import type { Init } from '../../host/proto/codec.ts';
import type { ARPNeighbor, Interface, Route } from '../../host/proto/messages/types.ts';
import { formatMac, parseMac } from './address.ts';
import { describeAddress, listAddresses, replaceAddresses } from './addresses.ts';
import { AgentError } from './error.ts';
import { IFF_LOOPBACK, IFF_NOARP, IFF_UP, type Link, linkByName, listLinks, MAX_NAME_BYTES, setLink } from './links.ts';
import type { Loop } from './loop-interface.ts';
import { addNeighbor } from './neighbors.ts';
import { listRoutes, replaceRoutes } from './routes.ts';
import type { AgentHandlers } from './service-table.ts';
import type { Sys } from './sys.ts';

/** Milliseconds between looks for a link that is being hot-plugged. */
const LINK_SEARCH_MS = 3;
/** Most interfaces, routes or neighbours of one request. */
export const MAX_ENTRIES = 4096;

/** The methods of grpc.AgentService about the network. @param hotplugTimeoutMs how long a hot-plugged interface may take */
export function networkHandlers(sys: Sys, loop: Loop, hotplugTimeoutMs: number): AgentHandlers {
  const inTurn = turns();
  return {
    UpdateInterface: ({ interface: wanted }) =>
      inTurn(async () => {
        if (!wanted) throw new AgentError('invalid_argument', 'UpdateInterface: no interface given');
        await updateInterface(sys, loop, wanted, hotplugTimeoutMs);
        return wanted;
      }),
    UpdateRoutes: ({ routes }) =>
      inTurn(async () => {
        if (!routes) throw new AgentError('invalid_argument', 'UpdateRoutes: no routes given');
        bounded(routes.Routes);
        const links = listLinks(sys);
        replaceRoutes(sys, routes.Routes, links);
        return { Routes: listRoutes(sys, links) };
      }),
    ListInterfaces: () => ({ Interfaces: listInterfaces(sys) }),
    ListRoutes: () => ({ Routes: listRoutes(sys, listLinks(sys)) as Init<Route>[] }),
    AddARPNeighbors: ({ neighbors }) =>
      inTurn(async () => {
        if (!neighbors) throw new AgentError('invalid_argument', 'AddARPNeighbors: no neighbours given');
        bounded(neighbors.ARPNeighbors);
        for (const neighbor of neighbors.ARPNeighbors as ARPNeighbor[]) addNeighbor(sys, neighbor);
        return {};
      }),
  };
}

/** Changes that were asked for at once are made in the order they came: routes need the interfaces before them. */
function turns(): <T>(step: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (step) => {
    const next = last.then(step);
    last = next.catch(() => {});
    return next;
  };
}

/** Sets a link up by name. @throws AgentError `not_found`; SysError */
export function linkUp(sys: Sys, name: string): void {
  setLink(sys, linkByName(sys, name).index, { flags: IFF_UP, mask: IFF_UP });
}

function bounded(list: readonly unknown[]): void {
  if (list.length > MAX_ENTRIES) {
    throw new AgentError('invalid_argument', `${list.length} entries exceed the limit of ${MAX_ENTRIES}`);
  }
}

/**
 * By its hardware address; several may have the same one, and are told apart by where they are plugged.
 * @returns it, and all there are
 */
async function findLink(
  sys: Sys,
  loop: Loop,
  { hwAddr, devicePath }: Interface,
  timeoutMs: number,
): Promise<[Link, Link[]]> {
  const address = parseMac(hwAddr);
  // Without a path it was there from the start.
  for (const end = sys.now() + (devicePath === '' ? 0 : timeoutMs); ; await loop.sleep(LINK_SEARCH_MS)) {
    const all = listLinks(sys);
    const links = all.filter((candidate) => isSame(candidate.address, address));
    const late = sys.now() >= end;
    // Whoever names paths in a way of his own gets what has the address, if only late.
    const link = links.find(({ name }) => isAt(sys, name, devicePath)) ?? (late ? links[0] : undefined);
    if (link) return [link, all];
    if (late) throw new AgentError('not_found', `Link not found: no interface has the address ${hwAddr}`);
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Whether a link's device is in the PCI slots of a path such as `10/01`. */
function isAt(sys: Sys, name: string, path: string): boolean {
  if (path === '') return true;
  // …/0000:00:10.0/0000:01:01.0/virtio2/net/eth0: domain, bus, slot and function of each.
  const parts = sys.readlink(`/sys/class/net/${name}`).split('/');
  const slots = parts.filter((part) => part.length === 12 && part[4] === ':' && part[7] === ':');
  const wanted = path.split('/').map((part) => (part.includes('.') ? part : `${part}.0`));
  return slots.map((part) => part.slice(8)).join('/') === wanted.join('/').toLowerCase();
}

/** A link must be down to be renamed; its addresses, MTU and name are then what the host says. */
async function updateInterface(sys: Sys, loop: Loop, wanted: Interface, timeoutMs: number): Promise<void> {
  const [link, all] = await findLink(sys, loop, wanted, timeoutMs);
  const name = wanted.name || wanted.device;
  if (!/^[^\s/:]+$/.test(name) || new TextEncoder().encode(name).length > MAX_NAME_BYTES) {
    throw new AgentError('invalid_argument', `"${name}" is not an interface name of 1 to ${MAX_NAME_BYTES} bytes`);
  }
  bounded(wanted.IPAddresses);
  const rename = link.name !== name;
  if (rename) vacate(sys, name, all);
  if (link.flags & IFF_UP) setLink(sys, link.index, { flags: 0, mask: IFF_UP });
  const mtu = Number(wanted.mtu);
  const flags = IFF_UP | (wanted.raw_flags & IFF_NOARP);
  // At once: each call costs a millisecond under emulation. The kernel takes the name before the flags.
  setLink(sys, link.index, {
    ...(rename ? { name } : {}),
    ...(mtu > 0 ? { mtu } : {}),
    flags,
    mask: IFF_UP | IFF_NOARP,
  });
  replaceAddresses(sys, link.index, wanted.IPAddresses);
}

/** Whoever holds the name gives it up: the host names interfaces in its own order. */
function vacate(sys: Sys, name: string, all: readonly Link[]): void {
  const holder = all.find((candidate) => candidate.name === name);
  if (!holder) return;
  setLink(sys, holder.index, { flags: 0, mask: IFF_UP });
  setLink(sys, holder.index, { name: `${name.slice(0, MAX_NAME_BYTES - '_temp'.length)}_temp` });
}

function listInterfaces(sys: Sys): Init<Interface>[] {
  const addresses = listAddresses(sys);
  return listLinks(sys)
    .filter((link) => !(link.flags & IFF_LOOPBACK))
    .map((link) => ({
      name: link.name,
      device: link.name,
      hwAddr: formatMac(link.address),
      mtu: link.mtu,
      raw_flags: link.flags & IFF_NOARP,
      IPAddresses: addresses.filter(({ index }) => index === link.index).map(describeAddress),
    }));
}
