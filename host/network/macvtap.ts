/**
 * The model `macvtap`: a macvtap device on each interface, which takes over its hardware address. The interface keeps no IP
 * address, since it would answer for the guest.
 */
import { randomInt } from 'node:crypto';
import { type HostAddress, removeAddress, restoreAddress } from './addresses.ts';
import { addMacvtap, changeLink, type HostLink, listLinks, removeLink, withoutOwnAddress } from './links.ts';
import type { HostEnd, Model } from './model.ts';
import { type Netlink, NetlinkError } from './netlink.ts';
import { tcFilter, unlessGone } from './tcfilter.ts';

/**
 * Indexes of devices are counted per namespace, but `/dev/tap<index>` is the machine's: indexes are drawn from where
 * namespaces do not count up to.
 */
const FIRST_INDEX = 8192;
const INDEXES = 1 << 30;
/** How often a taken index may be drawn. */
const TRIES = 128;

export const macvtap: Model = {
  keepsAddresses: false,
  join: (netlink, namespace, endpoint, name) => {
    const { link, addresses } = endpoint;
    // A VM is given these as they are, in any model.
    if (link.kind === 'tap' || link.kind === 'macvtap') return tcFilter.join(netlink, namespace, endpoint, name);
    const made = make(netlink, name, link);
    return takeOver(netlink, link, addresses, made);
  },
};

function make(netlink: Netlink, name: string, link: HostLink): HostLink {
  for (let tries = 1; ; tries++) {
    const index = FIRST_INDEX + randomInt(INDEXES);
    try {
      addMacvtap(netlink, name, index, link);
      return listLinks(netlink).find((made) => made.index === index) as HostLink;
    } catch (thrown) {
      const taken = thrown instanceof NetlinkError && ['EEXIST', 'EBUSY'].includes(thrown.code);
      if (!taken || tries >= TRIES) throw thrown;
    }
  }
}

function takeOver(netlink: Netlink, link: HostLink, addresses: readonly HostAddress[], made: HostLink): HostEnd {
  const removed: HostAddress[] = [];
  let swapped = false;
  const undo = (on: Netlink): void => {
    unlessGone(() => removeLink(on, made.index));
    if (swapped) unlessGone(() => changeLink(on, link.index, { address: link.address }));
    for (const address of removed.splice(0)) unlessGone(() => restoreAddress(on, address));
  };
  try {
    for (const address of addresses) {
      removeAddress(netlink, address);
      removed.push(address);
    }
    swapped = true;
    changeLink(netlink, link.index, { address: made.address });
    changeLink(netlink, made.index, { address: link.address });
    withoutOwnAddress(netlink, made.index);
    // The guest's multicast groups are unknown here, and IPv6 finds its neighbours by them.
    changeLink(netlink, made.index, { up: true, allMulticast: true });
  } catch (thrown) {
    undo(netlink);
    throw thrown;
  }
  return { device: made.name, tapIndex: made.index, made: true, qdisc: false, undo };
}
