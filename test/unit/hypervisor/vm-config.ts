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
