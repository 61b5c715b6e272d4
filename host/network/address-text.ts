/** IP and hardware addresses as text, for the host and for the guest's agent. */

/** AF_INET and AF_INET6. */
export const AF_INET = 2;
export const AF_INET6 = 10;
/** types.IPFamily: v4 0, v6 1. */
export const FAMILY_V6 = 1;

/** Text of 4 or 16 bytes; IPv6 with its longest run of zero groups cut out (RFC 5952). */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: number[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) groups.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number));
  const [start, length] = longestZeros(groups);
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Six bytes as `02:00:ca:fe:00:01`. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let i = 0; i < groups.length; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > best[1]) best = [i, length];
    i += length;
  }
  return best;
}
