/** What a sandbox is built from. host/bin/serve.ts brings the real parts, tests bring theirs. */
import type { Socket } from 'node:net';
import type { AgentTransport } from '../agent/transport.ts';
import type { Hypervisor, VmConfig } from '../hypervisor/hypervisor.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { RootfsShare } from '../storage/share.ts';
import type { Client } from '../ttrpc/types.ts';
import type { Log } from './log.ts';

/** A share, and the daemon behind it if it runs: for the state file. */
export interface Share extends RootfsShare {
  readonly daemon?: ProcessIdentity | undefined;
}

export interface Parts {
  hypervisor(config: VmConfig, log: Log): Hypervisor;
  transport(config: VmConfig, log: Log): AgentTransport;
  /** @param mounts of the container that comes first: what they need is got ready beside the boot */
  share(directory: string, hypervisor: Hypervisor, mounts: readonly Mount[], log: Log): Share;
  client(socket: Socket): Client;
}
