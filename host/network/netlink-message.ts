/**
 * netlink(7) messages: built and taken apart, for the host and for the guest's agent.
 * Numbers are in the machine's byte order, little endian on amd64 and arm64.
 */

/** struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port. */
const HEADER_BYTES = 16;
/** struct rtattr: u16 length, u16 type. */
const ATTRIBUTE_HEADER_BYTES = 4;
/** Longest attribute that is written, bytes. */
const MAX_ATTRIBUTE_BYTES = 1024;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
/** With NLM_F_CREATE: fails if there is one already. */
export const NLM_F_EXCL = 0x200;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_CREATE = 0x400;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  /** Everything after the header: the fixed part, then attributes. */
  readonly body: Uint8Array;
}

/** One attribute: its number and its bytes. */
export type Attribute = readonly [type: number, value: Uint8Array];

/** A message: header, fixed part (a multiple of 4 bytes), attributes. */
export function message(type: number, flags: number, fixed: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  let length = HEADER_BYTES + fixed.length;
  for (const [, value] of attributes) {
    if (value.length > MAX_ATTRIBUTE_BYTES) throw new RangeError(`a netlink attribute of ${value.length} bytes`);
    length += ATTRIBUTE_HEADER_BYTES + aligned(value.length);
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | NLM_F_REQUEST, true);
  bytes.set(fixed, HEADER_BYTES);
  let at = HEADER_BYTES + fixed.length;
  for (const [kind, value] of attributes) {
    view.setUint16(at, ATTRIBUTE_HEADER_BYTES + value.length, true);
    view.setUint16(at + 2, kind, true);
    bytes.set(value, at + ATTRIBUTE_HEADER_BYTES);
    at += ATTRIBUTE_HEADER_BYTES + aligned(value.length);
  }
  return bytes;
}

/** The messages of an answer, without the marks of its end. */
export function parse(answer: Uint8Array): NetlinkMessage[] {
  return readMessages(answer).filter(({ type }) => type !== NLMSG_ERROR && type !== NLMSG_DONE);
}

/** All messages of an answer, up to the first that is cut short. */
export function readMessages(answer: Uint8Array): NetlinkMessage[] {
  const found: NetlinkMessage[] = [];
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  for (let at = 0; answer.length - at >= HEADER_BYTES; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || length > answer.length - at) break;
    const type = view.getUint16(at + 4, true);
    const flags = view.getUint16(at + 6, true);
    found.push({ type, flags, body: answer.subarray(at + HEADER_BYTES, at + length) });
    at += aligned(length);
  }
  return found;
}

/**
 * The attributes after `skip` bytes of fixed part; of equal ones the last.
 * @param wanted numbers of those that are taken; absent: all. A link has fifty, and a view of each costs an emulated guest more
 *   than the kernel's answer
 */
export function attributes(body: Uint8Array, skip: number, wanted?: readonly number[]): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = skip; body.length - at >= ATTRIBUTE_HEADER_BYTES; ) {
    const length = u16(body, at);
    if (length < ATTRIBUTE_HEADER_BYTES || length > body.length - at) break;
    // The two top bits are flags: nested, network byte order.
    const kind = u16(body, at + 2) & 0x3fff;
    if (!wanted || wanted.includes(kind)) found.set(kind, body.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return found;
}

/** Attributes as the content of another. */
export function nested(list: readonly Attribute[]): Uint8Array {
  return message(0, 0, new Uint8Array(0), list).subarray(HEADER_BYTES);
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** A number of an attribute; 0 if it is absent or too short. */
export function readU32(bytes: Uint8Array | undefined): number {
  if (!bytes || bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** NUL-terminated, as names of links are. */
export function cstring(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

export function readCstring(bytes: Uint8Array | undefined): string {
  if (!bytes) return '';
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}
