/** How fast a device sends: a token bucket (tc-tbf(8)) in front of it. */
import type { Netlink } from './netlink.ts';
import { NetlinkError } from './netlink.ts';
import { type Attribute, cstring, NLM_F_CREATE, NLM_F_EXCL, nested, u32 } from './netlink-message.ts';

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
/** struct tcmsg: u8 family, u8 pad, u16 pad, i32 index, u32 handle, u32 parent, u32 info. */
const TCMSG_BYTES = 20;
const TC_H_ROOT = 0xffffffff;
/** By it ours is told from anybody else's: `6b61:`. */
const HANDLE = 0x6b610000;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
/** struct tc_tbf_qopt: two struct tc_ratespec of 12 bytes, u32 limit, u32 buffer, u32 mtu. */
const QOPT_BYTES = 36;
const TC_LINKLAYER_ETHERNET = 1;
const BITS_PER_BYTE = 8;
const MOST_U32 = 0xffffffff;

/** What may go out at once, and what may wait, as time at the limit, s. */
const BURST_S = 0.02;
const QUEUE_S = 0.1;
/** Bytes of a frame beside its payload: Ethernet's header with a VLAN tag. */
const FRAME_HEADER_BYTES = 18;
/** Least of both, in frames. */
const BURST_FRAMES = 2;
const QUEUE_FRAMES = 16;

/**
 * Limits what a device sends.
 * @param rate bit/s
 * @param mtu of the device, bytes
 * @throws NetlinkError `EEXIST` where the device has a queueing discipline that somebody gave it
 */
export function addLimit(netlink: Netlink, index: number, rate: number, mtu: number): void {
  const bytesPerSecond = Math.floor(rate / BITS_PER_BYTE);
  const frame = mtu + FRAME_HEADER_BYTES;
  const burst = bounded(Math.max(bytesPerSecond * BURST_S, BURST_FRAMES * frame));
  const queue = bounded(burst + Math.max(bytesPerSecond * QUEUE_S, QUEUE_FRAMES * frame));
  const options: Attribute[] = [
    [TCA_TBF_PARMS, parameters(bytesPerSecond, queue)],
    [TCA_TBF_BURST, u32(burst)],
  ];
  if (bytesPerSecond >= MOST_U32) options.push([TCA_TBF_RATE64, u64(bytesPerSecond)]);
  netlink.change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, fixedPart(index), [
    [TCA_KIND, cstring('tbf')],
    [TCA_OPTIONS, nested(options)],
  ]);
}

/** Removes a limit of ours; with none there it fails. @throws NetlinkError `ENOENT`, `EINVAL` */
export function removeLimit(netlink: Netlink, index: number): void {
  netlink.change(RTM_DELQDISC, 0, fixedPart(index), []);
}

/** Whether `addLimit` met a queueing discipline of somebody else's. */
export function isTaken(thrown: unknown): boolean {
  return thrown instanceof NetlinkError && thrown.code === 'EEXIST';
}

function bounded(bytes: number): number {
  return Math.min(Math.ceil(bytes), MOST_U32);
}

function fixedPart(index: number): Uint8Array {
  const fixed = new Uint8Array(TCMSG_BYTES);
  const view = new DataView(fixed.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, HANDLE, true);
  view.setUint32(12, TC_H_ROOT, true);
  return fixed;
}

/** struct tc_ratespec: u8 cell_log, u8 linklayer, u16 overhead, i16 cell_align, u16 mpu, u32 rate. */
function parameters(bytesPerSecond: number, queue: number): Uint8Array {
  const bytes = new Uint8Array(QOPT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(1, TC_LINKLAYER_ETHERNET);
  view.setUint32(8, Math.min(bytesPerSecond, MOST_U32), true);
  view.setUint32(24, queue, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
