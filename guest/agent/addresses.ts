/** IP addresses of links, by rtnetlink. */
import type { Init } from '../../host/proto/codec.ts';
import type { IPAddress } from '../../host/proto/messages/types.ts';
import { AF_INET, AF_INET6, FAMILY_V6, formatIp, parseIp, parsePrefix } from './address.ts';
import { errnoOf } from './error.ts';
import { type Attribute, attributes, change, dump, NLM_F_CREATE, NLM_F_REPLACE, u32 } from './netlink.ts';
import type { Sys } from './sys.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
/** struct ifaddrmsg: u8 family, u8 prefix length, u8 flags, u8 scope, u32 index. */
const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
/** No duplicate address detection: the host has used the address already, and the pod must not wait for it. */
const IFA_F_NODAD = 2;
const SCOPE_LINK = 253;
/** Prefix lengths of IPv4 that leave no broadcast address. */
const POINT_TO_POINT_PREFIX = 31;

const WANTED = [IFA_ADDRESS, IFA_LOCAL];

interface Address {
  readonly index: number;
  readonly scope: number;
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/** Addresses of all links, or of one. @throws SysError */
export function listAddresses(sys: Sys, link?: number): Address[] {
  const found: Address[] = [];
  for (const { type, body } of dump(sys, RTM_GETADDR, new Uint8Array(IFADDR_BYTES))) {
    if (type !== RTM_NEWADDR || body.length < IFADDR_BYTES) continue;
    const index = new DataView(body.buffer, body.byteOffset).getUint32(4, true);
    if (link !== undefined && index !== link) continue;
    const parts = attributes(body, IFADDR_BYTES, WANTED);
    // On a point-to-point link IFA_ADDRESS is the peer's.
    const bytes = parts.get(IFA_LOCAL) ?? parts.get(IFA_ADDRESS);
    if (bytes) found.push({ index, scope: body[3] as number, bytes, prefix: body[1] as number });
  }
  return found;
}

/** As the agent protocol has it. */
export function describeAddress({ bytes, prefix }: Address): Init<IPAddress> {
  return { family: bytes.length === 16 ? FAMILY_V6 : 0, address: formatIp(bytes), mask: String(prefix) };
}

/** Gives a link exactly these addresses; the kernel's own link-local one stays. @throws AgentError; SysError */
export function replaceAddresses(sys: Sys, index: number, wanted: readonly IPAddress[]): void {
  const next = wanted.map((address) => {
    const bytes = parseIp(address.address);
    return { bytes, prefix: parsePrefix(address.mask, bytes.length * 8) };
  });
  for (const old of listAddresses(sys, index)) {
    if (old.bytes.length === 16 && old.scope === SCOPE_LINK) continue;
    change(sys, RTM_DELADDR, 0, fixedPart(old.bytes, old.prefix, index), [[IFA_LOCAL, old.bytes]]);
  }
  for (const { bytes, prefix } of next) {
    try {
      const flags = NLM_F_CREATE | NLM_F_REPLACE;
      change(sys, RTM_NEWADDR, flags, fixedPart(bytes, prefix, index), parts(bytes, prefix));
    } catch (error) {
      // IPv6 switched off in the guest: the pod then has IPv4 only.
      if (bytes.length === 16 && ['EOPNOTSUPP', 'EACCES', 'EAFNOSUPPORT'].includes(errnoOf(error))) {
        sys.log(`agent: ${formatIp(bytes)} is left out: IPv6 is off`);
      } else throw error;
    }
  }
}

function fixedPart(bytes: Uint8Array, prefix: number, index: number): Uint8Array {
  const fixed = new Uint8Array(IFADDR_BYTES);
  fixed[0] = bytes.length === 16 ? AF_INET6 : AF_INET;
  fixed[1] = prefix;
  new DataView(fixed.buffer).setUint32(4, index, true);
  return fixed;
}

function parts(bytes: Uint8Array, prefix: number): Attribute[] {
  const list: Attribute[] = [
    [IFA_LOCAL, bytes],
    [IFA_ADDRESS, bytes],
  ];
  if (bytes.length === 16) list.push([IFA_FLAGS, u32(IFA_F_NODAD)]);
  else if (prefix < POINT_TO_POINT_PREFIX) list.push([IFA_BROADCAST, broadcast(bytes, prefix)]);
  return list;
}

function broadcast(bytes: Uint8Array, prefix: number): Uint8Array {
  return bytes.map((byte, i) => byte | (255 >> Math.min(8, Math.max(0, prefix - i * 8))));
}
