/** Configuration files with the keys and values that Kata 4.1 ships for QEMU, made from the schema: no text of Kata's. */
import { SCHEMA } from '../../../host/config/schema/schema.ts';

export type Runtime = 'go' | 'rs';
export type Cpu = 'x64' | 'arm64';

/** What the files for arm64 have otherwise. */
const ARM64: Readonly<Record<string, string>> = {
  'hypervisor.qemu.path': '"/usr/bin/qemu-system-aarch64"',
  'hypervisor.qemu.valid_hypervisor_paths': '["/usr/bin/qemu-system-aarch64"]',
  'hypervisor.qemu.machine_type': '"virt"',
  'hypervisor.qemu.firmware': '"/usr/share/aavmf/AAVMF_CODE.fd"',
};
const ARM64_GO: Readonly<Record<string, string>> = {
  ...ARM64,
  'hypervisor.qemu.firmware_volume': '"/usr/share/aavmf/AAVMF_VARS.fd"',
  'runtime.static_sandbox_resource_mgmt': 'true',
};
const ARM64_RS: Readonly<Record<string, string>> = {
  ...ARM64,
  'hypervisor.qemu.machine_accelerators': '"usb=off,gic-version=host"',
  'hypervisor.qemu.vm_rootfs_driver': '"virtio-blk-pci"',
};

/**
 * @param changes values by full name, in place of those shipped; `undefined` leaves the key out
 * @returns TOML text
 */
export function kataFile(
  runtime: Runtime,
  cpu: Cpu,
  changes: Readonly<Record<string, string | undefined>> = {},
): string {
  const cpuValues = cpu === 'x64' ? {} : runtime === 'go' ? ARM64_GO : ARM64_RS;
  const lines: string[] = [];
  for (const [table, keys] of Object.entries(SCHEMA)) {
    const shipped = Object.entries(keys).flatMap(([name, key]) => {
      const full = `${table}.${name}`;
      const value =
        full in changes ? changes[full] : key[runtime] === undefined ? undefined : (cpuValues[full] ?? key[runtime]);
      return value === undefined ? [] : [`${name} = ${value}`];
    });
    if (shipped.length > 0) lines.push(`[${table}]`, ...shipped, '');
  }
  return lines.join('\n');
}
