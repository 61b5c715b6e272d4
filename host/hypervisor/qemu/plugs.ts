/** Devices that are plugged into a machine, each in a place of its own, and what is behind them. */
import { KataError } from '../../error.ts';
import type { PciPath } from '../hypervisor.ts';
import { type HotplugSlot, hotplugSlots } from './command-line.ts';
import type { Qmp } from './qmp.ts';

/** What a guest gets to let go of a device, ms; arm64 guests take five seconds by design. */
export const UNPLUG_MS = 15_000;

type Arguments = Readonly<Record<string, unknown>>;

/** A device's own part of QEMU: made before it, undone when it has gone. */
export interface Backend {
  readonly add: { readonly command: string; readonly args: Arguments };
  readonly remove: { readonly command: string; readonly args: Arguments };
  /** QEMU's number of the open file it was handed, if it was. */
  readonly fdset?: number | undefined;
}

interface Plugged {
  readonly slot: HotplugSlot;
  readonly backend: Backend;
}

export class Plugs {
  readonly #machineType: string;
  readonly #qmp: () => Qmp;
  readonly #plugged = new Map<string, Plugged>();
  readonly #freeSlots: HotplugSlot[];

  /**
   * @param qmp throws KataError `unavailable` where there is none
   * @param rootPorts least number, where devices are plugged into root ports
   */
  constructor(machineType: string, qmp: () => Qmp, rootPorts = 0) {
    this.#machineType = machineType;
    this.#qmp = qmp;
    this.#freeSlots = hotplugSlots(machineType, rootPorts);
  }

  /** What is behind a device; undefined: it is not plugged. */
  backendOf(id: string): Backend | undefined {
    return this.#plugged.get(id)?.backend;
  }

  /**
   * Plugs a device, or leaves nothing behind.
   * @param id names it for `unplug`
   * @param device arguments of `device_add`, but for id and place
   * @throws KataError `failed_precondition` for a machine without places, `already_exists`, `resource_exhausted`; QEMU's
   */
  async plug(id: string, backend: Backend, device: Arguments): Promise<PciPath> {
    const qmp = this.#qmp();
    if (hotplugSlots(this.#machineType).length === 0) {
      throw new KataError(
        'failed_precondition',
        `hypervisor.qemu.machine_type: devices cannot be plugged into a running ${this.#machineType}; use q35 or virt`,
      );
    }
    if (this.#plugged.has(id)) throw new KataError('already_exists', `device ${id} is plugged already`);
    const slot = this.#freeSlots.shift();
    if (slot === undefined) {
      throw new KataError(
        'resource_exhausted',
        `all hot-plug slots of the VM are taken by ${this.#plugged.size} devices; ${id} needs one`,
      );
    }
    const { add, remove } = backend;
    this.#plugged.set(id, { slot, backend });
    let added = false;
    try {
      await qmp.execute(add.command, add.args);
      added = true;
      await qmp.execute('device_add', { ...device, id: deviceId(id), bus: slot.bus, addr: slot.addr });
    } catch (thrown) {
      if (added) await qmp.execute(remove.command, remove.args).catch(() => {});
      this.#plugged.delete(id);
      this.#freeSlots.unshift(slot);
      throw thrown;
    }
    return slot.path;
  }

  /** Waits until the guest has let go of the device. Idempotent. @throws KataError */
  async unplug(id: string): Promise<void> {
    const plugged = this.#plugged.get(id);
    if (!plugged) return;
    const qmp = this.#qmp();
    const device = deviceId(id);
    const { remove, fdset } = plugged.backend;
    await qmp.execute('device_del', { id: device });
    await qmp.waitEvent('DEVICE_DELETED', (data) => data.device === device, UNPLUG_MS);
    this.#plugged.delete(id);
    this.#freeSlots.push(plugged.slot);
    await qmp.execute(remove.command, remove.args);
    if (fdset !== undefined) await qmp.execute('remove-fd', { 'fdset-id': fdset });
  }
}

/** Hexadecimal, since QEMU allows few characters in an id; the prefix keeps it from starting with a digit. */
export function deviceId(id: string): string {
  return `dev-${Buffer.from(id, 'utf8').toString('hex')}`;
}
