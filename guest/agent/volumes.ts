/** What the host asks about mounted volumes and files of containers. */
import type { GetDiagnosticDataRequest } from '../../host/proto/messages/agent.ts';
import type { VolumeStatsResponse } from '../../host/proto/messages/csi.ts';
import { VolumeUsage_Unit } from '../../host/proto/messages/csi.ts';
import { beneath, noFollow, O_NONBLOCK } from './beneath.ts';
import type { Container } from './container.ts';
import { AgentError, reasonOf } from './error.ts';
import { attempt, readTextIfAny } from './files.ts';
import { checkPath } from './mount.ts';
import { type Guest, sharedDir } from './options.ts';

/** kubelet reads no more of a termination message. */
export const MAX_TERMINATION_BYTES = 4096;

const TERMINATION_PATH = 'io.kubernetes.container.terminationMessagePath';

/** Bytes and inodes of the file system at a guest path. @throws AgentError not_found */
export function volumeStats({ sys }: Guest, path: string): VolumeStatsResponse {
  let stats: ReturnType<typeof sys.statfs>;
  try {
    stats = sys.statfs(checkPath(path, 'volume_guest_path'));
  } catch (thrown) {
    throw thrown instanceof AgentError ? thrown : new AgentError('not_found', `volume ${path}: ${reasonOf(thrown)}`);
  }
  const { blockSize, blocks, blocksFree, blocksAvailable, files, filesFree } = stats;
  return {
    usage: [
      {
        available: blocksAvailable * blockSize,
        total: blocks * blockSize,
        used: (blocks - blocksFree) * blockSize,
        unit: VolumeUsage_Unit.BYTES,
      },
      { available: filesFree, total: files, used: files - filesFree, unit: VolumeUsage_Unit.INODES },
    ],
    volume_condition: { abnormal: false, message: 'OK' },
  };
}

/** Looks at every mount below the shared directory: the kernel drops entries whose file the host has removed. */
export function refreshShareMounts({ sys, options }: Guest): void {
  const root = `${sharedDir(options)}/`;
  for (const line of (readTextIfAny(sys, `${options.procRoot}/self/mounts`) ?? '').split('\n')) {
    const target = (line.split(' ')[1] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    if (target.startsWith(root)) attempt(() => sys.stat(target));
  }
}

/**
 * The container's termination message, read as the container sees it.
 * @throws AgentError invalid_argument for other kinds of data, not_found without such a file
 */
export function diagnosticData(guest: Guest, container: Container, request: GetDiagnosticDataRequest): string {
  if (request.log_type !== 'termination_log') {
    throw new AgentError(
      'invalid_argument',
      `log_type ${JSON.stringify(request.log_type)}: only termination_log is known`,
    );
  }
  const path = container.spec.Annotations[TERMINATION_PATH] ?? '/dev/termination-log';
  const mount = container.spec.Mounts.find((each) => each.destination === path && each.type === 'bind');
  const { sys } = guest;
  // The container owns these names, so links are not followed.
  const [root, below] = mount ? ['/', checkPath(mount.source, 'source')] : [`${container.bundle}/rootfs`, path];
  try {
    return beneath(sys, root, below, undefined, (parent, name) => {
      const fd = sys.open(parent.path(name), noFollow(sys) | O_NONBLOCK);
      try {
        return new TextDecoder().decode(sys.read(fd, MAX_TERMINATION_BYTES) ?? new Uint8Array(0));
      } finally {
        sys.close(fd);
      }
    });
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    throw new AgentError('not_found', `termination log ${path}: ${reasonOf(thrown)}`);
  }
}
