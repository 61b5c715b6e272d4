/** Network devices of a namespace: listed, changed, removed. */
import { AF_INET6 } from './address-text.ts';
import type { Netlink } from './netlink.ts';
import {
  type Attribute,
  attributes,
  cstring,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  readCstring,
  readU32,
  u32,
} from './netlink-message.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
/** struct ifinfomsg: u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change. */
const IFINFO_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
/** Inside IFLA_LINKINFO. */
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
/** Inside IFLA_INFO_DATA of a tun: u8, IFF_TUN or IFF_TAP. */
const IFLA_TUN_TYPE = 3;
const IFF_TAP = 2;
/** Inside IFLA_INFO_DATA of a macvtap: u32; in bridge mode several on one device reach each other. */
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_BRIDGE = 4;
/** Inside AF_INET6 of IFLA_AF_SPEC: u8. */
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;

export const IFF_UP = 1;
export const IFF_LOOPBACK = 8;
export const IFF_NOARP = 0x80;
const IFF_ALLMULTI = 0x200;

/** The loopback device is the first of every namespace. */
export const LOOPBACK_INDEX = 1;

export interface HostLink {
  readonly index: number;
  readonly name: string;
  /** Hardware address: six bytes for Ethernet, another number or none otherwise. */
  readonly address: Uint8Array;
  readonly mtu: number;
  readonly flags: number;
  /** The kernel's name of the kind of device (`veth`); `tap` and `tun` are told apart; empty: hardware. */
  readonly kind: string;
}

export interface LinkChange {
  readonly mtu?: number;
  readonly address?: Uint8Array;
  readonly up?: boolean;
  /** Takes frames to every multicast group, whichever this kernel has joined. */
  readonly allMulticast?: boolean;
}

/** @throws NetlinkError */
export function listLinks(netlink: Netlink): HostLink[] {
  const found: HostLink[] = [];
  for (const { type, body } of netlink.dump(RTM_GETLINK, new Uint8Array(IFINFO_BYTES))) {
    if (type !== RTM_NEWLINK || body.length < IFINFO_BYTES) continue;
    const view = new DataView(body.buffer, body.byteOffset);
    const parts = attributes(body, IFINFO_BYTES);
    found.push({
      index: view.getInt32(4, true),
      name: readCstring(parts.get(IFLA_IFNAME)),
      address: (parts.get(IFLA_ADDRESS) ?? new Uint8Array(0)).slice(),
      mtu: readU32(parts.get(IFLA_MTU)),
      flags: view.getUint32(8, true),
      kind: kindOf(parts.get(IFLA_LINKINFO)),
    });
  }
  return found;
}

/** @throws NetlinkError `ENODEV` for a device that is gone */
export function changeLink(netlink: Netlink, index: number, wanted: LinkChange): void {
  const parts: Attribute[] = [];
  if (wanted.mtu !== undefined) parts.push([IFLA_MTU, u32(wanted.mtu)]);
  if (wanted.address !== undefined) parts.push([IFLA_ADDRESS, wanted.address]);
  const flags = (wanted.up ? IFF_UP : 0) | (wanted.allMulticast ? IFF_ALLMULTI : 0);
  const mask = (wanted.up === undefined ? 0 : IFF_UP) | (wanted.allMulticast === undefined ? 0 : IFF_ALLMULTI);
  netlink.change(RTM_SETLINK, 0, fixedPart(index, flags, mask), parts);
}

/** Keeps the kernel from giving a device an IPv6 address: it is to carry others' frames only. Without IPv6, nothing. */
export function withoutOwnAddress(netlink: Netlink, index: number): void {
  const inet6 = nested([[IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE)]]);
  try {
    netlink.change(RTM_SETLINK, 0, fixedPart(index, 0, 0), [[IFLA_AF_SPEC, nested([[AF_INET6, inet6]])]]);
  } catch {
    // A kernel without IPv6 gives it none either.
  }
}

/** Makes a macvtap device on another device. @throws NetlinkError `EEXIST` when name or index are taken */
export function addMacvtap(netlink: Netlink, name: string, index: number, lower: HostLink): void {
  const info = nested([
    [IFLA_INFO_KIND, cstring('macvtap')],
    [IFLA_INFO_DATA, nested([[IFLA_MACVLAN_MODE, u32(MACVLAN_MODE_BRIDGE)]])],
  ]);
  netlink.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, fixedPart(index, 0, 0), [
    [IFLA_IFNAME, cstring(name)],
    [IFLA_LINK, u32(lower.index)],
    [IFLA_MTU, u32(lower.mtu)],
    [IFLA_LINKINFO, info],
  ]);
}

/** @throws NetlinkError `ENODEV` for a device that is gone */
export function removeLink(netlink: Netlink, index: number): void {
  netlink.change(RTM_DELLINK, 0, fixedPart(index, 0, 0), []);
}

function fixedPart(index: number, flags: number, change: number): Uint8Array {
  const fixed = new Uint8Array(IFINFO_BYTES);
  const view = new DataView(fixed.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return fixed;
}

function kindOf(linkInfo: Uint8Array | undefined): string {
  if (!linkInfo) return '';
  const parts = attributes(linkInfo, 0);
  const kind = readCstring(parts.get(IFLA_INFO_KIND));
  if (kind !== 'tun') return kind;
  const data = parts.get(IFLA_INFO_DATA);
  return data && attributes(data, 0).get(IFLA_TUN_TYPE)?.[0] === IFF_TAP ? 'tap' : 'tun';
}
