/** Routes of the main table, by rtnetlink. */
import type { Route } from '../../host/proto/messages/types.ts';
import { AF_INET, AF_INET6, FAMILY_V6, formatIp, parseCidr, parseIp } from './address.ts';
import { AgentError, errnoOf } from './error.ts';
import type { Link } from './links.ts';
import {
  type Attribute,
  attributes,
  change,
  dump,
  type NetlinkMessage,
  NLM_F_CREATE,
  nested,
  readU32,
  u32,
} from './netlink.ts';
import type { Sys } from './sys.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
/** struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags. */
const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
/** A gateway of the other family: u16 family, address (Linux 5.2). */
const RTA_VIA = 18;
/** Inside RTA_METRICS. */
const RTAX_MTU = 2;
const TABLE_MAIN = 254;
const PROTOCOL_KERNEL = 2;
const PROTOCOL_BOOT = 3;
const TYPE_UNICAST = 1;
const SCOPE_UNIVERSE = 0;
/** Flags of a route that may be asked for (RTNH_F_ONLINK); the others are the kernel's. */
const RTNH_F_ONLINK = 4;

/** Routes of the main table that the kernel did not make by itself. @throws SysError */
export function listRoutes(sys: Sys, links: readonly Link[]): Route[] {
  const names = new Map(links.map((link) => [link.index, link.name]));
  return dump(sys, RTM_GETROUTE, new Uint8Array(RTMSG_BYTES))
    .filter(isOurs)
    .map((message) => read(message, names));
}

/**
 * Replaces the main table's routes. Those without a gateway go first: gateways must be reachable when they are named.
 * @throws AgentError; SysError
 */
export function replaceRoutes(sys: Sys, wanted: readonly Route[], links: readonly Link[]): void {
  const indexes = new Map(links.map((link) => [link.name, link.index]));
  const next = [...wanted].sort((a, b) => Number(a.gateway !== '') - Number(b.gateway !== ''));
  const messages = next.map((route) => write(route, indexes));
  for (const { body } of dump(sys, RTM_GETROUTE, new Uint8Array(RTMSG_BYTES)).filter(isOurs)) {
    try {
      change(sys, RTM_DELROUTE, 0, body.slice(0, RTMSG_BYTES), [...attributes(body, RTMSG_BYTES)]);
    } catch (error) {
      // Gone with the interface it named.
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  }
  for (const [fixed, parts] of messages) {
    try {
      change(sys, RTM_NEWROUTE, NLM_F_CREATE, fixed, parts);
    } catch (error) {
      // An address may have brought its subnet's route with it.
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
}

function isOurs({ type, body }: NetlinkMessage): boolean {
  if (type !== RTM_NEWROUTE || body.length < RTMSG_BYTES) return false;
  // Most are the kernel's, and need no second look.
  if (body[5] === PROTOCOL_KERNEL || body[7] !== TYPE_UNICAST) return false;
  const table = readU32(attributes(body, RTMSG_BYTES, [RTA_TABLE]).get(RTA_TABLE)) || body[4];
  return table === TABLE_MAIN;
}

function read({ body }: NetlinkMessage, names: ReadonlyMap<number, string>): Route {
  const parts = attributes(body, RTMSG_BYTES);
  const text = (bytes: Uint8Array | undefined) => (bytes ? formatIp(bytes) : '');
  const dest = parts.get(RTA_DST);
  const metrics = parts.get(RTA_METRICS);
  return {
    dest: dest ? `${formatIp(dest)}/${body[1]}` : '',
    gateway: text(parts.get(RTA_GATEWAY)),
    device: names.get(readU32(parts.get(RTA_OIF))) ?? '',
    source: text(parts.get(RTA_PREFSRC)),
    scope: body[6] as number,
    family: body[0] === AF_INET6 ? FAMILY_V6 : 0,
    flags: new DataView(body.buffer, body.byteOffset).getUint32(8, true),
    mtu: metrics ? readU32(attributes(metrics, 0).get(RTAX_MTU)) : 0,
  };
}

function write(route: Route, indexes: ReadonlyMap<string, number>): [Uint8Array, Attribute[]] {
  const index = indexes.get(route.device);
  if (index === undefined)
    throw new AgentError('not_found', `Link not found: no interface is called "${route.device}"`);
  // An empty destination is the default route, like 0.0.0.0/0 and ::/0.
  const dest = route.dest === '' ? undefined : parseCidr(route.dest);
  const gateway = route.gateway === '' ? undefined : parseIp(route.gateway);
  const v6 = dest ? dest.address.length === 16 : gateway ? gateway.length === 16 : route.family === FAMILY_V6;
  const parts: Attribute[] = [[RTA_OIF, u32(index)]];
  if (dest && dest.prefix > 0) parts.push([RTA_DST, dest.address]);
  if (gateway && (gateway.length === 16) === v6) parts.push([RTA_GATEWAY, gateway]);
  else if (gateway) parts.push([RTA_VIA, Uint8Array.of(v6 ? AF_INET : AF_INET6, 0, ...gateway)]);
  if (route.source !== '') parts.push([RTA_PREFSRC, parseIp(route.source)]);
  if (route.mtu > 0) parts.push([RTA_METRICS, nested([[RTAX_MTU, u32(route.mtu)]])]);
  const fixed = new Uint8Array(RTMSG_BYTES);
  fixed[0] = v6 ? AF_INET6 : AF_INET;
  fixed[1] = dest?.prefix ?? 0;
  fixed[4] = TABLE_MAIN;
  fixed[5] = PROTOCOL_BOOT;
  fixed[6] = gateway ? SCOPE_UNIVERSE : route.scope & 255;
  fixed[7] = TYPE_UNICAST;
  new DataView(fixed.buffer).setUint32(8, route.flags & RTNH_F_ONLINK, true);
  return [fixed, parts];
}
