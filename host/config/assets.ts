/** The guest's kernel and root file system: those configured, or our own beside the program. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KataError } from '../error.ts';
import { type AssetKind, kindProblem } from './asset-kinds.ts';
import type { Machine } from './machine.ts';
import { QEMU, REMOTE, type Values } from './values.ts';

/** Bits of a mode: anybody's permission to execute. */
const EXECUTABLE = 0o111;
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

/** Of a configuration, what says which files are needed. */
export interface AssetConfiguration extends Assets {
  readonly values: Values;
  readonly machine: Machine;
  readonly memoryMib: number;
  readonly remote: object | undefined;
  readonly qemuPath: string;
  readonly virtiofsd: string;
  readonly sharedFs: string;
}

/**
 * @param guest directory of our own guest
 * @param kernelName our kernel's file in it
 * @throws KataError `invalid_argument`
 */
export function assetsOf(values: Values, guest: string, kernelName: string): Assets {
  const kernel = values.path(QEMU, 'kernel', '');
  const initrd = values.path(QEMU, 'initrd', '');
  const image = values.path(QEMU, 'image', '');
  const standard = initrd === '' && image === '';
  const found = {
    kernel: kernel || join(guest, kernelName),
    initrd: standard ? join(guest, 'initramfs.cpio.gz') : initrd || undefined,
    image: image || undefined,
  };
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

/** Files that a sandbox needs and this machine has not, or has of another kind. */
export function assetProblems(configuration: AssetConfiguration): KataError[] {
  if (configuration.remote) return [];
  const { kernel, initrd, image, values, machine } = configuration;
  const problems = programProblems(configuration);
  for (const [key, path] of Object.entries({ kernel, initrd, image })) {
    if (path === undefined) continue;
    const named = values.string(QEMU, key, '') !== '';
    // Our own are what they are; those that somebody names need not be.
    const what = fileProblem(path, named) ?? (named ? kindProblem(key as AssetKind, path, machine.arch) : undefined);
    if (what === undefined) continue;
    problems.push(
      new KataError('failed_precondition', `${values.where(QEMU, key)}: the guest's ${key} ${path} ${what}`),
    );
  }
  const [initrdBytes, memoryBytes] = [initrd === undefined ? 0 : sizeOf(initrd), configuration.memoryMib * 2 ** 20];
  if (initrdBytes >= memoryBytes) {
    const where = `${values.where(values.hypervisor, 'default_memory')} is ${configuration.memoryMib} MiB`;
    problems.push(
      new KataError(
        'invalid_argument',
        `${where}, and the guest's initrd ${initrd} alone has ${Math.ceil(initrdBytes / 2 ** 20)} MiB; raise it`,
      ),
    );
  }
  return problems;
}

/** Programs that somebody names; where others are is found out when they are started. */
function programProblems({ values, qemuPath, virtiofsd, sharedFs }: AssetConfiguration): KataError[] {
  const programs: [key: string, path: string, package_: string][] = [];
  if (values.string(QEMU, 'path', '') !== '') programs.push(['path', qemuPath, 'qemu-system']);
  if (virtiofsd !== '' && sharedFs === 'virtio-fs') programs.push(['virtio_fs_daemon', virtiofsd, 'virtiofsd']);
  return programs.flatMap(([key, path, package_]) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() && stat.mode & EXECUTABLE) return [];
    const what = stat === undefined ? 'does not exist' : stat.isFile() ? 'may not be executed' : 'is no file';
    const advice = `correct the path, remove the key, or install the package ${package_}`;
    return [new KataError('failed_precondition', `${values.where(QEMU, key)}: the program ${path} ${what}; ${advice}`)];
  });
}

function fileProblem(path: string, named: boolean): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() && stat.size > 0) return undefined;
  const advice = named
    ? 'install it, correct the path, or remove kernel, image and initrd: the guest that is installed with the program is taken then'
    : 'install the guest, build it with `npm run guest`, or name one in configuration.toml';
  return `${stat === undefined ? 'does not exist' : stat.isFile() ? 'is empty' : 'is no file'}; ${advice}`;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
