/** QEMU's arguments as a function of what the VM is made of. Nothing in it depends on a pod but names, sizes and the guest. */
import type { DeviceArguments } from '../../agent/transport.ts';
import { KataError } from '../../error.ts';
import type { Accelerator, PciPath, VmConfig } from '../hypervisor.ts';
import { memoryBackend, type Pages } from './backing.ts';
import {
  configuredDevices,
  deviceParams,
  escapeCommas,
  firstDevices,
  machineOptions,
  verityParams,
} from './devices.ts';

export { escapeCommas } from './devices.ts';

/** Descriptors QEMU inherits: its control channel, its console, then the devices' own. */
export const QMP_FD = 3;
export const CONSOLE_FD = 4;
export const FIRST_DEVICE_FD = 5;

/** Devices that can be plugged into a q35: slots 1 to 31 of one bridge. It costs 10 ms of boot, eight root ports 130. */
export const BRIDGE_SLOTS = 31;
/** Devices that can be plugged into a virt, which knows PCI Express hot-plug only: one a root port. */
export const ROOT_PORTS = 8;
/** PCI slot of the bridge or the first root port on the root bus; those below are left to devices present at boot. */
export const FIRST_HOTPLUG_SLOT = 0x10;

/** Code that an emulator has translated is kept up to here, MiB; what a sandbox needs of memory counts on it. */
export const TRANSLATION_CACHE_MIB = 128;

/** No legacy calls, no children, no change of priority or privilege; see `-sandbox` in qemu(1). */
const DEFAULT_SECCOMP = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

interface Machine {
  /** Properties of -machine, without accelerator and memory. */
  readonly properties: (accelerator: Accelerator) => string;
  readonly cpu: (accelerator: Accelerator) => string;
  readonly serialConsole: string;
  readonly kernelParams: string;
  readonly hotplug: 'bridge' | 'ports' | 'none';
}

/**
 * `cryptomgr.notests` alone saves 0.3 s of boot without KVM. `panic=-1` with -no-reboot: a panic ends QEMU.
 * `swiotlb=noforce`: no bounce buffers, 64 MiB of guest memory.
 */
const COMMON_PARAMS = 'panic=-1 cryptomgr.notests lsm= swiotlb=noforce random.trust_cpu=on net.ifnames=0';

const X86 = {
  // Without the fast string operations: under emulation the kernel's `rep movsb` goes byte by byte.
  cpu: (accelerator: Accelerator) => (accelerator === 'kvm' ? 'host' : 'max,-erms,-fsrm'),
  serialConsole: 'ttyS0',
  // `reboot=t`: by triple fault, since nothing else of a PC's reset hardware need be there.
  // `no_timer_check`: the check counts ticks against loops, and panics ("IO-APIC + timer doesn't work") where a busy host
  // delays QEMU's timer.
  kernelParams: `reboot=t noreplace-smp no_timer_check ${COMMON_PARAMS}`,
};

const MACHINES: Readonly<Record<string, Machine>> = {
  q35: { ...X86, properties: () => 'q35,vmport=off,smbus=off,sata=off', hotplug: 'bridge' },
  microvm: { ...X86, properties: () => 'microvm,acpi=on,pcie=on,rtc=on,isa-serial=on', hotplug: 'none' },
  virt: {
    properties: (accelerator) => `virt,gic-version=${accelerator === 'kvm' ? 'host' : '3'}`,
    // cortex-a57: `max` without KVM computes pointer authentication in software and boots five times slower.
    cpu: (accelerator) => (accelerator === 'kvm' ? 'host' : 'cortex-a57'),
    serialConsole: 'ttyAMA0',
    kernelParams: `iommu.passthrough=0 ${COMMON_PARAMS}`,
    hotplug: 'ports',
  },
};

/** What QEMU is handed besides its devices' descriptors, by the numbers it sees. */
export interface Given extends Pages {
  /** The socket on which a second monitor listens. */
  readonly monitor?: number | undefined;
}

/** A place for one device in a running machine. */
export interface HotplugSlot {
  /** QEMU's `bus` and `addr` of the device. */
  readonly bus: string;
  readonly addr: string;
  /** The same place as the guest sees it. */
  readonly path: PciPath;
}

