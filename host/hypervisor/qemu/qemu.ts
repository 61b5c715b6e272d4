/** A virtual machine run by QEMU. */
import { closeSync } from 'node:fs';
import { access, chmod, copyFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeviceArguments } from '../../agent/transport.ts';
import { Child } from '../../child.ts';
import type { BlockAio } from '../../config/block.ts';
import { KataError, reasonOf } from '../../error.ts';
import { native } from '../../native.ts';
import type { ProcessIdentity } from '../../process.ts';
import { oneLine, Tail } from '../../tail.ts';
import type { Accelerator, Hypervisor, NicBackend, PciPath, VmConfig, VmExit } from '../hypervisor.ts';
import { type AcceleratorChoice, chooseAccelerator } from './accelerator.ts';
import { hugePageSize } from './backing.ts';
import { FIRST_DEVICE_FD, type HotplugSlot, hotplugSlots, qemuArguments } from './command-line.ts';
import { readConsole } from './console.ts';
import { MONITOR_SOCKET, VARIABLES_FILE } from './devices.ts';
import { blockNode, type Disk, diskDevice, lacksIoUring } from './disk.ts';
import { checkFiles } from './files.ts';
import { type QemuLog, SILENT, WordsLog } from './log.ts';
import { Qmp, type QmpEvent } from './qmp.ts';

/** What QEMU gets to greet on its control channel, ms; it takes 60 to 150 on an idle machine. */
export const START_MS = 30_000;
/** What a guest gets to let go of a device, ms; arm64 guests take five seconds by design. */
export const UNPLUG_MS = 15_000;

/** What a guest gets to bind a driver to a virtio-fs device before it is told to mount it anyway, ms; it takes 60. */
const DRIVER_MS = 2000;
const DRIVER_POLL_MS = 5;
/** Requests of a virtio-fs device that may be under way. */
const DEFAULT_FS_QUEUE_SIZE = 1024;
/** With it the host's kernel moves packets itself. */
const VHOST_NET = '/dev/vhost-net';

/** Events after which a machine that is to be dumped goes on no more. */
const ENDS: readonly string[] = ['GUEST_PANICKED', 'SHUTDOWN'];

/** A device's own part of QEMU, undone in reverse when the device goes. */
interface Plugged {
  readonly slot: HotplugSlot;
  readonly backend: { readonly remove: string; readonly args: Readonly<Record<string, unknown>> };
}

export class Qemu implements Hypervisor {
  readonly kind = 'qemu';
  readonly exited: Promise<VmExit>;
  #settleExited: (exit: VmExit) => void = () => {};
  readonly #config: VmConfig;
  #choice: AcceleratorChoice | undefined;
  #child: Child | undefined;
  #qmp: Qmp | undefined;
  readonly #console = new Tail();
  readonly #plugged = new Map<string, Plugged>();
  readonly #freeSlots: HotplugSlot[];
  #nextBackend = 0;
  #starting: Promise<void> | undefined;
  #stopped = false;
  #guestRuns = false;
  readonly #log: QemuLog;
  #aio: BlockAio | undefined;
  #disks = 0;
  #ending = false;

  /**
   * @param config what the VM is made of
   * @param choice the accelerator, if the caller has chosen it; otherwise `start` does
   */
  constructor(config: VmConfig, choice?: AcceleratorChoice, log: QemuLog = SILENT) {
    this.#config = config;
    this.#choice = choice;
    this.#log = log;
    this.#aio = config.block?.aio;
    this.#freeSlots = hotplugSlots(config.machineType);
    this.exited = new Promise((resolve) => {
      this.#settleExited = resolve;
    });
  }

  get accelerator(): Accelerator {
    return this.#choice?.accelerator ?? 'tcg';
  }

