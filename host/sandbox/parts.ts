/** What a sandbox is built from. host/bin/serve.ts brings the real parts, tests bring theirs. */
import type { Socket } from 'node:net';
import type { AgentTransport } from '../agent/transport.ts';
import type { Hypervisor, VmConfig } from '../hypervisor/hypervisor.ts';
import type { RootfsShare } from '../storage/share.ts';
import type { Client } from '../ttrpc/types.ts';
import type { Log } from './log.ts';

export interface Parts {
  hypervisor(config: VmConfig, log: Log): Hypervisor;
  transport(config: VmConfig, log: Log): AgentTransport;
  share(directory: string, hypervisor: Hypervisor, log: Log): RootfsShare;
  client(socket: Socket): Client;
}
