/** A network that somebody else has made: tap devices of the pod's namespace, opened by the VMM as they are. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KataError } from '../error.ts';
import type { PciPath } from '../hypervisor/hypervisor.ts';
import { type DirectDevice, readDirectNetwork } from './dan-file.ts';
import { createNamespace, refuseHost, removeNamespace } from './namespace.ts';
import type { GuestNetwork, Network, NetworkTraces } from './network.ts';
import type { NetworkOptions } from './pod-network.ts';

/**
 * Where a sandbox's directly attachable network is described.
 * @param directory `dan_conf`; empty: there are none
 * @returns undefined where there is no such file
 */
export function directNetworkFile(directory: string, sandboxId: string): string | undefined {
  if (directory === '') return undefined;
  const path = join(directory, `${sandboxId}.json`);
  return existsSync(path) ? path : undefined;
}

export class DirectNetwork implements Network {
  readonly namespace: string;
  readonly traces: NetworkTraces;
  readonly #path: string;
  readonly #options: NetworkOptions;
  readonly #plugged = new Map<string, PciPath>();
  #devices: readonly DirectDevice[] | undefined;

  /**
   * @param path of the file that describes it
   * @throws KataError
   */
  constructor(path: string, options: NetworkOptions) {
    const { path: namespace, own } = options.namespace;
    this.#path = path;
    this.#options = options;
    this.namespace = namespace;
    this.traces = { namespace, ownNamespace: own, devices: [] };
    if (own) createNamespace(namespace);
    else refuseHost(namespace);
  }

  /** The file is read once: what is plugged cannot change. */
  async prepare(): Promise<void> {
    if (this.#devices) return;
    const { netns, devices } = readDirectNetwork(this.#path);
    if (netns !== undefined && netns !== this.namespace) {
      throw new KataError(
        'failed_precondition',
        `${this.#path}: its devices are in the network namespace ${JSON.stringify(netns)}, and QEMU runs in that of the pod, ${this.namespace}; move them there`,
      );
    }
    this.#devices = devices;
  }

  async attach(): Promise<GuestNetwork | undefined> {
    const devices = this.#devices ?? [];
    for (const { name, tap, mac, queues } of devices) {
      if (this.#plugged.has(name)) continue;
      const nic = { device: tap, mac, ...(queues > 1 ? { queues } : {}) };
      this.#plugged.set(name, await this.#options.hypervisor.plugNic(`nic-${name}`, nic));
    }
    if (devices.length === 0) return undefined;
    return {
      interfaces: devices.map((device) => this.#describe(device)),
      routes: devices.flatMap(({ routes }) => routes),
      neighbors: devices.flatMap(({ neighbors }) => neighbors),
    };
  }

  /** The devices stay: they are whoever's made them. */
  async close(): Promise<void> {
    if (this.traces.ownNamespace) removeNamespace(this.namespace);
  }

  #describe({ name, mac, mtu, type, flags, addresses }: DirectDevice) {
    return {
      device: name,
      name,
      IPAddresses: [...addresses],
      mtu,
      hwAddr: mac,
      devicePath: this.#plugged.get(name) ?? '',
      type,
      raw_flags: flags,
    };
  }
}
