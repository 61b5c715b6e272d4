/** Network namespaces for tests, made and looked at with iproute2, and removed with everything in them. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { NicBackend } from '../../../host/hypervisor/hypervisor.ts';
import type { NetworkLog } from '../../../host/network/log.ts';

/** A pod's namespace and its peer's, each of a name nobody else has. */
export class Namespaces {
  readonly pod: string;
  readonly peer: string;

  constructor() {
    const id = randomBytes(4).toString('hex');
    this.pod = `kata-pod-${id}`;
    this.peer = `kata-peer-${id}`;
    ip('netns', 'add', this.pod);
    ip('netns', 'add', this.peer);
  }

  get path(): string {
    return `/run/netns/${this.pod}`;
  }

  /** `ip` in the pod's namespace; words are split at spaces. */
  inPod(command: string): string {
    return ip('-n', this.pod, ...command.split(' '));
  }

  inPeer(command: string): string {
    return ip('-n', this.peer, ...command.split(' '));
  }

  /** A veth `name` in the pod, up, with `addresses`; its other end, called alike, is in the peer's namespace. */
  veth(name: string, mac: string, ...addresses: string[]): void {
    ip('-n', this.pod, 'link', 'add', name, 'address', mac, 'type', 'veth', 'peer', 'name', name, 'netns', this.peer);
    for (const address of addresses) {
      ip('-n', this.pod, 'addr', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : []));
    }
    this.inPod(`link set ${name} up`);
    this.inPeer(`link set ${name} up`);
  }

  /** Filters on the ingress of a device, one word after the other. */
  filters(device: string): string {
    return execFileSync('tc', ['-n', this.pod, 'filter', 'show', 'dev', device, 'ingress'], { encoding: 'utf8' });
  }

  /** Names of the pod's devices. */
  devices(): string[] {
    const links: { ifname: string }[] = JSON.parse(this.inPod('-j link'));
    return links.map(({ ifname }) => ifname).sort();
  }

  remove(): void {
    for (const name of [this.pod, this.peer]) if (existsSync(`/run/netns/${name}`)) ip('netns', 'del', name);
  }
}

/** What was plugged, in order, and what was written to the log. */
export class FakeVm {
  readonly plugged: { id: string; nic: NicBackend }[] = [];
  readonly unplugged: string[] = [];
  readonly warnings: string[] = [];
  readonly log: NetworkLog = {
    info: () => {},
    warn: (message) => this.warnings.push(message),
  };

  async plugNic(id: string, nic: NicBackend): Promise<string> {
    this.plugged.push({ id, nic });
    return `10/0${this.plugged.length}`;
  }

  async unplug(id: string): Promise<void> {
    this.unplugged.push(id);
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
