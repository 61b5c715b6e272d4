/** A virtual machine of our default guest, as this machine's processor has it. */
import { join } from 'node:path';
import type { VmConfig } from '../../host/hypervisor/hypervisor.ts';
import { BUILD } from '../../setup/paths.ts';

const ARM64 = process.arch === 'arm64';
const GUEST = join(BUILD, 'share', 'guest', ARM64 ? 'arm64' : 'amd64');
/** The default guest's file system. */
export const INITRD = join(GUEST, 'initramfs.cpio.gz');

/** A configuration that is complete; tests change what they are about. */
export function guestVm(sandboxId: string, directory: string, changes: Partial<VmConfig> = {}): VmConfig {
  return {
    sandboxId,
    directory,
    qemuPath: ARM64 ? '/usr/bin/qemu-system-aarch64' : '/usr/bin/qemu-system-x86_64',
    machineType: ARM64 ? 'virt' : 'q35',
    machineAccelerators: '',
    cpuFeatures: '',
    kernel: join(GUEST, ARM64 ? 'Image' : 'vmlinux'),
    initrd: INITRD,
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
