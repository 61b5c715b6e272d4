/** The real parts of a sandbox: QEMU, the channel to its guest, the share. */
import { chooseTransport } from '../agent/choose.ts';
import type { Configuration } from '../config/configuration.ts';
import { Qemu } from '../hypervisor/qemu/qemu.ts';
import { createNetwork, modelOf } from '../network/create.ts';
import { podNamespace } from '../network/namespace.ts';
import type { Parts } from '../sandbox/parts.ts';
import { privateMounts } from '../storage/mounts.ts';
import { Rootfs } from '../storage/rootfs.ts';
import { TtrpcClient } from '../ttrpc/client.ts';

/** @throws KataError `failed_precondition` when this process shares the host's mount namespace */
export function realParts(configuration: Configuration): Parts {
  privateMounts();
  const rootfs = {
    daemon: configuration.virtiofsd,
    cache: configuration.virtioFsCache,
    extraArgs: configuration.virtioFsExtraArgs,
    disableBlockDeviceUse: !configuration.blockDevices,
  };
  return {
    hypervisor: (config) => new Qemu(config),
    transport: ({ directory }, log) => {
      const guest = configuration.ownGuest ? 'own' : 'kata';
      const { transport, reason } = chooseTransport({ guest, configured: configuration.agentTransport, directory });
      log.info('agent transport', { reason });
      return transport;
    },
    share: (directory, hypervisor, expected) => {
      const share = new Rootfs(directory, rootfs, hypervisor);
      share.expect(expected.rootfs, expected.volumes);
      return share;
    },
    namespace: (entries, directory) => podNamespace(entries, directory),
    network: (namespace, hypervisor, log) => createNetwork(modelOf('tcfilter'), { namespace, hypervisor, log }),
    cgroup: () => undefined,
    client: (socket) => new TtrpcClient(socket),
  };
}
