/** The real parts of a sandbox: QEMU, the channel to its guest, the share. */
import { chooseTransport } from '../agent/choose.ts';
import { RemoteTransport } from '../agent/remote.ts';
import type { Configuration } from '../config/configuration.ts';
import { chooseAccelerator } from '../hypervisor/qemu/accelerator.ts';
import { Qemu } from '../hypervisor/qemu/qemu.ts';
import { Remote } from '../hypervisor/remote/remote.ts';
import { createNetwork } from '../network/create.ts';
import { directNetworkFile } from '../network/dan.ts';
import { PortForwarder } from '../network/forward.ts';
import { podNamespace } from '../network/namespace.ts';
import { chooseHostCgroup } from '../resources/choose-host-cgroup.ts';
import { VcpuPinning } from '../resources/pinning.ts';
import { needOf } from '../resources/sizing.ts';
import type { Parts } from '../sandbox/parts.ts';
import { hostNamespace, privateMounts } from '../storage/mounts.ts';
import { Rootfs } from '../storage/rootfs.ts';
import { TtrpcClient } from '../ttrpc/client.ts';

/** @throws KataError `failed_precondition` when this process shares the host's mount namespace */
export function realParts(configuration: Configuration): Parts {
  privateMounts();
  const rootfs = {
    daemon: configuration.virtiofsd,
    cache: configuration.virtioFsCache,
    extraArgs: configuration.virtioFsExtraArgs,
    queueSize: configuration.virtioFsQueueSize,
    sandboxMounts: configuration.sandboxBindMounts,
    disableBlockDeviceUse: !configuration.blockDevices,
    sharedFs: configuration.sharedFs,
    hostNamespace: hostNamespace(),
    guestEmptyDir: configuration.emptyDirInGuest,
    blockEmptyDir: configuration.emptyDirDisks,
    noDisks: configuration.remote !== undefined,
    forceGuestPull: configuration.forceGuestPull,
  };
  return {
    hypervisor: (config, log) =>
      config.remote ? new Remote(config, config.remote, log) : new Qemu(config, undefined, log),
    transport: ({ directory }, log, hypervisor) => {
      if (hypervisor instanceof Remote) return new RemoteTransport(() => hypervisor.agentSocket);
      const guest = configuration.ownGuest ? 'own' : 'kata';
      const { transport, reason } = chooseTransport({
        guest,
        configured: configuration.agentTransport,
        directory,
        port: configuration.agent.port,
      });
      log.info('agent transport', { reason });
      return transport;
    },
    share: ({ id, directory, hypervisor, expected, agent }, log) => {
      const share = new Rootfs(directory, { ...rootfs, sandboxId: id }, hypervisor, {
        agent,
        warn: (message) => log.warn(message),
      });
      share.expect(expected.rootfs, expected.volumes);
      return share;
    },
    namespace: (entries, directory) => podNamespace(entries, directory, configuration.disableNewNetns),
    network: (namespace, hypervisor, log, sandboxId) => {
      const direct = directNetworkFile(configuration.danConf, sandboxId);
      const options = { namespace, hypervisor, log, wishes: configuration };
      return createNetwork(configuration.networkModel, options, direct);
    },
    forwarder: (options) => new PortForwarder(options),
    cgroup: async ({ identity, spec, config }, log) => {
      // A pod's limits are for its machine, which is elsewhere.
      if (config.remote) return undefined;
      const { accelerator } = await chooseAccelerator(config.qemuPath, config.kernel);
      return chooseHostCgroup({
        cgroupsPath: spec.cgroupsPath,
        sandboxId: identity.id,
        sandboxCgroupOnly: configuration.sandboxCgroupOnly,
        ...needOf(config, accelerator),
        log,
      });
    },
    ...(configuration.pinVcpus && { pinning }),
    client: (socket) => new TtrpcClient(socket),
  };
}

const pinning: NonNullable<Parts['pinning']> = (hypervisor, log) =>
  hypervisor.vcpuThreads && new VcpuPinning({ threads: async () => (await hypervisor.vcpuThreads?.()) ?? [], log });
