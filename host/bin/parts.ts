/** The real parts of a sandbox: QEMU, the channels to its guest, the share. */
import type { AgentTransport } from '../agent/transport.ts';
import { VirtioSerialTransport } from '../agent/virtio-serial.ts';
import type { Configuration } from '../config/configuration.ts';
import { KataError } from '../error.ts';
import type { VmConfig } from '../hypervisor/hypervisor.ts';
import { Qemu } from '../hypervisor/qemu/qemu.ts';
import type { Parts } from '../sandbox/parts.ts';
import { TtrpcClient } from '../ttrpc/client.ts';

export function realParts(configuration: Configuration): Parts {
  return {
    hypervisor: (config) => new Qemu(config),
    transport: (config) => transport(config, configuration),
    share: () => {
      throw new KataError('unimplemented', 'no share');
    },
    client: (socket) => new TtrpcClient(socket),
  };
}

function transport(config: VmConfig, _configuration: Configuration): AgentTransport {
  return new VirtioSerialTransport(config.directory);
}