/**
 * The places of a machine type, in the order of their use; none for an unknown type.
 * @param rootPorts least number, where they are root ports
 */
export function hotplugSlots(machineType: string, rootPorts = 0): HotplugSlot[] {
  switch (Object.hasOwn(MACHINES, machineType) ? MACHINES[machineType]?.hotplug : 'none') {
    case 'bridge':
      return Array.from({ length: BRIDGE_SLOTS }, (_, index) => ({
        bus: 'hotplug',
        addr: `0x${(index + 1).toString(16)}`,
        path: `${hex(FIRST_HOTPLUG_SLOT)}/${hex(index + 1)}`,
      }));
    case 'ports':
      return Array.from({ length: Math.max(ROOT_PORTS, rootPorts) }, (_, index) => ({
        bus: `rp${index}`,
        addr: '0x0',
        path: `${hex(FIRST_HOTPLUG_SLOT + index)}/00`,
      }));
    default:
      return [];
  }
}

/**
 * The whole command line but the program.
 * @param devices of the agent's transport; `{{fd<n>}}` in them becomes the number QEMU sees
 * @param given what the memory is made of, and other descriptors
 * @throws KataError `failed_precondition` for a machine type that is unknown or needs KVM
 */
export function qemuArguments(
  config: VmConfig,
  devices: DeviceArguments,
  accelerator: Accelerator,
  given: Given = {},
): string[] {
  const machine = machineOf(config, accelerator);
  return [
    // Threads have names of their own: those that run vCPUs are told apart by them.
    ...['-name', `sandbox-${escapeCommas(config.sandboxId)},debug-threads=on`],
    ...['-machine', machineProperties(config, machine, accelerator)],
    ...['-accel', accelerator === 'tcg' ? `tcg,tb-size=${TRANSLATION_CACHE_MIB}` : accelerator],
    ...['-cpu', join([machine.cpu(accelerator), config.cpuFeatures])],
    // Present from the start but asleep in the guest (maxcpus=): waking one needs no hot-plug, which TCG cannot undo.
    ...['-smp', `${Math.max(config.vcpus, config.maxVcpus)}`],
    ...['-m', `size=${config.memoryMib}M`],
    ...['-object', memoryBackend(config.memoryMib, config.memory, given)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-rtc', 'base=utc,clock=host'],
    ...['-sandbox', config.seccompSandbox || DEFAULT_SECCOMP],
    ...['-chardev', `socket,id=qmp,fd=${QMP_FD}`, '-mon', 'chardev=qmp,mode=control'],
    // What a guest does that no device allows goes to QEMU's stderr.
    ...(config.debug ? ['-d', 'guest_errors'] : []),
    ...firstDevices(config),
    ...consoleArguments(config),
    ...guestArguments(config),
    ...['-append', kernelCommandLine(config, accelerator)],
    ...hotplugArguments(machine, config.devices?.rootPorts),
    ...configuredDevices(config, isKata(config), given.monitor),
    ...devices.arguments.map((argument) => placeDescriptors(argument, devices.fds.length)),
  ];
}

/** The guest kernel's command line. */
export function kernelCommandLine(config: VmConfig, accelerator: Accelerator): string {
  const machine = machineOf(config, accelerator);
  const asleep = config.maxVcpus > config.vcpus;
  return [
    `console=${machine.serialConsole}`,
    ...(isKata(config) && !config.devices?.legacySerial ? ['console=hvc0'] : []),
    config.debug ? 'debug' : 'quiet loglevel=1',
    machine.kernelParams,
    ...(asleep ? [`maxcpus=${config.vcpus}`] : []),
    ...(config.image === undefined ? [] : imageParams(config)),
    deviceParams(config),
    config.kernelParams,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function machineOf(config: VmConfig, accelerator: Accelerator): Machine {
  const machine = Object.hasOwn(MACHINES, config.machineType) ? MACHINES[config.machineType] : undefined;
  if (!machine) {
    throw new KataError(
      'failed_precondition',
      `hypervisor.qemu.machine_type: "${config.machineType}" is not supported; use ${Object.keys(MACHINES).join(', ')}`,
    );
  }
  if (config.machineType === 'microvm' && accelerator === 'tcg') {
    // It has no timer against which the kernel can calibrate, and hangs in every fourth boot or so.
    throw new KataError(
      'failed_precondition',
      'hypervisor.qemu.machine_type: "microvm" needs KVM, which does not work here; use q35',
    );
  }
  return machine;
}

function isKata(config: VmConfig): boolean {
  return (config.guest ?? (config.image === undefined ? 'own' : 'kata')) === 'kata';
}

function machineProperties(config: VmConfig, machine: Machine, accelerator: Accelerator): string {
  // Kata's file for arm64 names the interrupt controller of KVM.
  const words = config.machineAccelerators.split(',');
  const configured = words.filter((word) => accelerator === 'kvm' || word !== 'gic-version=host').join(',');
  return join([machine.properties(accelerator), 'memory-backend=mem', ...machineOptions(config), configured]);
}

function consoleArguments(config: VmConfig): string[] {
  const socket = `socket,id=console,fd=${CONSOLE_FD}`;
  if (!isKata(config) || config.devices?.legacySerial) return ['-chardev', socket, '-serial', 'chardev:console'];
  // Kata's kernels speak on hvc0; panics before it is there come over the serial line.
  return [
    ...['-chardev', `${socket},mux=on`, '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci,id=console-bus,disable-legacy=on'],
    ...['-device', 'virtconsole,bus=console-bus.0,chardev=console'],
  ];
}

function guestArguments(config: VmConfig): string[] {
  const kernel = ['-kernel', config.kernel];
  if (config.initrd !== undefined) return [...kernel, '-initrd', config.initrd];
  if (config.image === undefined) return kernel;
  // Read-only virtio-blk, never pmem: a guest could write an image it has mapped.
  const image = {
    driver: 'raw',
    'node-name': 'image',
    'read-only': true,
    file: { driver: 'file', filename: config.image, 'read-only': true },
  };
  return [
    ...kernel,
    ...['-blockdev', JSON.stringify(image)],
    ...['-device', 'virtio-blk-pci,drive=image,id=image0,serial=image,share-rw=on,disable-legacy=on'],
  ];
}

function imageParams(config: VmConfig): string[] {
  const fstype = config.rootfsType ?? 'ext4';
  const flags = fstype === 'ext4' ? 'rootflags=data=ordered,errors=remount-ro ' : '';
  return [
    `${verityParams(config) ?? 'root=/dev/vda1'} ${flags}ro rootfstype=${fstype}`,
    'systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service systemd.mask=systemd-networkd.socket',
    'scsi_mod.scan=none',
  ];
}

function hotplugArguments(machine: Machine, rootPorts = 0): string[] {
  if (machine.hotplug === 'none') return [];
  // Without its own controller (shpc) devices come and go by ACPI, which guests serve at once. The windows are for
  // the registers of devices to come: without them a guest has no room to map them.
  if (machine.hotplug === 'bridge') {
    return [
      '-device',
      `pci-bridge,id=hotplug,bus=pcie.0,addr=0x${hex(FIRST_HOTPLUG_SLOT)},chassis_nr=1,shpc=off,io-reserve=4k,mem-reserve=1m,pref64-reserve=4m`,
    ];
  }
  return Array.from({ length: Math.max(ROOT_PORTS, rootPorts) }, (_, index) => [
    '-device',
    `pcie-root-port,id=rp${index},bus=pcie.0,addr=0x${hex(FIRST_HOTPLUG_SLOT + index)},chassis=${index + 1},slot=${index + 1}`,
  ]).flat();
}

function hex(slot: number): string {
  return slot.toString(16).padStart(2, '0');
}

function placeDescriptors(argument: string, count: number): string {
  return argument.replace(/\{\{fd(\d+)\}\}/g, (_, digits: string) => {
    const index = Number(digits);
    if (index >= count)
      throw new KataError('internal', `device argument ${argument} names a descriptor that is not given`);
    return `${FIRST_DEVICE_FD + index}`;
  });
}

function join(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(',');
}
