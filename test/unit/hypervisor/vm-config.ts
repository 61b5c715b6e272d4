import type { BlockSettings } from '../../../host/config/block.ts';
import type { MachineDevices } from '../../../host/config/machine-devices.ts';
import type { VmConfig } from '../../../host/hypervisor/hypervisor.ts';

/** A configuration that is complete; tests change what they are about. */
export function vmConfig(changes: Partial<VmConfig> = {}): VmConfig {
  return {
    sandboxId: 'sb',
    directory: '/run/sb',
    qemuPath: '/usr/bin/qemu',
    machineType: 'q35',
    machineAccelerators: '',
    cpuFeatures: '',
    kernel: '/guest/vmlinux',
    initrd: '/guest/initramfs',
    image: undefined,
    kernelParams: '',
    vcpus: 1,
    maxVcpus: 1,
    memoryMib: 256,
    seccompSandbox: '',
    debug: false,
    ...changes,
  };
}

/** Disks of which nothing is configured. */
export const NO_BLOCK: BlockSettings = {
  driver: 'virtio-blk',
  aio: undefined,
  cache: undefined,
  logicalSectorBytes: 0,
  physicalSectorBytes: 0,
  ioThreads: 0,
  queueSize: 0,
  queues: 0,
};

/** Devices of which none is configured. */
export const NO_MORE_DEVICES: MachineDevices = {
  entropySource: undefined,
  vhostNet: true,
  iommu: false,
  iommuPlatform: false,
  monitor: undefined,
  legacySerial: false,
  firmware: undefined,
  pflashes: [],
  dump: undefined,
  verity: undefined,
  rootless: false,
  rootPorts: 0,
  vfioPort: 'no-port',
};
