/**
 * Whose pid namespace a container joins when the host asks for sharing. The host cannot say more than that: all it knows of
 * any container is one pid of its own. So the pod's first containers tell what kind of pod it is:
 *
 * - The first besides the pause container shares: the pod shares (`shareProcessNamespace`), and all join the pause
 *   container's namespace, or the sandbox's own where there is no pause container.
 * - It does not: the pod does not share, and one that asks for it later is there to look at another (an ephemeral debug
 *   container): it joins the oldest that runs.
 */
import type { Spec } from '../../host/proto/messages/oci.ts';
import type { Container } from './container.ts';

/** Set by the host. */
const CONTAINER_TYPE = 'io.katacontainers.pkg.oci.container_type';
const PAUSE = 'pod_sandbox';

export class PodPids {
  /** Undefined until the first container tells. */
  private shared: boolean | undefined;

  /** The pod shares, whatever its containers say. */
  share(): void {
    this.shared = true;
  }

  clear(): void {
    this.shared = undefined;
  }

  /**
   * @param sharePid whether the host asks for it
   * @param containers in order of their creation
   * @returns pid of the one to join; undefined: the sandbox's own namespace, if it is to share
   */
  ownerFor(spec: Spec, sharePid: boolean, containers: readonly Container[]): number | undefined {
    if (isPause(spec)) return undefined;
    this.shared ??= sharePid;
    if (!sharePid) return undefined;
    const alive = containers.filter((each) => each.ownsPids && each.init && each.init.status === undefined);
    const pause = alive.find((each) => isPause(each.spec));
    const target = this.shared ? pause : alive.find((each) => each !== pause);
    return (target ?? pause)?.init?.pid;
  }
}

/** Whether a container is a pod's pause container. */
export function isPause(spec: Spec): boolean {
  return spec.Annotations[CONTAINER_TYPE] === PAUSE;
}
