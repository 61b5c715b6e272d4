/** Traffic control: every frame that comes in on one device goes out on another. */
import type { Netlink } from './netlink.ts';
import { NetlinkError } from './netlink.ts';
import { type Attribute, cstring, NLM_F_CREATE, NLM_F_EXCL, nested, u32 } from './netlink-message.ts';

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
/** struct tcmsg: u8 family, u8 pad, u16 pad, i32 index, u32 handle, u32 parent, u32 info. */
const TCMSG_BYTES = 20;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const INGRESS_HANDLE = 0xffff0000;
const INGRESS_PARENT = 0xfffffff1;
/** Where filters of ingress hang, for the qdiscs `ingress` and `clsact` alike. */
const INGRESS_FILTERS = 0xfffffff2;
/** Upper 16 bits of a filter's info: after all others there may be. */
const PRIORITY = 0xc000;
/** Lower 16 bits: ETH_P_ALL in network byte order. */
const ALL_PROTOCOLS = 0x0300;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
const TC_U32_TERMINAL = 1;

/**
 * Gives a device its ingress qdisc.
 * @returns false when it has one already, which then is not ours to remove
 * @throws NetlinkError
 */
export function addIngress(netlink: Netlink, index: number): boolean {
  try {
    const flags = NLM_F_CREATE | NLM_F_EXCL;
    netlink.change(RTM_NEWQDISC, flags, fixedPart(index, INGRESS_HANDLE, INGRESS_PARENT, 0), [
      [TCA_KIND, cstring('ingress')],
    ]);
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && thrown.code === 'EEXIST') return false;
    throw thrown;
  }
}

/** Removes the ingress qdisc and with it all filters. @throws NetlinkError */
export function removeIngress(netlink: Netlink, index: number): void {
  const kind: Attribute = [TCA_KIND, cstring('ingress')];
  netlink.change(RTM_DELQDISC, 0, fixedPart(index, INGRESS_HANDLE, INGRESS_PARENT, 0), [kind]);
}

/** Sends what comes in on `from` out on `to`. Needs `addIngress` on `from`. @throws NetlinkError */
export function addRedirect(netlink: Netlink, from: number, to: number): void {
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  netlink.change(RTM_NEWTFILTER, flags, fixedPart(from, 0, INGRESS_FILTERS, info()), [
    [TCA_KIND, cstring('u32')],
    [
      TCA_OPTIONS,
      nested([
        [TCA_U32_SEL, matchAll()],
        [TCA_U32_ACT, nested([[1, mirred(to)]])],
      ]),
    ],
  ]);
}

/** Removes what `addRedirect` added. @throws NetlinkError */
export function removeRedirect(netlink: Netlink, from: number): void {
  netlink.change(RTM_DELTFILTER, 0, fixedPart(from, 0, INGRESS_FILTERS, info()), [[TCA_KIND, cstring('u32')]]);
}

function fixedPart(index: number, handle: number, parent: number, info: number): Uint8Array {
  const fixed = new Uint8Array(TCMSG_BYTES);
  const view = new DataView(fixed.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, handle, true);
  view.setUint32(12, parent, true);
  view.setUint32(16, info, true);
  return fixed;
}

function info(): number {
  return ((PRIORITY << 16) | ALL_PROTOCOLS) >>> 0;
}

/** struct tc_u32_sel: u8 flags, u8 shift, u8 keys, 13 bytes of offsets; one struct tc_u32_key of 16 bytes: mask 0 matches all. */
function matchAll(): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes[0] = TC_U32_TERMINAL;
  bytes[2] = 1;
  return bytes;
}

/** struct tc_mirred: u32 index, u32 capabilities, i32 action, i32 references, i32 bindings, i32 direction, u32 device. */
function mirred(to: number): Uint8Array {
  const zero = u32(0);
  const parameters = Buffer.concat([zero, zero, u32(TC_ACT_STOLEN), zero, zero, u32(TCA_EGRESS_REDIR), u32(to)]);
  return nested([
    [TCA_ACT_KIND, cstring('mirred')],
    [TCA_ACT_OPTIONS, nested([[TCA_MIRRED_PARMS, parameters]])],
  ]);
}
