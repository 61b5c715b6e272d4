/** Block devices of the host that containers get as devices: plugged into the VM once each, whoever shares them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KataError } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { decode, type Init } from '../proto/codec.ts';
import type { Device } from '../proto/messages/agent.ts';
import { type LinuxDevice, type LinuxDeviceCgroup, Spec } from '../proto/messages/oci.ts';

/** Most block devices of a sandbox, root file systems not counted: machines have that many slots. */
export const MAX_BLOCK_VOLUMES = 24;
/** Majors of drives whose media come and go: floppies and CD-ROMs. */
const REMOVABLE: ReadonlySet<number> = new Set([2, 11, 15, 16, 17, 18, 20, 23, 24, 25, 26, 27, 28, 29, 32]);

/** Groups and devices of VFIO; `/dev/vfio/vfio` itself stands for none. */
const VFIO_DEVICE = /^\/dev\/vfio\/(?:devices\/vfio)?[0-9]+$/;

/** A block device a container's spec asks for. */
export interface BlockRequest {
  readonly major: number;
  readonly minor: number;
  readonly readOnly: boolean;
  /** Where the container finds its node. */
  readonly containerPath: string;
}

interface Plugged {
  readonly name: string;
  readonly readOnly: boolean;
  readonly users: Set<string>;
  readonly address: Promise<string>;
}

/**
 * The block devices among a spec's devices that are meant for the container: those it has a rule of its own for. A privileged
 * container's spec lists all devices of the host without such rules; they are not taken.
 * @param spec encoded grpc.Spec
 * @param devices what `readSpec` read in it
 */
export function blockRequests(spec: Uint8Array, devices: readonly LinuxDevice[]): BlockRequest[] {
  const blocks = devices.filter(({ Type, Major }) => Type === 'b' && !REMOVABLE.has(Number(Major)));
  if (blocks.length === 0) return [];
  const rules = decode(Spec, spec).Linux?.Resources?.Devices ?? [];
  return blocks.flatMap(({ Path: containerPath, Major, Minor }) => {
    const [major, minor] = [Number(Major), Number(Minor)];
    const rule = rules.filter((each) => isExact(each, 'b', major, minor)).at(-1);
    return rule?.Allow ? [{ major, minor, readOnly: !rule.Access.includes('w'), containerPath }] : [];
  });
}

/**
 * Devices passed through by VFIO have nothing in the guest to stand for them: a container that was given one, by a rule of its
 * own, would start without it.
 * @param spec encoded grpc.Spec
 * @param devices what `readSpec` read in it
 * @throws KataError `failed_precondition` naming the device
 */
export function refusePassedThrough(spec: Uint8Array, devices: readonly LinuxDevice[]): void {
  const groups = devices.filter(({ Type, Path }) => Type === 'c' && VFIO_DEVICE.test(Path));
  if (groups.length === 0) return;
  const rules = decode(Spec, spec).Linux?.Resources?.Devices ?? [];
  for (const { Path, Type, Major, Minor } of groups) {
    const rule = rules.filter((each) => isExact(each, Type, Number(Major), Number(Minor))).at(-1);
    if (!rule?.Allow) continue;
    throw new KataError(
      'failed_precondition',
      `device ${Path}: devices of the host are not passed through to virtual machines; take it from the container, or run the pod without Kata`,
    );
  }
}

export class BlockVolumes {
  readonly #hypervisor: Pick<Hypervisor, 'plugBlock' | 'unplug'>;
  readonly #plugged = new Map<string, Plugged>();
  readonly #sysfs: string;
  #count = 0;

  /** @param sysfs where the kernel lists block devices by number; tests have their own */
  constructor(hypervisor: Pick<Hypervisor, 'plugBlock' | 'unplug'>, sysfs = '/sys/dev/block') {
    this.#hypervisor = hypervisor;
    this.#sysfs = sysfs;
  }

  /**
   * Plugs a device for a container, unless another one has it already. Needs a running VM.
   * @throws KataError `not_found` (no such device), `failed_precondition` (in use read-only), `resource_exhausted`
   */
  async add(id: string, request: BlockRequest): Promise<Init<Device>> {
    const { major, minor, readOnly, containerPath } = request;
    const key = `${major}:${minor}`;
    const what = `container ${id}: block device ${key} for ${containerPath}`;
    let plugged = this.#plugged.get(key);
    if (plugged?.readOnly && !readOnly) {
      throw new KataError(
        'failed_precondition',
        `${what}: the pod has it read-only already; ask for the same everywhere`,
      );
    }
    if (!plugged) {
      if (this.#plugged.size >= MAX_BLOCK_VOLUMES) {
        throw new KataError('resource_exhausted', `${what}: the pod has ${MAX_BLOCK_VOLUMES} block volumes already`);
      }
      const name = `volume-${this.#count++}`;
      const address = this.#hypervisor.plugBlock(name, nodeOf(join(this.#sysfs, key), what), readOnly);
      plugged = { name, readOnly, users: new Set(), address };
      this.#plugged.set(key, plugged);
    }
    plugged.users.add(id);
    try {
      return { type: 'blk', id: await plugged.address, container_path: containerPath };
    } catch (thrown) {
      this.#plugged.delete(key);
      throw thrown;
    }
  }

  /** Unplugs what no other container uses, if the VM still runs. Idempotent. */
  async remove(id: string): Promise<void> {
    for (const [key, { name, users }] of [...this.#plugged]) {
      if (!users.delete(id) || users.size > 0) continue;
      this.#plugged.delete(key);
      try {
        await this.#hypervisor.unplug(name);
      } catch (thrown) {
        // With the VM its devices are gone.
        if (!(thrown instanceof KataError) || thrown.code !== 'unavailable') throw thrown;
      }
    }
  }
}

function isExact({ Type, Major, Minor }: LinuxDeviceCgroup, type: string, major: number, minor: number): boolean {
  return Type === type && Number(Major) === major && Number(Minor) === minor;
}

/** The kernel's own name of a device, whatever node a spec was made from. */
function nodeOf(directory: string, what: string): string {
  let text: string;
  try {
    text = readFileSync(join(directory, 'uevent'), 'utf8');
  } catch {
    throw new KataError('not_found', `${what}: the host has no such device`);
  }
  const name = /^DEVNAME=(.+)$/m.exec(text)?.[1];
  if (name === undefined) throw new KataError('not_found', `${what}: the kernel gives it no name`);
  return `/dev/${name}`;
}
