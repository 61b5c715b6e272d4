/** IPv4, IPv6 and link-layer addresses between text and bytes. */
import { AgentError } from './error.ts';

export { AF_INET, AF_INET6, FAMILY_V6, formatIp, formatMac } from '../../host/network/address-text.ts';

/** Bits of an address. */
export const IPV4_BITS = 32;
export const IPV6_BITS = 128;

/** Bytes of an IP address: 4 or 16. @throws AgentError `invalid_argument` */
export function parseIp(text: string): Uint8Array {
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text);
  if (!bytes) throw new AgentError('invalid_argument', `"${text}" is not an IP address`);
  return bytes;
}

/** Address and prefix length of `ADDRESS/PREFIX`; without a prefix, a single address. @throws AgentError */
export function parseCidr(text: string): { address: Uint8Array; prefix: number } {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  const bits = address.length * 8;
  return { address, prefix: slash < 0 ? bits : parsePrefix(text.slice(slash + 1), bits) };
}

/** A prefix length in decimal. @throws AgentError */
export function parsePrefix(text: string, bits: number): number {
  const prefix = /^\d{1,3}$/.test(text) ? Number(text) : -1;
  if (prefix < 0 || prefix > bits)
    throw new AgentError('invalid_argument', `"${text}" is not a prefix length of 0 to ${bits}`);
  return prefix;
}

/** Six bytes of `aa:bb:cc:dd:ee:ff`. @throws AgentError */
export function parseMac(text: string): Uint8Array {
  const parts = text.split(':');
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{2}$/.test(part))) {
    throw new AgentError('invalid_argument', `"${text}" is not a hardware address like 02:00:ca:fe:00:01`);
  }
  return Uint8Array.from(parts.map((part) => Number.parseInt(part, 16)));
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return undefined;
  return Uint8Array.from(parts.map(Number));
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string, true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  // `::` stands for at least one group.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** @param last whether the address ends here: its last 32 bits may then be written as IPv4 */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const v4 = last && index === parts.length - 1 && part.includes('.') ? parseV4(part) : undefined;
    if (v4) groups.push(((v4[0] as number) << 8) | (v4[1] as number), ((v4[2] as number) << 8) | (v4[3] as number));
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
