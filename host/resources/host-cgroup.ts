/** The seam between a sandbox and the host's cgroups. One implementation per way of managing them. */

/** How much of the node a sandbox may use. */
export interface HostLimits {
  /** CPUs, e.g. 1.5; 0: not limited. */
  readonly cpus: number;
  /** Bytes, the VM and everything around it; 0: not limited. */
  readonly memoryBytes: number;
}

export interface HostCgroup {
  /** Directories (version 1: one per hierarchy) or units this sandbox made, for the state file. */
  readonly traces: readonly string[];
  /**
   * Makes the cgroups and moves this process in, so that what it starts is born there.
   * @throws KataError `failed_precondition` naming limit and need where the pod's limit cannot hold the VM; nothing is
   *   left behind
   */
  prepare(): Promise<void>;
  /** Moves the VMM's vCPU threads, or what else has to be elsewhere than this process; the VMM runs. */
  placeVmm(pid: number): Promise<void>;
  update(limits: HostLimits): Promise<void>;
  /** Moves this process out and removes the cgroups. Idempotent. The VMM has ended. */
  remove(): Promise<void>;
}
