/** What a sandbox is built from. host/bin/serve.ts brings the real parts, tests bring theirs. */
import type { Socket } from 'node:net';
import type { AgentClient } from '../agent/client.ts';
import type { AgentTransport } from '../agent/transport.ts';
import type { Hypervisor, VmConfig } from '../hypervisor/hypervisor.ts';
import type { ForwardOptions } from '../network/forward.ts';
import type { NamespaceEntry, PodNamespace } from '../network/namespace.ts';
import type { Network } from '../network/network.ts';
import type { ProcessIdentity } from '../process.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Mount as SpecMount } from '../proto/messages/oci.ts';
import type { HostCgroup } from '../resources/host-cgroup.ts';
import type { VcpuPinning } from '../resources/pinning.ts';
import type { RootfsShare } from '../storage/share.ts';
import type { Client } from '../ttrpc/types.ts';
import type { Identity } from './identity.ts';
import type { Log } from './log.ts';
import type { SandboxSpec } from './sandbox-spec.ts';

/** A share, and the daemon behind it if it runs: for the state file. */
export interface Share extends RootfsShare {
  readonly daemon?: ProcessIdentity | undefined;
  /** Settles when that daemon has ended, by itself or in `close`; never where there is none. */
  readonly daemonExited?: Promise<unknown>;
}

/** What the container that comes first will need: it is got ready beside the boot. */
export interface Expected {
  readonly rootfs: readonly Mount[];
  /** Mounts of its spec that bind files of the host. */
  readonly volumes: readonly SpecMount[];
}

export interface ShareOptions {
  /** Of the sandbox. */
  readonly id: string;
  readonly directory: string;
  readonly hypervisor: Hypervisor;
  readonly expected: Expected;
  /** @throws KataError while there is none */
  readonly agent: () => AgentClient;
}

/** Carries connections to the pod's loopback addresses into the guest. */
export interface Forwarder {
  start(): boolean;
  close(): void;
}

export interface CgroupOptions {
  readonly identity: Identity;
  readonly spec: SandboxSpec;
  readonly config: VmConfig;
}

export interface Parts {
  hypervisor(config: VmConfig, log: Log): Hypervisor;
  transport(config: VmConfig, log: Log, hypervisor: Hypervisor): AgentTransport;
  share(options: ShareOptions, log: Log): Share;
  /** @throws KataError where the sandbox is to be in the host's own network namespace */
  namespace(entries: readonly NamespaceEntry[], directory: string): PodNamespace;
  /** Makes the namespace if it is the sandbox's own. @throws KataError */
  network(namespace: PodNamespace, hypervisor: Hypervisor, log: Log, sandboxId: string): Network;
  forwarder(options: ForwardOptions): Forwarder;
  /** @returns undefined where the sandbox stays in the cgroup it was started in */
  cgroup(options: CgroupOptions, log: Log): Promise<HostCgroup | undefined>;
  /** Absent, or undefined: vCPUs run where they may. */
  pinning?(hypervisor: Hypervisor, log: Log): VcpuPinning | undefined;
  client(socket: Socket): Client;
}
