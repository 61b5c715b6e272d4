/** A direct-assigned volume and the sandbox that has it. */
import { KataError } from '../error.ts';
import type { SandboxRecord } from '../sandbox/census.ts';
import { readDirectVolume, sandboxesOf } from '../storage/direct-volume.ts';
import type { Call } from './call.ts';
import { sandboxes } from './sandbox.ts';

/**
 * @param path where kubelet publishes it
 * @returns a living sandbox that has it, and its device
 * @throws KataError `not_found`: nobody has recorded it, or no sandbox has it
 */
export function volumeOf(call: Call, path: string): { record: SandboxRecord; device: string } {
  const info = readDirectVolume(path);
  if (!info) {
    throw new KataError(
      'not_found',
      `no direct-assigned volume is recorded at ${path}; "direct-volume add" records one`,
    );
  }
  const ids = sandboxesOf(path);
  const record = sandboxes(call).find(({ state, shimAlive }) => shimAlive && ids.includes(state.id));
  if (!record) throw new KataError('not_found', `no running sandbox has the volume ${path} (${info.device})`);
  return { record, device: info.device };
}
