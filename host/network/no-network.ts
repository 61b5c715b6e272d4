/** The model `none`: the VM gets no NIC. Its VMM still runs in the pod's namespace. */
import { createNamespace, refuseHost, removeNamespace } from './namespace.ts';
import type { Network, NetworkTraces } from './network.ts';
import type { NetworkOptions } from './pod-network.ts';

export class NoNetwork implements Network {
  readonly namespace: string;
  readonly traces: NetworkTraces;

  /** @throws KataError */
  constructor({ namespace: { path, own } }: Pick<NetworkOptions, 'namespace'>) {
    this.namespace = path;
    this.traces = { namespace: path, ownNamespace: own, devices: [] };
    if (own) createNamespace(path);
    else if (path !== '') refuseHost(path);
  }

  async prepare(): Promise<void> {}

  async attach(): Promise<undefined> {
    return undefined;
  }

  async close(): Promise<void> {
    if (this.traces.ownNamespace) removeNamespace(this.namespace);
  }
}
