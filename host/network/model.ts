/** How a pod's interface is joined to a VM's NIC: `internetworking_model` of the configuration. */
import type { Netlink } from './netlink.ts';
import type { Endpoint } from './scan.ts';

export const MODELS = ['tcfilter', 'macvtap', 'none'] as const;
export type ModelName = (typeof MODELS)[number];

/** The host's end of one NIC. */
export interface HostEnd {
  /** The device the VMM opens. */
  readonly device: string;
  /** Its index where it has to be opened by descriptor: `/dev/tap<index>`. */
  readonly tapIndex?: number | undefined;
  /** Pairs of queues it was made with; absent: one. */
  readonly queues?: number | undefined;
  /** Whether we made the device. */
  readonly made: boolean;
  /** Whether we gave the pod's interface an ingress qdisc. */
  readonly qdisc: boolean;
  /** Undoes all of it. What has gone by itself is no error. @throws NetlinkError */
  undo(netlink: Netlink): void;
}

/** What a NIC is to be like; absent: one queue, and as fast as can be. */
export interface NicWishes {
  /** What the guest may receive and send, bit/s; 0: not limited. */
  readonly rxRate: number;
  readonly txRate: number;
  /** Pairs of queues. */
  readonly networkQueues: number;
}

export interface Model {
  /**
   * Whether an interface keeps its addresses and routes while it is joined. If not, a later scan does not find them.
   */
  readonly keepsAddresses: boolean;
  /**
   * Joins an interface, or leaves nothing behind.
   * @param name of the device to make; nothing is called so
   * @throws NetlinkError; Error with `code`, as node:fs; KataError for a wish that cannot be had
   */
  join(netlink: Netlink, namespace: string, endpoint: Endpoint, name: string, wishes?: NicWishes): HostEnd;
}
