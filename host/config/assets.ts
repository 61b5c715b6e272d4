/** The guest's kernel and root file system: those configured, or our own beside the program. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KataError } from '../error.ts';
import { QEMU, REMOTE, type Values } from './values.ts';

const ROOTFS_TYPES = ['ext4', 'xfs', 'erofs'] as const;

export interface Assets {
  /** Empty with a remote hypervisor. */
  readonly kernel: string;
  /** Exactly one of the two is set; with a remote hypervisor at most `image`, which is a name its peer knows. */
  readonly initrd: string | undefined;
  readonly image: string | undefined;
  /** File system of the image's first partition. */
  readonly rootfsType: (typeof ROOTFS_TYPES)[number];
  /** Whether the guest is our own: its agent listens on a virtio-serial port, a Kata guest's on vsock. */
  readonly ownGuest: boolean;
}

/**
 * @param guest directory of our own guest
 * @param kernelName our kernel's file in it
 * @throws KataError `invalid_argument`; `failed_precondition` for a file that does not exist or is empty
 */
export function assetsOf(values: Values, guest: string, kernelName: string): Assets {
  const kernel = values.path(QEMU, 'kernel', '');
  const initrd = values.path(QEMU, 'initrd', '');
  const image = values.path(QEMU, 'image', '');
  if (initrd !== '' && image !== '') {
    throw values.invalid(QEMU, 'image', 'is set together with initrd; a guest has one of them');
  }
  const standard = initrd === '' && image === '';
  const found = {
    kernel: kernel || join(guest, kernelName),
    initrd: standard ? join(guest, 'initramfs.cpio.gz') : initrd || undefined,
    image: image || undefined,
  };
  for (const [key, path] of Object.entries(found)) if (path !== undefined) checkAsset(values, key, path);
  return {
    ...found,
    rootfsType: values.choice(QEMU, 'rootfs_type', ROOTFS_TYPES, 'ext4'),
    ownGuest: standard || (initrd !== '' && isOwn(initrd)),
  };
}

/** A peer has its own: `image` is a name it knows, no file of this host. `edge.agent` tells whose agent its machines run. */
export function remoteAssetsOf(values: Values): Assets {
  const image = values.string(REMOTE, 'image', '') || undefined;
  const ownGuest = values.choice('edge', 'agent', ['kata', 'own'] as const, 'kata') === 'own';
  return { kernel: '', initrd: undefined, image, rootfsType: 'ext4', ownGuest };
}

/** Our builds lie beside a manifest that names their channel. */
function isOwn(initrd: string): boolean {
  try {
    const manifest = JSON.parse(readFileSync(join(dirname(initrd), 'manifest.json'), 'utf8')) as {
      channel?: { kind?: unknown };
    };
    return manifest.channel?.kind === 'virtio-serial';
  } catch {
    return false;
  }
}

function checkAsset(values: Values, key: string, path: string): void {
  if (existsSync(path) && statSync(path).isFile() && statSync(path).size > 0) return;
  const advice = values.isSet(QEMU, key)
    ? 'correct the path'
    : 'build it with `npm run guest`, or name one in configuration.toml';
  throw new KataError(
    'failed_precondition',
    `${values.where(QEMU, key)}: there is no guest ${key} at ${path}; ${advice}`,
  );
}
