/** What a shared volume cannot do as it is: tell of changes by inotify, connect two kernels. */
import { readdir } from 'node:fs/promises';
import type { Mount } from '../proto/messages/oci.ts';
import { bindOptions } from './bind-volume.ts';
import type { VolumeSource } from './volume-source.ts';

/** kubelet's directories of volumes whose changes programs wait for by inotify, which virtio-fs does not pass on. */
const WATCHABLE_VOLUMES = ['kubernetes.io~configmap', 'kubernetes.io~secret'];
/** Most files of a volume that is watched: the agent copies it. */
export const MAX_WATCHABLE_FILES = 8;

/** Whether the guest shall keep a copy in step with a volume instead of using it. */
export async function isWatchable(mount: Mount, source: VolumeSource): Promise<boolean> {
  if (source.kind !== 'directory' || !WATCHABLE_VOLUMES.some((name) => mount.source.includes(`/${name}/`)))
    return false;
  const files = (await readdir(source.path)).filter((name) => !name.startsWith('..'));
  return files.length > 0 && files.length <= MAX_WATCHABLE_FILES;
}

/** What the container may miss, a line each. */
export function warningsOf({ source, destination, options }: Mount, { kind }: VolumeSource): string[] {
  const what = `mount ${destination} of ${source}`;
  const warnings: string[] = [];
  if (kind === 'socket' || kind === 'fifo') warnings.push(`${what}: a ${kind} connects nobody across two kernels`);
  if (kind === 'char') warnings.push(`${what}: a device node outside /dev cannot be opened in the guest`);
  if (bindOptions(options).bidirectional) {
    warnings.push(`${what}: what the container mounts there does not reach the host (Bidirectional, rshared)`);
  }
  return warnings;
}
