/** The model `tcfilter`: a tap beside each interface, and traffic control that carries every frame from one to the other. */
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import { changeLink, type HostLink, listLinks, removeLink, withoutOwnAddress } from './links.ts';
import type { HostEnd, Model, NicWishes } from './model.ts';
import { type Netlink, NetlinkError } from './netlink.ts';
import { addIngress, addRedirect, removeIngress, removeRedirect } from './redirect.ts';
import type { Endpoint } from './scan.ts';
import { addLimit, isTaken, removeLimit } from './shaping.ts';

/** What removing says of things that are gone already. */
const GONE = ['ENODEV', 'ENOENT', 'EINVAL'];

export const tcFilter: Model = {
  keepsAddresses: true,
  join: (netlink, namespace, endpoint, name, wishes) => {
    const { link } = endpoint;
    if (wishes && (link.kind === 'tap' || link.kind === 'macvtap')) refuseRates(link, wishes);
    // Such a device is made for a VM: it opens it itself.
    if (link.kind === 'tap') return { device: link.name, made: false, qdisc: false, undo: () => {} };
    if (link.kind === 'macvtap') {
      return { device: link.name, tapIndex: link.index, made: false, qdisc: false, undo: () => {} };
    }
    const tap = makeTap(netlink, namespace, name, (wishes?.networkQueues ?? 1) > 1);
    return redirectTo(netlink, endpoint, name, tap, wishes);
  },
};

function redirectTo(netlink: Netlink, { link }: Endpoint, name: string, tap: number, wishes?: NicWishes): HostEnd {
  const { rxRate = 0, txRate = 0, networkQueues = 1 } = wishes ?? {};
  let qdisc = false;
  let limited = false;
  const undo = (on: Netlink): void => {
    if (limited) unlessGone(() => removeLimit(on, link.index));
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
    // What the guest receives leaves the tap, what it sends leaves the interface.
    if (rxRate > 0) addLimit(netlink, tap, rxRate, link.mtu);
    if (txRate > 0) {
      limitLink(netlink, link, txRate);
      limited = true;
    }
    addRedirect(netlink, tap, link.index);
    addRedirect(netlink, link.index, tap);
  } catch (thrown) {
    undo(netlink);
    throw thrown;
  }
  return { device: name, ...(networkQueues > 1 && { queues: networkQueues }), made: true, qdisc, undo };
}

/** The pod's own interface, on which a shim that crashed may have left its limit. */
function limitLink(netlink: Netlink, link: HostLink, rate: number): void {
  unlessGone(() => removeLimit(netlink, link.index));
  try {
    addLimit(netlink, link.index, rate, link.mtu);
  } catch (thrown) {
    if (!isTaken(thrown)) throw thrown;
    throw new KataError(
      'failed_precondition',
      `tx_rate_limiter_max_rate: interface ${link.name} of the pod has a queueing discipline already; remove that, or the limit`,
      { cause: thrown },
    );
  }
}

/** Their frames pass no queue of ours. A limit that is not kept would be worse than none. */
function refuseRates({ name, kind }: HostLink, { rxRate, txRate }: NicWishes): void {
  if (rxRate === 0 && txRate === 0) return;
  throw new KataError(
    'failed_precondition',
    `rx_rate_limiter_max_rate, tx_rate_limiter_max_rate: interface ${name} of the pod is a ${kind} device, which the guest is given as it is; its rate cannot be limited`,
  );
}

/** @returns its index */
function makeTap(netlink: Netlink, namespace: string, name: string, multiQueue: boolean): number {
  try {
    native().inNetworkNamespace(namespace, () => native().createTap(name, multiQueue));
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
