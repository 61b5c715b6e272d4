/** The model `tcfilter`: a tap beside each interface, and traffic control that carries every frame from one to the other. */
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import { changeLink, listLinks, removeLink, withoutOwnAddress } from './links.ts';
import type { HostEnd, Model } from './model.ts';
import { type Netlink, NetlinkError } from './netlink.ts';
import { addIngress, addRedirect, removeIngress, removeRedirect } from './redirect.ts';
import type { Endpoint } from './scan.ts';

/** What removing says of things that are gone already. */
const GONE = ['ENODEV', 'ENOENT', 'EINVAL'];

export const tcFilter: Model = {
  keepsAddresses: true,
  join: (netlink, namespace, endpoint, name) => {
    const { link } = endpoint;
    // Such a device is made for a VM: it opens it itself.
    if (link.kind === 'tap') return { device: link.name, made: false, qdisc: false, undo: () => {} };
    if (link.kind === 'macvtap') {
      return { device: link.name, tapIndex: link.index, made: false, qdisc: false, undo: () => {} };
    }
    return redirectTo(netlink, endpoint, name, makeTap(netlink, namespace, name));
  },
};

function redirectTo(netlink: Netlink, { link }: Endpoint, name: string, tap: number): HostEnd {
  let qdisc = false;
  const undo = (on: Netlink): void => {
    unlessGone(() => (qdisc ? removeIngress(on, link.index) : removeRedirect(on, link.index)));
    unlessGone(() => removeLink(on, tap));
  };
  try {
    withoutOwnAddress(netlink, tap);
    changeLink(netlink, tap, { mtu: link.mtu, up: true });
    addIngress(netlink, tap);
    qdisc = addIngress(netlink, link.index);
    // Somebody's own qdisc may carry what a shim that crashed has left.
    if (!qdisc) unlessGone(() => removeRedirect(netlink, link.index));
    addRedirect(netlink, tap, link.index);
    addRedirect(netlink, link.index, tap);
  } catch (thrown) {
    undo(netlink);
    throw thrown;
  }
  return { device: name, made: true, qdisc, undo };
}

/** @returns its index */
function makeTap(netlink: Netlink, namespace: string, name: string): number {
  try {
    native().inNetworkNamespace(namespace, () => native().createTap(name));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    throw new KataError(
      'failed_precondition',
      `tap devices cannot be made (${reasonOf(thrown)}): load the kernel module tun`,
      { cause: thrown },
    );
  }
  const tap = listLinks(netlink).find((link) => link.name === name);
  if (!tap) throw new KataError('internal', `the tap device ${name} has vanished from ${namespace}`);
  return tap.index;
}

/** Runs a step of undoing; what is gone already needs none. @throws NetlinkError */
export function unlessGone(step: () => void): void {
  try {
    step();
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError && GONE.includes(thrown.code))) throw thrown;
  }
}
