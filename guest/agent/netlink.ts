/** rtnetlink(7) from within the guest: requests made, answers awaited. */
import {
  type Attribute,
  message,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  parse,
} from '../../host/network/netlink-message.ts';
import type { Sys } from './sys.ts';

export {
  type Attribute,
  attributes,
  cstring,
  message,
  type NetlinkMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  nested,
  parse,
  readCstring,
  readU32,
  u32,
} from '../../host/network/netlink-message.ts';

/** Sends a request that changes something; returns when the kernel has done it. @throws SysError */
export function change(
  sys: Sys,
  type: number,
  flags: number,
  fixed: Uint8Array,
  attributes: readonly Attribute[],
): void {
  sys.netlinkRoute(message(type, flags | NLM_F_ACK, fixed, attributes));
}

/** All objects of a kind. @throws SysError */
export function dump(sys: Sys, type: number, fixed: Uint8Array): NetlinkMessage[] {
  return parse(sys.netlinkRoute(message(type, NLM_F_DUMP, fixed, [])));
}