  get acceleratorReason(): string {
    return this.#choice?.reason ?? '';
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** For the state file; undefined before `start`. */
  get identity(): ProcessIdentity | undefined {
    return this.#child?.identity;
  }

  start(devices: DeviceArguments, spawned: () => void = () => {}, beforeGuest?: () => Promise<void>): Promise<void> {
    if (this.#starting) return Promise.reject(new KataError('already_exists', 'this VM was started before'));
    this.#starting = this.#start(devices, spawned, beforeGuest);
    return this.#starting;
  }

  async plugVirtioFs(tag: string, socketPath: string, queueSize = DEFAULT_FS_QUEUE_SIZE): Promise<PciPath> {
    const chardev = this.#backendName('fs');
    const addr = { type: 'unix', data: { path: socketPath } };
    // QEMU connects in this very command, so a daemon that is not there is an error here.
    const path = await this.#plug(
      tag,
      { command: 'chardev-add', args: { id: chardev, backend: { type: 'socket', data: { addr, server: false } } } },
      { remove: 'chardev-remove', args: { id: chardev } },
      { driver: 'vhost-user-fs-pci', chardev, tag, 'queue-size': queueSize },
    );
    // A guest that boots has its drivers before its agent.
    if (this.#guestRuns) await this.#driverReady(deviceId(tag));
    return path;
  }

  async plugBlock(id: string, path: string, readOnly: boolean): Promise<PciPath> {
    const node = this.#backendName('block');
    const found = await stat(path).catch((thrown: unknown) => {
      throw new KataError('not_found', `block device ${path} cannot be used: ${reasonOf(thrown)}`, { cause: thrown });
    });
    const disk = { node, path, blockDevice: found.isBlockDevice(), readOnly, index: this.#disks++ };
    try {
      return await this.#plugDisk(id, disk);
    } catch (thrown) {
      if (this.#aio !== 'io_uring' || !lacksIoUring(thrown)) throw thrown;
      // Kata's file names it, and neither every QEMU nor every host has it.
      this.#log.warn('disks are read and written by threads instead of io_uring', { reason: reasonOf(thrown) });
      this.#aio = 'threads';
      return await this.#plugDisk(id, disk);
    }
  }

  async resizeBlock(id: string, bytes: number): Promise<void> {
    const plugged = this.#plugged.get(id);
    if (!plugged) throw new KataError('not_found', `no block device ${id} is plugged`);
    await this.#running().execute('block_resize', { 'node-name': plugged.backend.args['node-name'], size: bytes });
  }

  async plugNic(id: string, { device, fds, mac, queues = 1 }: NicBackend): Promise<PciPath> {
    const netdev = this.#backendName('net');
    const { vhostNet = true, iommuPlatform = false } = this.#config.devices ?? {};
    const vhost =
      vhostNet &&
      (await access(VHOST_NET).then(
        () => true,
        () => false,
      ));
    const several = queues > 1 && { queues };
    return this.#plug(
      id,
      {
        command: 'netdev_add',
        args: { type: 'tap', id: netdev, vhost, ...(await this.#tapOptions(netdev, device, fds ?? [])), ...several },
      },
      { remove: 'netdev_del', args: { id: netdev } },
      // Without its boot ROM, which nothing would run.
      {
        driver: 'virtio-net-pci',
        netdev,
        mac,
        mq: queues > 1,
        romfile: '',
        'disable-legacy': 'on',
        // Two for each pair of queues, one for changes, one for control.
        ...(queues > 1 && { vectors: 2 * queues + 2 }),
        ...(iommuPlatform && { iommu_platform: true }),
      },
    );
  }

  async unplug(id: string): Promise<void> {
    const plugged = this.#plugged.get(id);
    if (!plugged) return;
    const qmp = this.#running();
    const device = deviceId(id);
    await qmp.execute('device_del', { id: device });
    await qmp.waitEvent('DEVICE_DELETED', (data) => data.device === device, UNPLUG_MS);
    this.#plugged.delete(id);
    this.#freeSlots.push(plugged.slot);
    await qmp.execute(plugged.backend.remove, plugged.backend.args);
  }

  async vcpuThreads(): Promise<readonly number[]> {
    const cpus = await this.#running().execute('query-cpus-fast');
    const known = (Array.isArray(cpus) ? cpus : []) as { readonly 'cpu-index': number; readonly 'thread-id': number }[];
    return known
      .toSorted((one, other) => one['cpu-index'] - other['cpu-index'])
      .slice(0, this.#config.vcpus)
      .map((cpu) => cpu['thread-id']);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    // A start under way sees the end of its child, or that none may be made any more.
    await Promise.all([this.#child?.kill(), this.#starting?.catch(() => {})]);
    await this.#child?.kill();
    this.#qmp?.close('the VM was stopped');
    this.#settleExited({ code: null, signal: null, stderr: '' });
  }

  consoleTail(): string {
    return this.#console.text();
  }

  async #start(devices: DeviceArguments, spawned: () => void, beforeGuest?: () => Promise<void>): Promise<void> {
    const config = this.#config;
    checkFiles(config);
    this.#choice ??= await chooseAccelerator(config.qemuPath, config.kernel);
    const hugePageKib = hugePageSize(config.memoryMib, config.memory);
    const variables = config.devices?.pflashes[1];
    if (variables !== undefined) await copyFile(variables, join(config.directory, VARIABLES_FILE));
    if (this.#stopped) throw new KataError('unavailable', 'the VM was stopped while it was starting');

    const own = config.memory?.hugePages === 'thp' ? [native().memoryFile('guest-memory')] : [];
    const descriptor = own.length > 0 ? FIRST_DEVICE_FD + devices.fds.length : undefined;
    const args = qemuArguments(config, devices, this.#choice.accelerator, { hugePageKib, descriptor });
    if (beforeGuest) args.push('-S');
    const child = await Child.spawn(config.qemuPath, args, {
      descriptors: ['pipe', 'pipe', ...devices.fds, ...own],
      dropCapabilities: true,
      networkNamespace: config.networkNamespace,
      stderr: this.#stderrLog(),
    }).finally(() => {
      for (const fd of own) closeSync(fd);
    });
    this.#child = child;
    spawned();
    void child.exited.then((exit) => {
      this.#qmp?.close(`QEMU has ended${exit.stderr ? `: ${oneLine(exit.stderr)}` : ''}`);
      this.#settleExited(exit);
    });
    readConsole(child.stream(1), (chunk) => {
      this.#console.push(chunk);
      config.onConsole?.(chunk);
    });
    this.#qmp = new Qmp(child.stream(0));
    this.#qmp.listen((event) => this.#event(event));
    if (this.#stopped) {
      await child.kill();
      throw new KataError('unavailable', 'the VM was stopped while it was starting');
    }
    try {
      await this.#qmp.ready(START_MS);
    } catch (thrown) {
      const exit = await child.kill();
      if (this.#stopped) throw new KataError('unavailable', 'the VM was stopped while it was starting');
      throw new KataError(
        'internal',
        `QEMU did not start (${howEnded(exit)}): ${oneLine(exit.stderr) || reasonOf(thrown)}`,
      );
    }
    // In a directory that is nobody else's; QEMU gives it whatever mode the umask leaves.
    if (config.devices?.monitor !== undefined) await chmod(join(config.directory, MONITOR_SOCKET), 0o600);
    if (beforeGuest) await this.#runAfter(this.#qmp, beforeGuest);
    this.#guestRuns = true;
  }

  /** QEMU's own words are logged as they come where somebody wants to know. */
  #stderrLog(): ((chunk: Buffer) => void) | undefined {
    if (!this.#config.debug) return undefined;
    const words = new WordsLog(this.#log);
    return (chunk) => words.push(chunk);
  }

  /** A machine that is to be dumped stands still where it would have ended: then it ends here. */
  #event(event: QmpEvent): void {
    const { devices, sandboxId, memoryMib } = this.#config;
    const qmp = this.#qmp;
    if (!devices?.dump || !qmp || this.#ending || !ENDS.includes(event.event)) return;
    this.#ending = true;
    const order = { sandboxId, memoryMib, dump: devices.dump };
    void import('./guest-dump.ts')
      .then(({ dumpAfter }) => dumpAfter(event, qmp, order, this.#log))
      .finally(() => this.#child?.kill());
  }

  #plugDisk(id: string, disk: Disk): Promise<PciPath> {
    const { block, devices } = this.#config;
    return this.#plug(
      id,
      { command: 'blockdev-add', args: blockNode(disk, this.#aio, block?.cache) },
      { remove: 'blockdev-del', args: { 'node-name': disk.node } },
      diskDevice(disk, block, devices?.iommuPlatform ?? false),
    );
  }

  async #runAfter(qmp: Qmp, beforeGuest: () => Promise<void>): Promise<void> {
    try {
      await beforeGuest();
      await qmp.execute('cont');
    } catch (thrown) {
      await this.#child?.kill();
      throw thrown;
    }
  }

  /** A device is opened by QEMU, which is in its namespace, or handed over open. */
  async #tapOptions(name: string, device: string, fds: readonly number[]): Promise<Record<string, unknown>> {
    const [fd] = fds;
    if (fd === undefined) return { ifname: device, script: 'no', downscript: 'no' };
    if (fds.length > 1) {
      throw new KataError('invalid_argument', `NIC on ${device}: ${fds.length} queues; one descriptor is supported`);
    }
    await this.#running().execute('getfd', { fdname: name }, undefined, fd);
    return { fd: name };
  }

  async #plug(
    id: string,
    add: { readonly command: string; readonly args: Readonly<Record<string, unknown>> },
    backend: Plugged['backend'],
    device: Readonly<Record<string, unknown>>,
  ): Promise<PciPath> {
    const qmp = this.#running();
    if (hotplugSlots(this.#config.machineType).length === 0) {
      throw new KataError(
        'failed_precondition',
        `hypervisor.qemu.machine_type: devices cannot be plugged into a running ${this.#config.machineType}; use q35 or virt`,
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
    this.#plugged.set(id, { slot, backend });
    let added = false;
    try {
      await qmp.execute(add.command, add.args);
      added = true;
      await qmp.execute('device_add', { ...device, id: deviceId(id), bus: slot.bus, addr: slot.addr });
    } catch (thrown) {
      if (added) await qmp.execute(backend.remove, backend.args).catch(() => {});
      this.#plugged.delete(id);
      this.#freeSlots.unshift(slot);
      throw thrown;
    }
    return slot.path;
  }

  /**
   * Waits, within bounds, until the guest's driver has the device: unlike disks, a virtio-fs tag that is not there yet
   * is an error to the guest's mount, and Kata's agent does not try again.
   */
  async #driverReady(device: string): Promise<void> {
    const qmp = this.#running();
    const end = performance.now() + DRIVER_MS;
    while (performance.now() < end) {
      const path = `/machine/peripheral/${device}/virtio-backend`;
      // The query is of QEMU 7.2; before, the guest has to try again.
      const status = await qmp.execute('x-query-virtio-status', { path }).catch((thrown: KataError) => {
        if (thrown.code === 'internal') return undefined;
        throw thrown;
      });
      if (status === undefined || JSON.stringify(status).includes('VIRTIO_CONFIG_S_DRIVER_OK')) return;
      await sleep(DRIVER_POLL_MS);
    }
  }

  #running(): Qmp {
    if (!this.#qmp || this.#stopped) throw new KataError('unavailable', 'the VM does not run');
    return this.#qmp;
  }

  /** Names in QEMU are ours, short and never used twice, whatever the caller's id looks like. */
  #backendName(kind: string): string {
    return `${kind}-${this.#nextBackend++}`;
  }
}

/** Hexadecimal, since QEMU allows few characters in an id; the prefix keeps it from starting with a digit. */
function deviceId(id: string): string {
  return `dev-${Buffer.from(id, 'utf8').toString('hex')}`;
}

function howEnded(exit: VmExit): string {
  return exit.signal === null ? `exit code ${exit.code}` : exit.signal;
}
