/** IP addresses of a namespace's devices. */
import { AF_INET6, FAMILY_V6, formatIp } from './address-text.ts';
import type { HostLink } from './links.ts';
import type { Netlink } from './netlink.ts';
import { type Attribute, attributes, NLM_F_CREATE, NLM_F_REPLACE, readU32 } from './netlink-message.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
/** struct ifaddrmsg: u8 family, u8 prefix length, u8 flags, u8 scope, u32 index. */
const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;
/** IFA_PROTO: the kernel made this link-local address (Linux 6.1). */
const IFAPROT_KERNEL_LL = 3;
/** Flags: made for a while for outgoing connections; failed duplicate detection; made from a secret. */
const IFA_F_TEMPORARY = 1;
const IFA_F_DADFAILED = 8;
const IFA_F_STABLE_PRIVACY = 0x800;
const SCOPE_LINK = 253;

export interface HostAddress {
  /** Of the device. */
  readonly index: number;
  readonly family: number;
  readonly address: string;
  /** Prefix length, decimal. */
  readonly mask: string;
  /** The message as the kernel gave it: to take the address away and bring it back. */
  readonly message: Uint8Array;
}

/**
 * Addresses that were given to devices; not those the kernel makes by itself, as the guest's kernel does too.
 * @throws NetlinkError
 */
export function listAddresses(netlink: Netlink, links: readonly HostLink[]): HostAddress[] {
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const found: HostAddress[] = [];
  for (const { type, body } of netlink.dump(RTM_GETADDR, new Uint8Array(IFADDR_BYTES))) {
    if (type !== RTM_NEWADDR || body.length < IFADDR_BYTES) continue;
    const parts = attributes(body, IFADDR_BYTES);
    // On a point-to-point link IFA_ADDRESS is the peer's.
    const bytes = parts.get(IFA_LOCAL) ?? parts.get(IFA_ADDRESS);
    const index = new DataView(body.buffer, body.byteOffset).getUint32(4, true);
    const link = byIndex.get(index);
    if (!bytes || !link || isKernels(body, parts, bytes, link)) continue;
    found.push({
      index,
      family: body[0] === AF_INET6 ? FAMILY_V6 : 0,
      address: formatIp(bytes),
      mask: String(body[1]),
      message: body.slice(),
    });
  }
  return found;
}

/** @throws NetlinkError */
export function removeAddress(netlink: Netlink, { message }: HostAddress): void {
  netlink.change(RTM_DELADDR, 0, message.slice(0, IFADDR_BYTES), [...attributes(message, IFADDR_BYTES)]);
}

/** Brings a removed address back. @throws NetlinkError */
export function restoreAddress(netlink: Netlink, { message }: HostAddress): void {
  const parts: Attribute[] = [...attributes(message, IFADDR_BYTES)].filter(([kind]) => kind !== IFA_CACHEINFO);
  netlink.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, message.slice(0, IFADDR_BYTES), parts);
}

function isKernels(
  body: Uint8Array,
  parts: ReadonlyMap<number, Uint8Array>,
  address: Uint8Array,
  link: HostLink,
): boolean {
  if (body[0] !== AF_INET6) return false;
  const flags = readU32(parts.get(IFA_FLAGS)) || (body[2] as number);
  if (flags & (IFA_F_TEMPORARY | IFA_F_DADFAILED)) return true;
  if (body[3] !== SCOPE_LINK) return false;
  return (
    (flags & IFA_F_STABLE_PRIVACY) !== 0 ||
    parts.get(IFA_PROTO)?.[0] === IFAPROT_KERNEL_LL ||
    isFromHardware(address, link.address)
  );
}

/** fe80:: and the hardware address with ff:fe in its middle and one bit turned (RFC 4291, appendix A). */
function isFromHardware(address: Uint8Array, mac: Uint8Array): boolean {
  const [a, b, c, d, e, f] = mac;
  if (mac.length !== 6 || a === undefined) return false;
  const wanted = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
  return wanted.every((byte, index) => address[index] === byte);
}
