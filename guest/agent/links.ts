/** Network links (interfaces) by rtnetlink. */
import { AgentError } from './error.ts';
import { attributes, change, cstring, dump, readCstring, readU32, u32 } from './netlink.ts';
import type { Sys } from './sys.ts';

const RTM_NEWLINK = 16;
const RTM_SETLINK = 19;
const RTM_GETLINK = 18;
/** struct ifinfomsg: u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change. */
const IFINFO_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const WANTED = [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU];

export const IFF_UP = 1;
export const IFF_LOOPBACK = 8;
export const IFF_NOARP = 0x80;
/** Longest name, bytes (IFNAMSIZ less the NUL). */
export const MAX_NAME_BYTES = 15;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Six bytes, or none. */
  readonly address: Uint8Array;
  readonly mtu: number;
  readonly flags: number;
}

/** What of a link is to become different. */
export interface LinkChange {
  readonly name?: string;
  readonly mtu?: number;
  readonly address?: Uint8Array;
  /** Flag bits to set or clear: those of `mask` take the value they have in `flags`. */
  readonly flags?: number;
  readonly mask?: number;
}

/** @throws SysError */
export function listLinks(sys: Sys): Link[] {
  return dump(sys, RTM_GETLINK, new Uint8Array(IFINFO_BYTES))
    .filter(({ type, body }) => type === RTM_NEWLINK && body.length >= IFINFO_BYTES)
    .map(({ body }) => {
      const view = new DataView(body.buffer, body.byteOffset);
      const found = attributes(body, IFINFO_BYTES, WANTED);
      return {
        index: view.getInt32(4, true),
        name: readCstring(found.get(IFLA_IFNAME)),
        address: found.get(IFLA_ADDRESS) ?? new Uint8Array(0),
        mtu: readU32(found.get(IFLA_MTU)),
        flags: view.getUint32(8, true),
      };
    });
}

/** @throws AgentError `not_found`; SysError */
export function linkByName(sys: Sys, name: string): Link {
  const link = listLinks(sys).find((candidate) => candidate.name === name);
  // `Link not found` is what Kata's shim looks for to try again.
  if (!link) throw new AgentError('not_found', `Link not found: no interface is called "${name}"`);
  return link;
}

/** Changes a link. @throws SysError */
export function setLink(sys: Sys, index: number, wanted: LinkChange): void {
  const fixed = new Uint8Array(IFINFO_BYTES);
  const view = new DataView(fixed.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, wanted.flags ?? 0, true);
  view.setUint32(12, wanted.mask ?? 0, true);
  const list: [number, Uint8Array][] = [];
  if (wanted.name !== undefined) list.push([IFLA_IFNAME, cstring(wanted.name)]);
  if (wanted.mtu !== undefined) list.push([IFLA_MTU, u32(wanted.mtu)]);
  if (wanted.address !== undefined) list.push([IFLA_ADDRESS, wanted.address]);
  change(sys, RTM_SETLINK, 0, fixed, list);
}
