/**
 * Cgroups where systemd looks after them: the sandbox is a transient scope in the slice that `linux.cgroupsPath` names,
 * delegated to us. systemd puts this process into it; the hierarchies it does not manage are joined as directories.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { KataError, reasonOf } from '../error.ts';
import type { CgroupDirectories } from './cgroup-directories.ts';
import type { CgroupHost } from './cgroup-host.ts';
import type { CgroupPlace } from './cgroup-path.ts';
import type { HostCgroup, HostLimits } from './host-cgroup.ts';

/** How long systemd may take to have moved this process, ms. */
export const SCOPE_WAIT_MS = 5000;
const POLL_MS = 5;
/** Before a unit's name among the traces. systemd ends a scope by itself when its last process has. */
export const UNIT_TRACE = 'unit:';

/** The place of a scope, for the directories that belong to it. */
export function scopePlace(place: CgroupPlace, unit: NonNullable<CgroupPlace['unit']>): CgroupPlace {
  return { ...place, sandbox: `${unit.sliceDirectory}/${unit.scope}` };
}

export class SystemdScope implements HostCgroup {
  constructor(
    private readonly unit: NonNullable<CgroupPlace['unit']>,
    private readonly sandboxId: string,
    private readonly host: CgroupHost,
    /** At `scopePlace`. */
    private readonly directories: CgroupDirectories,
  ) {}

  get traces(): readonly string[] {
    return [`${UNIT_TRACE}${this.unit.scope}`, ...this.directories.traces];
  }

  async prepare(): Promise<void> {
    await this.directories.checkLimit();
    await this.start();
    try {
      await this.directories.prepare();
    } catch (thrown) {
      await this.directories.remove();
      throw thrown;
    }
  }

  /** systemd moves whole processes. */
  enter(): Promise<void> {
    return this.prepare();
  }

  placeVmm(pid: number, vcpuThreads?: readonly number[]): Promise<void> {
    return this.directories.placeVmm(pid, vcpuThreads);
  }

  update(limits: HostLimits): Promise<void> {
    return this.directories.update(limits);
  }

  remove(): Promise<void> {
    return this.directories.remove();
  }

  private async start(): Promise<void> {
    const { scope } = this.unit;
    const argv = scopeArguments(this.unit, this.sandboxId, this.host.pid);
    try {
      await this.host.callSystemd('StartTransientUnit', ...argv).catch(async () => {
        // A scope of this name may have failed earlier, and then is in the way until it is forgotten.
        await this.host.callSystemd('ResetFailedUnit', 's', scope).catch(() => {});
        await this.host.callSystemd('StartTransientUnit', ...argv);
      });
      await this.moved();
    } catch (thrown) {
      throw new KataError('failed_precondition', `systemd does not start ${scope}: ${reasonOf(thrown)}`, {
        cause: thrown,
      });
    }
  }

  /** The call returns when the job is queued, not when it is done. */
  private async moved(): Promise<void> {
    const end = performance.now() + SCOPE_WAIT_MS;
    const path = `${this.unit.sliceDirectory}/${this.unit.scope}`;
    const systemds = this.host.hierarchies.find(
      ({ version, controllers }) => version === 2 || controllers.includes('name=systemd'),
    );
    if (!systemds) throw new Error('its hierarchy is not mounted');
    for (;;) {
      const members = await this.host.files.read(`${systemds.point}${path}/cgroup.procs`).catch(() => '');
      if (members.split('\n').includes(`${this.host.pid}`)) return;
      if (performance.now() >= end) throw new Error(`the shim was not moved within ${SCOPE_WAIT_MS / 1000} s`);
      await sleep(POLL_MS);
    }
  }
}

/** Signature and values of StartTransientUnit, as busctl takes them: name, mode, properties, auxiliary units. */
export function scopeArguments(
  { slice, scope }: NonNullable<CgroupPlace['unit']>,
  sandboxId: string,
  pid: number,
): string[] {
  const properties = [
    ['Description', 's', `virtual machine of sandbox ${sandboxId}`],
    ['Slice', 's', slice],
    ['PIDs', 'au', '1', `${pid}`],
    ['Delegate', 'b', 'true'],
    ['DefaultDependencies', 'b', 'false'],
    ['CollectMode', 's', 'inactive-or-failed'],
    ['CPUAccounting', 'b', 'true'],
    ['MemoryAccounting', 'b', 'true'],
    ['TasksAccounting', 'b', 'true'],
  ];
  return ['ssa(sv)a(sa(sv))', scope, 'fail', `${properties.length}`, ...properties.flat(), '0'];
}
