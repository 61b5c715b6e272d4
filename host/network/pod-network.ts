/** A pod's network, joined to its VM by one of the models. */
import { closeSync, constants, openSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import type { Hypervisor, PciPath } from '../hypervisor/hypervisor.ts';
import type { Init } from '../proto/codec.ts';
import type { ARPNeighbor, Interface, Route } from '../proto/messages/types.ts';
import { formatMac } from './address-text.ts';
import { IFF_NOARP, listLinks } from './links.ts';
import type { NetworkLog } from './log.ts';
import type { HostEnd, Model, NicWishes } from './model.ts';
import { createNamespace, type PodNamespace, refuseHost, removeNamespace } from './namespace.ts';
import { Netlink } from './netlink.ts';
import type { GuestNetwork, Network, NetworkTraces } from './network.ts';
import { type Endpoint, scan, tapName } from './scan.ts';

export interface NetworkOptions {
  readonly namespace: PodNamespace;
  readonly hypervisor: Pick<Hypervisor, 'plugNic' | 'unplug'>;
  readonly log: NetworkLog;
  /** Absent: as the model makes NICs by itself. */
  readonly wishes?: NicWishes | undefined;
}

/** An interface that is joined. */
interface Joined {
  endpoint: Endpoint;
  routes: readonly Route[];
  neighbors: readonly Init<ARPNeighbor>[];
  readonly host: HostEnd;
  /** Undefined: no NIC yet. */
  path: PciPath | undefined;
}

export class PodNetwork implements Network {
  readonly namespace: string;
  readonly #options: NetworkOptions;
  readonly #model: Model;
  /** By the interface's index. */
  readonly #joined = new Map<number, Joined>();
  /** Interfaces that have gone since, whose NICs are still plugged. */
  #lost: Joined[] = [];
  #closed = false;

  /**
   * Makes the namespace if it is the sandbox's own: the VMM starts in it.
   * @throws KataError
   */
  constructor(model: Model, options: NetworkOptions) {
    const { path, own } = options.namespace;
    this.#model = model;
    this.#options = options;
    this.namespace = path;
    if (own) createNamespace(path);
    else refuseHost(path);
  }

  get traces(): NetworkTraces {
    const all = [...this.#joined.values(), ...this.#lost];
    return {
      namespace: this.namespace,
      ownNamespace: this.#options.namespace.own,
      devices: all.filter(({ host }) => host.made).map(({ host }) => host.device),
      qdiscs: all.filter(({ host }) => host.qdisc).map(({ endpoint }) => endpoint.link.name),
    };
  }

  async prepare(): Promise<void> {
    this.#open((netlink) => this.#prepare(netlink));
  }

  async attach(): Promise<GuestNetwork | undefined> {
    for (const lost of this.#lost.splice(0)) await this.#unplug(lost);
    for (const joined of this.#joined.values()) {
      if (joined.path === undefined) joined.path = await this.#plug(joined);
    }
    const all = [...this.#joined.values()];
    if (all.length === 0) return undefined;
    return {
      interfaces: all.map(describe),
      routes: all.flatMap(({ routes }) => routes),
      neighbors: all.flatMap(({ neighbors }) => neighbors),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const all = [...this.#lost.splice(0), ...this.#joined.values()];
    this.#joined.clear();
    // Devices go with a namespace of our own.
    if (this.#options.namespace.own) removeNamespace(this.namespace);
    else if (all.length > 0) this.#undo(all);
  }

  #prepare(netlink: Netlink): void {
    const { endpoints, routes, neighbors } = scan(netlink);
    const present = new Set(endpoints.map(({ link }) => link.index));
    for (const [index, joined] of this.#joined) {
      if (present.has(index)) continue;
      this.#joined.delete(index);
      this.#lost.push(joined);
    }
    const fresh: number[] = [];
    try {
      for (const endpoint of endpoints) {
        const { index, name } = endpoint.link;
        const own = <T extends { readonly device?: string | undefined }>(list: readonly T[]) =>
          list.filter(({ device }) => device === name);
        const known = this.#joined.get(index);
        const told = { endpoint, routes: own(routes), neighbors: own(neighbors) };
        if (known && this.#model.keepsAddresses) Object.assign(known, told);
        if (known) continue;
        this.#warn(endpoint);
        const { wishes } = this.#options;
        const host = this.#model.join(netlink, this.namespace, endpoint, this.#freeName(netlink), wishes);
        this.#joined.set(index, { ...told, host, path: undefined });
        fresh.push(index);
      }
    } catch (thrown) {
      for (const index of fresh) {
        this.#joined.get(index)?.host.undo(netlink);
        this.#joined.delete(index);
      }
      throw thrown;
    }
  }

  #warn({ link, addresses }: Endpoint): void {
    if (addresses.length > 0) return;
    // As Kata: the VM gets the NIC, and whoever wants an address on it has to give it one.
    this.#options.log.warn('network interface without an IP address', { interface: link.name, kind: link.kind });
  }

  async #plug({ endpoint: { link }, host }: Joined): Promise<PciPath> {
    const { device, queues } = host;
    const nic = { device, mac: formatMac(link.address), ...(queues !== undefined && { queues }) };
    if (host.tapIndex === undefined) return this.#options.hypervisor.plugNic(nicId(link.name), nic);
    const fd = openSync(`/dev/tap${host.tapIndex}`, constants.O_RDWR);
    try {
      return await this.#options.hypervisor.plugNic(nicId(link.name), { ...nic, fds: [fd] });
    } finally {
      // The VMM has its own.
      closeSync(fd);
    }
  }

  async #unplug(lost: Joined): Promise<void> {
    if (lost.path !== undefined) await this.#options.hypervisor.unplug(nicId(lost.endpoint.link.name));
    this.#undo([lost]);
  }

  #undo(list: readonly Joined[]): void {
    try {
      this.#open((netlink) => {
        for (const { host } of list.toReversed()) host.undo(netlink);
      });
    } catch (thrown) {
      if (isMissing(thrown)) return;
      this.#options.log.warn('cannot undo the pod network', { namespace: this.namespace, error: reasonOf(thrown) });
    }
  }

  /** A name for a device of ours that nothing in the namespace has. */
  #freeName(netlink: Netlink): string {
    const taken = new Set(listLinks(netlink).map(({ name }) => name));
    let index = 0;
    while (taken.has(tapName(index))) index++;
    return tapName(index);
  }

  #open<T>(use: (netlink: Netlink) => T): T {
    let netlink: Netlink | undefined;
    try {
      netlink = new Netlink(this.namespace);
      return use(netlink);
    } catch (thrown) {
      if (thrown instanceof KataError) throw thrown;
      throw new KataError(
        'internal',
        `pod network in ${this.namespace || "the shim's own namespace"}: ${reasonOf(thrown)}`,
        {
          cause: thrown,
        },
      );
    } finally {
      // A socket that stays open would hold the namespace.
      netlink?.close();
    }
  }
}

/** The namespace is gone, and everything in it. */
function isMissing(thrown: unknown): boolean {
  return ((thrown as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

/** How the VMM knows the NIC of an interface. */
function nicId(name: string): string {
  return `nic-${name}`;
}

function describe({ endpoint: { link, addresses }, path }: Joined): Init<Interface> {
  return {
    device: link.name,
    name: link.name,
    IPAddresses: addresses.map(({ family, address, mask }) => ({ family, address, mask })),
    mtu: link.mtu,
    hwAddr: formatMac(link.address),
    devicePath: path ?? '',
    type: link.kind,
    raw_flags: link.flags & IFF_NOARP,
  };
}
