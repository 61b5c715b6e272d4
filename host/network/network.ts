/** The seam between a sandbox and the pod's network. The host end is in the pod's network namespace, the guest's on the VM's NICs. */
import type { Init } from '../proto/codec.ts';
import type { ARPNeighbor, Interface, Route } from '../proto/messages/types.ts';

/** What the guest's agent is told: all of it, each time. */
export interface GuestNetwork {
  readonly interfaces: readonly Init<Interface>[];
  readonly routes: readonly Init<Route>[];
  readonly neighbors: readonly Init<ARPNeighbor>[];
}

/** What there is on the host, for the state file: whoever cleans up needs no more. */
export interface NetworkTraces {
  /** Path of the network namespace; empty: the shim's own. */
  readonly namespace: string;
  /** Whether we made the namespace, and have to remove it. */
  readonly ownNamespace: boolean;
  /** Names of the devices we made in it. */
  readonly devices: readonly string[];
  /** Names of the pod's devices to which we gave an ingress qdisc. */
  readonly qdiscs?: readonly string[] | undefined;
}

export interface Network {
  /** Path of the namespace in which the VMM has to run; empty: the shim's own. Valid from the start. */
  readonly namespace: string;
  readonly traces: NetworkTraces;
  /**
   * Scans the namespace and makes what a NIC needs on the host. Needs no VM, so that it runs beside the boot. May be
   * called again, for a namespace that is configured late: it then takes up what is new.
   * @throws KataError; nothing is left behind
   */
  prepare(): Promise<void>;
  /**
   * Plugs a NIC for each endpoint that has none yet. The VM is up.
   * @returns undefined where there is nothing to tell
   */
  attach(): Promise<GuestNetwork | undefined>;
  /** Undoes everything on the host. Idempotent; the VMM has ended, or is about to. */
  close(): Promise<void>;
}
