/** The .deb and the .tar.gz of a tree. The same tree and SOURCE_DATE_EPOCH give the same bytes. */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { succeed } from './command.ts';
import type { DebianArch } from './debian.ts';
import { filesBelow, type Tree } from './package-tree.ts';
import { ROOT } from './paths.ts';

/** Milliseconds to compress 200 MB. */
const PACK_TIMEOUT_MS = 10 * 60_000;
/** Where the package's own files are. Pods run from a copy of them, which dpkg does not know. */
const PAYLOAD = 'opt/kata-edge/package';
const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'] as const;
const KIB = 1024;

/** virtiofsd was a part of QEMU's package before QEMU 8. */
const VIRTIOFSD = 'virtiofsd | qemu-system-common (<< 1:8.0)';
const COMMON_DEPENDS = ['libc6 (>= 2.28)', 'libgcc-s1', 'libstdc++6 (>= 8)', 'util-linux', VIRTIOFSD];
const QEMU: Readonly<Record<DebianArch, readonly string[]>> = {
  amd64: ['qemu-system-x86'],
  arm64: ['qemu-system-arm', 'qemu-efi-aarch64'],
};

export interface PackOptions {
  /** Directory for the files. */
  readonly output: string;
  /** Seconds since 1970 that every file is dated. */
  readonly epoch: number;
  /** Little compression, for tests. */
  readonly fast?: boolean;
}

/** @returns path of the .deb */
export async function packDeb(tree: Tree, { output, epoch, fast = false }: PackOptions): Promise<string> {
  const stage = join(output, `stage-${tree.arch}.${process.pid}`);
  rmSync(stage, { recursive: true, force: true });
  try {
    stageFiles(tree, stage);
    stageControl(tree, stage);
    // Directories are made by whoever's umask.
    await succeed(['find', stage, '-type', 'd', '-exec', 'chmod', '0755', '{}', '+']);
    await succeed(['find', stage, '-exec', 'touch', '--no-dereference', `--date=@${epoch}`, '{}', '+']);
    const file = join(output, `kata-edge_${tree.version}_${tree.arch}.deb`);
    const compression = fast ? ['-Zgzip', '-z1'] : ['-Zxz', '-z6', '--threads-max=2'];
    await succeed(['dpkg-deb', '--root-owner-group', ...compression, '--build', stage, `${file}.new`], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
      timeoutMs: PACK_TIMEOUT_MS,
    });
    renameSync(`${file}.new`, file);
    return file;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** @returns path of the .tar.gz: one directory with install.sh at its top */
export async function packArchive(tree: Tree, { output, epoch, fast = false }: PackOptions): Promise<string> {
  const name = `kata-edge_${tree.version}_${tree.arch}`;
  const file = join(output, `${name}.tar.gz`);
  const order = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${epoch}`, '--format=gnu'];
  const compress = `gzip --no-name -${fast ? 1 : 9}`;
  const rename = `--transform=s,^\\.,${name},S`;
  await succeed(
    ['tar', ...order, rename, `--use-compress-program=${compress}`, '-cf', `${file}.new`, '-C', tree.directory, '.'],
    {
      env: process.env,
      timeoutMs: PACK_TIMEOUT_MS,
    },
  );
  renameSync(`${file}.new`, file);
  return file;
}

/** The payload, and what the system looks for in other places. */
function stageFiles({ directory }: Tree, stage: string): void {
  const put = (from: string, to: string) =>
    cpSync(join(directory, from), join(stage, to), { recursive: true, verbatimSymlinks: true });
  put('.', PAYLOAD);
  put('share/doc/copyright', 'usr/share/doc/kata-edge/copyright');
  put('share/doc/README.md', 'usr/share/doc/kata-edge/README.md');
  put('share/doc/installation.md', 'usr/share/doc/kata-edge/installation.md');
  put('share/completions/_kata-runtime', 'usr/share/zsh/vendor-completions/_kata-runtime');
  for (const name of ['kata-runtime', 'kata-ctl']) {
    put('share/completions/kata-runtime.bash', `usr/share/bash-completion/completions/${name}`);
  }
  put('deploy/systemd/kata-monitor.service', 'usr/lib/systemd/system/kata-monitor.service');
  const changelog = gzipSync(readFileSync(join(directory, 'share/doc/CHANGELOG.md')), { level: 9 });
  writeFileSync(join(stage, 'usr/share/doc/kata-edge/changelog.gz'), changelog);
}

function stageControl(tree: Tree, stage: string): void {
  const control = join(stage, 'DEBIAN');
  const files = filesBelow(stage);
  mkdirSync(control);
  const sums = files.map(
    (path) =>
      `${createHash('md5')
        .update(readFileSync(join(stage, path)))
        .digest('hex')}  ${path}\n`,
  );
  writeFileSync(join(control, 'md5sums'), sums.join(''), { mode: 0o644 });
  writeFileSync(join(control, 'control'), controlText(tree, installedSize(stage, files)), { mode: 0o644 });
  for (const name of SCRIPTS) writeFileSync(join(control, name), script(name), { mode: 0o755 });
}

function controlText({ version, arch }: Tree, size: number): string {
  return `Package: kata-edge
Version: ${version}
Architecture: ${arch}
Maintainer: kata-edge authors <kata-edge@localhost>
Installed-Size: ${size}
Depends: ${[...COMMON_DEPENDS, ...QEMU[arch]].join(', ')}
Recommends: containerd (>= 1.6) | containerd.io (>= 1.6)
Suggests: e2fsprogs, bash-completion
Section: admin
Priority: optional
Description: every pod in a virtual machine of its own, for edge nodes
 A containerd-shim-kata-v2 that runs each Kubernetes pod, or each container of
 ctr and nerdctl, in a small QEMU virtual machine, with kata-runtime and
 kata-monitor. It comes with its own Node.js and a guest kernel, and reads
 Kata Containers' configuration.toml.
`;
}

/** KiB, each file rounded up, as dpkg-gencontrol counts. */
function installedSize(stage: string, files: readonly string[]): number {
  const directories = readdirSync(stage, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isFile());
  return files.reduce((sum, path) => sum + Math.ceil(lstatSync(join(stage, path)).size / KIB), directories.length);
}

/** preinst comes before any other file of the package is there, so that the parts it needs are within it. */
function script(name: (typeof SCRIPTS)[number]): string {
  const text = readFileSync(join(ROOT, 'deploy/debian', name), 'utf8');
  return text.replace(/^# include (\w+)$/gm, (_, part: string) => {
    const path = join(ROOT, 'deploy/install', `${part}.sh`);
    if (!existsSync(path)) throw new Error(`deploy/debian/${name} includes ${path}, which is not there`);
    return readFileSync(path, 'utf8').trimEnd();
  });
}
