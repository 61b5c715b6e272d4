/** Entries of a namespace's neighbour tables (ARP, NDP) that somebody made for good. */
import type { Init } from '../proto/codec.ts';
import type { ARPNeighbor } from '../proto/messages/types.ts';
import { AF_INET6, FAMILY_V6, formatIp, formatMac } from './address-text.ts';
import type { Netlink } from './netlink.ts';
import { attributes } from './netlink-message.ts';

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
/** struct ndmsg: u8 family, u8 pad, u16 pad, i32 index, u16 state, u8 flags, u8 type. */
const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;

/**
 * Permanent entries of the devices named; what is learned, the guest learns itself.
 * @param names of devices, by index
 * @throws NetlinkError
 */
export function listNeighbors(netlink: Netlink, names: ReadonlyMap<number, string>): Init<ARPNeighbor>[] {
  const found: Init<ARPNeighbor>[] = [];
  for (const { type, body } of netlink.dump(RTM_GETNEIGH, new Uint8Array(NDMSG_BYTES))) {
    if (type !== RTM_NEWNEIGH || body.length < NDMSG_BYTES) continue;
    const view = new DataView(body.buffer, body.byteOffset);
    const device = names.get(view.getInt32(4, true));
    const state = view.getUint16(8, true);
    const parts = attributes(body, NDMSG_BYTES);
    const address = parts.get(NDA_DST);
    const lladdr = parts.get(NDA_LLADDR);
    if (device === undefined || !(state & NUD_PERMANENT) || !address || lladdr?.length !== 6) continue;
    found.push({
      toIPAddress: { family: body[0] === AF_INET6 ? FAMILY_V6 : 0, address: formatIp(address), mask: '' },
      device,
      lladdr: formatMac(lladdr),
      state,
      flags: body[10] as number,
    });
  }
  return found;
}
