/** Removes what a sandbox has left in a pod's network, from its state file alone. */
import { reasonOf } from '../error.ts';
import { listLinks, removeLink } from './links.ts';
import type { NetworkLog } from './log.ts';
import { refuseHost, removeNamespace } from './namespace.ts';
import { Netlink } from './netlink.ts';
import type { NetworkTraces } from './network.ts';
import { removeRedirection } from './nftables.ts';
import { removeIngress } from './redirect.ts';
import { isOurs } from './scan.ts';
import { removeLimit } from './shaping.ts';
import { unlessGone } from './tcfilter.ts';

/**
 * Removes our devices, qdiscs and port-forwarding rules from a pod's namespace, or the namespace that was made for it.
 * Idempotent; never throws; harmless where everything has gone with its namespace.
 */
export function cleanUpNetwork(traces: NetworkTraces, log: NetworkLog): void {
  const { namespace, ownNamespace } = traces;
  if (namespace === '') return;
  try {
    if (ownNamespace) removeNamespace(namespace);
    else cleanUp(traces, log);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return;
    log.warn('cannot clean up the pod network', { namespace, error: reasonOf(thrown) });
  }
}

function cleanUp({ namespace, qdiscs }: NetworkTraces, log: NetworkLog): void {
  try {
    refuseHost(namespace);
  } catch (thrown) {
    if ((thrown as { code?: string }).code === 'not_found') return;
    log.warn('network cleanup refused: not a pod network namespace', { namespace });
    return;
  }
  removeRedirection(namespace);
  const netlink = new Netlink(namespace);
  try {
    for (const link of listLinks(netlink)) {
      // Ours by its handle; on most devices there is none.
      unlessGone(() => removeLimit(netlink, link.index));
      if (qdiscs?.includes(link.name)) unlessGone(() => removeIngress(netlink, link.index));
      // By their names, which are ours alone, so that one made just before a crash goes too.
      else if (isOurs(link)) unlessGone(() => removeLink(netlink, link.index));
    }
  } finally {
    netlink.close();
  }
}
