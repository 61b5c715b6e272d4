/** Routes of a namespace, as the guest is to have them. */
import type { Route } from '../proto/messages/types.ts';
import { AF_INET6, FAMILY_V6, formatIp } from './address-text.ts';
import type { Netlink } from './netlink.ts';
import { attributes, readU32 } from './netlink-message.ts';

const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
/** struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags. */
const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
/** A gateway of the other family: u16 family, address. */
const RTA_VIA = 18;
/** Inside RTA_METRICS. */
const RTAX_MTU = 2;
/** struct rtnexthop: u16 length, u8 flags, u8 hops, i32 index; attributes follow. */
const NEXTHOP_BYTES = 8;
const TABLE_MAIN = 254;
const PROTOCOL_REDIRECT = 1;
const PROTOCOL_KERNEL = 2;
/** Learned from router advertisements: the guest hears them itself. */
const PROTOCOL_RA = 9;
const TYPE_UNICAST = 1;
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 4;
/** What the kernel takes for an IPv6 route without a metric. */
const IPV6_METRIC = 1024;

interface Found {
  readonly route: Route;
  readonly metric: number;
}

/**
 * Routes of the main table through the devices named, the best metric first. The kernel's own (of subnets, link-local) are
 * left out: the guest's kernel makes them from the addresses. Of several to one destination only the best remains, since
 * the protocol has no metric.
 * @param names of devices, by index
 * @throws NetlinkError
 */
export function listRoutes(netlink: Netlink, names: ReadonlyMap<number, string>): Route[] {
  const found: Found[] = [];
  for (const { type, body } of netlink.dump(RTM_GETROUTE, new Uint8Array(RTMSG_BYTES))) {
    if (type === RTM_NEWROUTE && body.length >= RTMSG_BYTES) found.push(...read(body, names));
  }
  found.sort((a, b) => a.metric - b.metric);
  const seen = new Set<string>();
  return found
    .map(({ route }) => route)
    .filter(({ family, dest }) => {
      const key = `${family} ${dest}`;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
}

function read(body: Uint8Array, names: ReadonlyMap<number, string>): Found[] {
  const parts = attributes(body, RTMSG_BYTES);
  const flags = new DataView(body.buffer, body.byteOffset).getUint32(8, true);
  const table = readU32(parts.get(RTA_TABLE)) || (body[4] as number);
  const protocol = body[5] as number;
  if (table !== TABLE_MAIN || body[7] !== TYPE_UNICAST || flags & RTM_F_CLONED) return [];
  if (protocol === PROTOCOL_KERNEL || protocol === PROTOCOL_RA || protocol === PROTOCOL_REDIRECT) return [];
  const v6 = body[0] === AF_INET6;
  const metrics = parts.get(RTA_METRICS);
  const dest = parts.get(RTA_DST);
  const common = {
    dest: dest ? `${formatIp(dest)}/${body[1]}` : '',
    source: text(parts.get(RTA_PREFSRC)),
    scope: body[6] as number,
    family: v6 ? FAMILY_V6 : 0,
    mtu: metrics ? readU32(attributes(metrics, 0).get(RTAX_MTU)) : 0,
  };
  const metric = readU32(parts.get(RTA_PRIORITY)) || (v6 ? IPV6_METRIC : 0);
  const hops = parts.get(RTA_MULTIPATH);
  const ways = hops ? nextHops(hops) : [{ index: readU32(parts.get(RTA_OIF)), flags, parts }];
  return ways.flatMap((way) => {
    const device = names.get(way.index);
    if (device === undefined) return [];
    const via = way.parts.get(RTA_VIA)?.subarray(2);
    const gateway = text(way.parts.get(RTA_GATEWAY) ?? via);
    // The gateway would else be taken for the family of a default route.
    const named = via && common.dest === '' ? { dest: v6 ? '::/0' : '0.0.0.0/0' } : {};
    return [{ route: { ...common, ...named, gateway, device, flags: way.flags & RTNH_F_ONLINK }, metric }];
  });
}

function nextHops(bytes: Uint8Array): { index: number; flags: number; parts: Map<number, Uint8Array> }[] {
  const found = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; bytes.length - at >= NEXTHOP_BYTES; ) {
    const length = view.getUint16(at, true);
    if (length < NEXTHOP_BYTES || length > bytes.length - at) break;
    const parts = attributes(bytes.subarray(at, at + length), NEXTHOP_BYTES);
    found.push({ index: view.getInt32(at + 4, true), flags: bytes[at + 2] as number, parts });
    at += (length + 3) & ~3;
  }
  return found;
}

function text(bytes: Uint8Array | undefined): string {
  return bytes ? formatIp(bytes) : '';
}
