/** A machine without cgroups that we could use: nothing is limited, nothing is left behind. */
import type { HostCgroup } from './host-cgroup.ts';

export class NoCgroup implements HostCgroup {
  readonly traces: readonly string[] = [];

  async prepare(): Promise<void> {}

  async enter(): Promise<void> {}
  async placeVmm(): Promise<void> {}
  async update(): Promise<void> {}
  async remove(): Promise<void> {}
}
