/** A virtual machine run by QEMU. */
import { closeSync } from 'node:fs';
import { access, copyFile, stat } from 'node:fs/promises';
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
import { FIRST_DEVICE_FD, qemuArguments } from './command-line.ts';
import { readConsole } from './console.ts';
import { MONITOR_SOCKET, VARIABLES_FILE } from './devices.ts';
import { blockNode, type Disk, diskDevice, lacksIoUring } from './disk.ts';
import { checkFiles } from './files.ts';
import { type QemuLog, SILENT, WordsLog } from './log.ts';
import { nicDevice, tapOptions } from './nic.ts';
import { deviceId, Plugs } from './plugs.ts';
import { Qmp, type QmpEvent } from './qmp.ts';
import { giveDisk, giveSocket, handOver, type ProcessUser, userOf } from './rootless.ts';

/** What QEMU gets to greet on its control channel, ms; it takes 60 to 150 on an idle machine. */
export const START_MS = 30_000;
/** What a guest gets to bind a driver to a virtio-fs device before it is told to mount it anyway, ms; it takes 60. */
const DRIVER_MS = 2000;
const DRIVER_POLL_MS = 5;
/** Requests of a virtio-fs device that may be under way. */
const DEFAULT_FS_QUEUE_SIZE = 1024;
/** With it the host's kernel moves packets itself. */
const VHOST_NET = '/dev/vhost-net';

/** Events after which a machine that is to be dumped goes on no more. */
const ENDS: readonly string[] = ['GUEST_PANICKED', 'SHUTDOWN'];

export class Qemu implements Hypervisor {
  readonly kind = 'qemu';
  readonly exited: Promise<VmExit>;
  #settleExited: (exit: VmExit) => void = () => {};
  readonly #config: VmConfig;
  #choice: AcceleratorChoice | undefined;
  #child: Child | undefined;
  #qmp: Qmp | undefined;
  readonly #console = new Tail();
  readonly #plugs: Plugs;
  #nextBackend = 0;
  #starting: Promise<void> | undefined;
  #stopped = false;
  #guestRuns = false;
  readonly #log: QemuLog;
  /** undefined: the user of this process. */
  readonly #user: ProcessUser | undefined;
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
    this.#user = config.devices?.rootless ? userOf(config.directory) : undefined;
    this.#plugs = new Plugs(config.machineType, () => this.#running(), config.devices?.rootPorts);
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
    const addr = this.#user
      ? await giveSocket(this.#running(), socketPath, chardev)
      : { type: 'unix', data: { path: socketPath } };
    // QEMU connects in this very command, so a daemon that is not there is an error here.
    const args = { id: chardev, backend: { type: 'socket', data: { addr, server: false } } };
    const path = await this.#plugs.plug(
      tag,
      { add: { command: 'chardev-add', args }, remove: { command: 'chardev-remove', args: { id: chardev } } },
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
    const fdset = this.#user && (await giveDisk(this.#running(), path, readOnly));
    const shown = fdset === undefined ? path : `/dev/fdset/${fdset}`;
    const disk = { node, path: shown, blockDevice: found.isBlockDevice(), readOnly, index: this.#disks++ };
    try {
      return await this.#plugDiskAnyhow(id, disk, fdset);
    } catch (thrown) {
      if (fdset !== undefined) await this.#qmp?.execute('remove-fd', { 'fdset-id': fdset }).catch(() => {});
      throw thrown;
    }
  }

  async resizeBlock(id: string, bytes: number): Promise<void> {
    const backend = this.#plugs.backendOf(id);
    if (!backend) throw new KataError('not_found', `no block device ${id} is plugged`);
    await this.#running().execute('block_resize', { 'node-name': backend.remove.args['node-name'], size: bytes });
  }

  async plugNic(id: string, nic: NicBackend): Promise<PciPath> {
    const netdev = this.#backendName('net');
    const { vhostNet = true, iommuPlatform = false } = this.#config.devices ?? {};
    const handed = this.#user !== undefined;
    // Its device is root's.
    const vhost =
      vhostNet &&
      !handed &&
      (await access(VHOST_NET).then(
        () => true,
        () => false,
      ));
    const tap = await tapOptions(this.#running(), {
      ...nic,
      netdev,
      namespace: this.#config.networkNamespace,
      handed,
    });
    return this.#plugs.plug(
      id,
      {
        add: { command: 'netdev_add', args: { type: 'tap', id: netdev, vhost, ...tap } },
        remove: { command: 'netdev_del', args: { id: netdev } },
      },
      nicDevice(netdev, nic, iommuPlatform),
    );
  }

  unplug(id: string): Promise<void> {
    return this.#plugs.unplug(id);
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

    const child = await this.#spawn(devices, this.#choice.accelerator, hugePageKib, beforeGuest !== undefined);
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

  async #plugDiskAnyhow(id: string, disk: Disk, fdset: number | undefined): Promise<PciPath> {
    try {
      return await this.#plugDisk(id, disk, fdset);
    } catch (thrown) {
      if (this.#aio !== 'io_uring' || !lacksIoUring(thrown)) throw thrown;
      // Kata's file names it, and neither every QEMU nor every host has it.
      this.#log.warn('disks are read and written by threads instead of io_uring', { reason: reasonOf(thrown) });
      this.#aio = 'threads';
      return await this.#plugDisk(id, disk, fdset);
    }
  }

  #plugDisk(id: string, disk: Disk, fdset: number | undefined): Promise<PciPath> {
    const { block, devices } = this.#config;
    return this.#plugs.plug(
      id,
      {
        add: { command: 'blockdev-add', args: blockNode(disk, this.#aio, block?.cache) },
        remove: { command: 'blockdev-del', args: { 'node-name': disk.node } },
        fdset,
      },
      diskDevice(disk, block, devices?.iommuPlatform ?? false),
    );
  }

  /** With what it may not open, or should not make, handed down. */
  async #spawn(
    devices: DeviceArguments,
    accelerator: Accelerator,
    hugePageKib: number | undefined,
    still: boolean,
  ): Promise<Child> {
    const config = this.#config;
    const { devices: given, held } = this.#user ? await handOver(devices) : { devices, held: [] };
    const own: number[] = [];
    const hand = (fd: number): number => FIRST_DEVICE_FD + given.fds.length + own.push(fd) - 1;
    try {
      const { monitor } = config.devices ?? {};
      const args = qemuArguments(config, given, accelerator, {
        hugePageKib,
        descriptor: config.memory?.hugePages === 'thp' ? hand(native().memoryFile('guest-memory')) : undefined,
        monitor: monitor && hand(native().listenUnix(join(config.directory, MONITOR_SOCKET), 1)),
      });
      if (still) args.push('-S');
      return await Child.spawn(config.qemuPath, args, {
        descriptors: ['pipe', 'pipe', ...given.fds, ...own],
        dropCapabilities: true,
        networkNamespace: config.networkNamespace,
        stderr: this.#stderrLog(),
        user: this.#user,
      });
    } finally {
      for (const fd of own) closeSync(fd);
      for (const each of held) each.close();
    }
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

function howEnded(exit: VmExit): string {
  return exit.signal === null ? `exit code ${exit.code}` : exit.signal;
}
