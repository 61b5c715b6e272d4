/** The checks, in the order they are made and told. */
import { configurationFile } from './configuration.ts';
import { containerd, shimInPath } from './containerd.ts';
import { architecture, kvm, virtualization } from './cpu.ts';
import { kvmDevice, namespaces, network, portForwarding, tun, vhostNet, vhostVsock } from './devices.ts';
import type { Check } from './finding.ts';
import { guestImage, guestKernel } from './guest.ts';
import { cgroups, hugePages, memory, root, runtimeDirectory } from './host.ts';
import { addon, mke2fs, programs, qemu, virtiofsd } from './programs.ts';

export const CHECKS: readonly Check[] = [
  architecture,
  virtualization,
  kvm,
  tun,
  network,
  namespaces,
  root,
  configurationFile,
  programs,
  addon,
  qemu,
  virtiofsd,
  mke2fs,
  guestKernel,
  guestImage,
  kvmDevice,
  vhostVsock,
  vhostNet,
  memory,
  hugePages,
  cgroups,
  runtimeDirectory,
  portForwarding,
  shimInPath,
  containerd,
];
