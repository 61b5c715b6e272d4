/** Puts a container into the guest: its files, its spec, and the whole way back. */
import { reasonOf } from '../error.ts';
import { rewriteSpec, sharedMounts } from '../oci/rewrite.ts';
import type { SharedMount } from '../proto/messages/agent.ts';
import type { RootfsShare } from '../storage/share.ts';
import { addVolumes } from '../storage/volumes.ts';
import type { Container } from './container.ts';
import { isGone } from './kill.ts';
import type { Log } from './log.ts';
import type { PodFiles } from './pod-files.ts';
import type { ContainerSpec } from './spec.ts';
import { terminationFile } from './termination.ts';
import type { Timeline } from './timeline.ts';
import type { Vm } from './vm.ts';

/** Before those about a single container. */
const SWAP_ANNOTATIONS = 'io.katacontainers.container.resource.';
/** Annotations by which containerd's CRI and CRI-O name a container. */
const NAMES = ['io.kubernetes.cri.container-name', 'io.kubernetes.container.name'];

export interface GuestContainerOptions {
  readonly vm: Vm;
  readonly log: Log;
  readonly createContainerTimeoutMs: number;
  readonly disableGuestSeccomp: boolean;
  /** Size of the sandbox's /dev/shm, bytes; 0: it has none. */
  readonly shmBytes: number;
  /** undefined: containerd has made the files that every container of a pod gets. */
  readonly podFiles: PodFiles | undefined;
  /** Sysctls that no container of the pod has set yet. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Of all containers of the pod. */
  readonly sharedMounts: readonly SharedMount[];
}

/** @throws KataError what fails; `removeFromVm` undoes what was done until then */
export async function createInGuest(
  { vm, log, podFiles, ...options }: GuestContainerOptions,
  container: Container,
  spec: ContainerSpec,
  timeline: Timeline,
): Promise<void> {
  const { id, bundle } = container;
  container.hasFiles = true;
  const rootfs = await vm.share.addRootfs(id, container.rootfs, spec.rootPath, spec.view);
  const view = podFiles?.complete(spec.view) ?? spec.view;
  const volumes = await addVolumes(withPodFiles(vm.share, podFiles), id, sharedMounts(view), {
    encoded: spec.encoded,
    devices: view.devices,
  });
  container.hasDisks = [...rootfs.storages, ...volumes.storages].some(({ driver }) => driver === 'blk');
  const guest = rewriteSpec(spec.encoded, view, {
    rootPath: rootfs.path,
    bundle,
    disableGuestSeccomp: options.disableGuestSeccomp,
    shmBytes: options.shmBytes,
    sysctls: options.sysctls,
    mounts: volumes.mounts,
    blockDevices: volumes.blockDevices,
  });
  container.terminationFile = vm.share.copies ? terminationFile(view) : undefined;
  for (const line of [...guest.omitted, ...volumes.warnings, ...unheard(container)]) {
    log.warn('the container may miss something', { container: id, what: line });
  }
  container.inGuest = true;
  timeline.mark('container_create');
  await vm.agent.createContainer(
    {
      container_id: id,
      exec_id: id,
      storages: [...rootfs.storages, ...volumes.storages],
      devices: [...volumes.devices],
      OCI: guest.spec,
      sandbox_pidns: guest.sandboxPidns,
      shared_mounts: options.sharedMounts.filter(({ dst_ctr }) => dst_ctr === nameOf(container)),
    },
    options.createContainerTimeoutMs,
  );
}

/** What Kata would do about a container's swap; our guests have none. */
function unheard({ annotations }: Container): string[] {
  const names = Object.keys(annotations).filter((name) => name.startsWith(SWAP_ANNOTATIONS));
  return names.slice(0, 2).map((name) => `annotation ${JSON.stringify(name.slice(0, 80))}: a guest has no swap device`);
}

/** As the pod calls it; undefined: it has no name. */
function nameOf({ annotations }: Container): string | undefined {
  return NAMES.map((name) => annotations[name]).find((name) => name !== undefined);
}

function withPodFiles(
  share: RootfsShare,
  podFiles: PodFiles | undefined,
): Pick<RootfsShare, 'addVolume' | 'addBlockDevice'> {
  return {
    addVolume: (id, mount, spec) => share.addVolume(id, podFiles?.locate(mount) ?? mount, spec),
    addBlockDevice: async (id, request) => share.addBlockDevice?.(id, request),
  };
}

/** Undoes `createInGuest`, however far it came. Idempotent; works with a dead VM. */
export async function removeFromVm(vm: Vm, container: Container, log: Log): Promise<void> {
  const agent = vm.liveAgent;
  if (container.inGuest && agent && !container.ownsSandbox) {
    await agent.removeContainer(container.id).catch((thrown) => {
      if (!isGone(thrown))
        log.warn('the guest did not remove a container', { container: container.id, error: reasonOf(thrown) });
    });
  }
  container.inGuest = false;
  if (container.hasFiles) await vm.share.removeRootfs(container.id);
  container.hasFiles = false;
}
