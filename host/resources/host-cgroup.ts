/** The seam between a sandbox and the host's cgroups. One implementation per way of managing them. */

/** How much of the node a sandbox may use. */
export interface HostLimits {
  /** CPUs, e.g. 1.5; 0: not limited. */
  readonly cpus: number;
  /** Bytes, the VM and everything around it; 0: not limited. */
  readonly memoryBytes: number;
  /** CPUs as a list, e.g. `0-3,8`; empty: those of the parent; absent: left as they are. */
  readonly cpuset?: string | undefined;
  /** Memory nodes, likewise. */
  readonly memoryNodes?: string | undefined;
}

export interface HostCgroup {
  /**
   * Directories (version 1: one per hierarchy) or units this sandbox has or is about to have, for the state file. Complete
   * after `prepare`; before it without the parents that were missing.
   */
  readonly traces: readonly string[];
  /**
   * Makes the cgroups and moves this process in, so that what it starts is born there.
   * @throws KataError `failed_precondition` naming limit and need where the pod's limit cannot hold the VM, or naming the
   *   directory that cannot be used; `invalid_argument` for a path that is none. Nothing is left behind
   */
  prepare(): Promise<void>;
  /** The same, but done as soon as what this process starts is born there; its other threads may follow later. */
  enter(): Promise<void>;
  /**
   * Moves the VMM's vCPU threads, or what else has to be elsewhere than this process; the VMM runs.
   * @param vcpuThreads their thread ids, where they are known; otherwise threads are told by their names
   */
  placeVmm(pid: number, vcpuThreads?: readonly number[]): Promise<void>;
  /**
   * Limits the sandbox.
   * @throws KataError `failed_precondition` for memory that cannot hold the VM, `invalid_argument` for what is no limit
   */
  update(limits: HostLimits): Promise<void>;
  /** Moves this process out and removes the cgroups. Idempotent. The VMM has ended. */
  remove(): Promise<void>;
}
