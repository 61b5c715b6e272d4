/** Entries of the neighbour table (ARP, NDP), by rtnetlink. */
import type { ARPNeighbor } from '../../host/proto/messages/types.ts';
import { AF_INET, AF_INET6, parseIp, parseMac } from './address.ts';
import { AgentError } from './error.ts';
import { linkByName } from './links.ts';
import { type Attribute, change, NLM_F_CREATE, NLM_F_REPLACE } from './netlink.ts';
import type { Sys } from './sys.ts';

const RTM_NEWNEIGH = 28;
/** struct ndmsg: u8 family, u8 pad, u16 pad, i32 index, u16 state, u8 flags, u8 type. */
const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;

/** Adds or replaces one entry. @throws AgentError; SysError */
export function addNeighbor(sys: Sys, neighbor: ARPNeighbor): void {
  if (!neighbor.toIPAddress) throw new AgentError('invalid_argument', 'a neighbour without an IP address');
  const address = parseIp(neighbor.toIPAddress.address);
  const parts: Attribute[] = [[NDA_DST, address]];
  if (neighbor.lladdr !== '') parts.push([NDA_LLADDR, parseMac(neighbor.lladdr)]);
  const fixed = new Uint8Array(NDMSG_BYTES);
  const view = new DataView(fixed.buffer);
  fixed[0] = address.length === 16 ? AF_INET6 : AF_INET;
  view.setInt32(4, linkByName(sys, neighbor.device).index, true);
  view.setUint16(8, neighbor.state & 0xffff || NUD_PERMANENT, true);
  fixed[10] = neighbor.flags & 255;
  change(sys, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, fixed, parts);
}
