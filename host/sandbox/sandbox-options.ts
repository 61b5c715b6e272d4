/** What a sandbox is made with, and whom it tells. */
import type { SharedMount } from '../proto/messages/agent.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Container } from './container.ts';
import type { GuestProcess, StreamPaths } from './process.ts';
import type { ContainerSpec } from './spec.ts';
import type { VmOptions } from './vm.ts';

/** Told what happens by itself. */
export interface Observer {
  /** A process has ended, after its output was written and its start was reported. */
  exited(container: Container, execId: string, process: GuestProcess): void;
  oom(containerId: string): void;
}

export interface SandboxOptions extends VmOptions {
  readonly observer: Observer;
  /** Whether containerd is there. */
  readonly attended: () => boolean;
  readonly createContainerTimeoutMs: number;
  readonly disableGuestSeccomp: boolean;
  readonly guestHookPath: string;
  readonly kernelModules: readonly string[];
  /** Directories of one container that another sees, which Kata's agent mounts. */
  readonly sharedMounts: readonly SharedMount[];
  /** Text that the agent's policy engine is given before anything else; empty: none. */
  readonly policy: string;
  /** Reads of one stream in flight: more than one only where the agent keeps their order. */
  readonly readsInFlight: number;
  /** Whether the agent does what it is asked in the order it is asked. */
  readonly inOrder: boolean;
  /** One of OOM_GRACE_MS. */
  readonly oomGraceMs: number;
}

/** What Create brings. */
export interface CreateOptions {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: readonly Mount[];
  readonly streams: StreamPaths;
  readonly spec: ContainerSpec;
}
