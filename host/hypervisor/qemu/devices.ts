/** Devices that a configuration adds to a machine. A default one has none of them. */
import type { MachineDevices } from '../../config/machine-devices.ts';
import { KataError } from '../../error.ts';
import type { VmConfig } from '../hypervisor.ts';

/** A machine's second monitor, and its copy of the firmware's variables, in the sandbox's directory. */
export const MONITOR_SOCKET = 'extra-monitor.sock';
export const VARIABLES_FILE = 'firmware-variables.fd';
/** Bytes of a sector of dm tables. */
const SECTOR_BYTES = 512;
const DEFAULT_ENTROPY = '/dev/urandom';

/** QEMU splits option values at commas; a doubled one stands for itself. */
export function escapeCommas(value: string): string {
  return value.replaceAll(',', ',,');
}

/**
 * What has to stand before all other devices: those that come after the IOMMU are behind it.
 * @throws KataError `failed_precondition` for what a machine cannot have
 */
export function firstDevices({ machineType, devices }: VmConfig): string[] {
  if (devices && devices.vfioPort !== 'no-port') {
    throw new KataError(
      'failed_precondition',
      `hypervisor.qemu.cold_plug_vfio or hot_plug_vfio is "${devices.vfioPort}", but devices of the host are not passed through; set both to "no-port"`,
    );
  }
  if (!devices?.iommu) return [];
  if (machineType !== 'q35') {
    throw new KataError(
      'failed_precondition',
      `hypervisor.qemu.enable_iommu: a ${machineType} has no IOMMU; set it to false, or use q35`,
    );
  }
  return ['-device', 'intel-iommu,intremap=on,device-iotlb=on,caching-mode=on'];
}

/** Options of `-machine`, after the machine's own. */
export function machineOptions({ devices }: VmConfig): string[] {
  return [
    // Interrupts are remapped by the IOMMU, which KVM's own controller would go round.
    ...(devices?.iommu ? ['kernel_irqchip=split'] : []),
    ...(devices?.pflashes ?? []).map((_, index) => `pflash${index}=pflash${index}`),
  ];
}

/**
 * Firmware, random numbers, balloon, iothreads, panic notifier, second monitor.
 * @param monitor QEMU's number of the socket on which the second monitor listens
 */
export function configuredDevices(config: VmConfig, kata: boolean, monitor?: number): string[] {
  const { devices, memory, block, directory } = config;
  return [
    ...firmwareArguments(devices, directory),
    ...Array.from({ length: block?.ioThreads ?? 0 }, (_, index) => [
      '-object',
      `iothread,id=${ioThread(index)}`,
    ]).flat(),
    ...entropyArguments(devices, kata),
    // The guest tells which pages are free, and QEMU gives them back.
    ...(memory?.reclaim ? ['-device', 'virtio-balloon-pci,id=balloon,free-page-reporting=on,disable-legacy=on'] : []),
    ...dumpArguments(config, kata),
    ...monitorArguments(devices, monitor),
  ];
}

/** Parameters of the guest's kernel for these devices. */
export function deviceParams({ devices }: VmConfig): string {
  return devices?.iommu ? 'intel_iommu=on iommu=pt' : '';
}

/** Kernel parameters for a root file system that is checked block by block. */
export function verityParams({ devices }: VmConfig): string | undefined {
  const verity = devices?.verity;
  if (!verity) return undefined;
  const { rootHash, salt, dataBlocks, dataBlockSize, hashBlockSize } = verity;
  const sectors = (dataBlocks * dataBlockSize) / SECTOR_BYTES;
  const target = `verity 1 /dev/vda1 /dev/vda2 ${dataBlockSize} ${hashBlockSize} ${dataBlocks} 0 sha256 ${rootHash} ${salt}`;
  return `dm-mod.create="dm-verity,,,ro,0 ${sectors} ${target}" root=/dev/dm-0`;
}

/** Name of an iothread. */
export function ioThread(index: number): string {
  return `iothread-${index}`;
}

function firmwareArguments(devices: MachineDevices | undefined, directory: string): string[] {
  if (devices?.firmware !== undefined) return ['-bios', devices.firmware];
  return (devices?.pflashes ?? []).flatMap((path, index) => {
    // The firmware is everybody's; its variables are this machine's.
    const readOnly = index === 0;
    const filename = readOnly ? path : `${directory}/${VARIABLES_FILE}`;
    const file = { driver: 'file', filename, 'read-only': readOnly };
    const node = { driver: 'raw', 'node-name': `pflash${index}`, 'read-only': readOnly, file };
    return ['-blockdev', JSON.stringify(node)];
  });
}

function entropyArguments(devices: MachineDevices | undefined, kata: boolean): string[] {
  const source = devices?.entropySource ?? (kata ? DEFAULT_ENTROPY : undefined);
  if (source === undefined) return [];
  return [
    ...['-object', `rng-random,id=rng0,filename=${escapeCommas(source)}`],
    ...['-device', 'virtio-rng-pci,rng=rng0,disable-legacy=on'],
  ];
}

/** The machine stands still where it panicked, or wanted to restart because of it, instead of ending. */
function dumpArguments({ devices, machineType }: VmConfig, kata: boolean): string[] {
  if (!devices?.dump) return [];
  const notifier =
    kata && machineType !== 'microvm' ? ['-device', machineType === 'q35' ? 'pvpanic' : 'pvpanic-pci'] : [];
  return [...notifier, '-action', 'panic=pause,reboot=shutdown,shutdown=pause'];
}

function monitorArguments(devices: MachineDevices | undefined, descriptor: number | undefined): string[] {
  if (devices?.monitor === undefined || descriptor === undefined) return [];
  const mode = { hmp: 'mode=readline', qmp: 'mode=control', 'qmp-pretty': 'mode=control,pretty=on' }[devices.monitor];
  return [
    ...['-chardev', `socket,id=extra-monitor,fd=${descriptor},server=on,wait=off`],
    ...['-mon', `chardev=extra-monitor,${mode}`],
  ];
}
