/** A node's file system made up of what a distribution puts there, to install into with --root. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Finished, finish } from '../../setup/command.ts';
import { type ContainerdVersion, containerdPrograms } from '../../setup/containerd-packages.ts';
import { CONTAINERD, DEBIAN_CACHE, ROOT } from '../../setup/paths.ts';

export const INSTALL = join(ROOT, 'deploy/install.sh');
const TIMEOUT_MS = 60_000;
/** The machine's programs, read-only, and none of those that somebody has added. */
const MOUNT = `
root=$1; shift
mount --rbind -o ro /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount -t tmpfs tmpfs "$root/usr/local"
exec "$@"
`;

export interface FakeNode {
  readonly directory: string;
  /** Writes a file, with the directories above it. */
  write(path: string, text: string): void;
  read(path: string): string;
  exists(path: string): boolean;
  /** Every file, link and directory with what it holds, to compare. */
  snapshot(): Record<string, string>;
  /** Runs install.sh with --root and `tree`. */
  install(...args: string[]): Promise<Finished>;
  /** Runs a program on the node; only where there is a containerd. */
  run(...argv: string[]): Promise<Finished>;
  remove(): void;
}

/**
 * @param version of a real containerd, at /opt/containerd/bin; absent: the node has no program that runs
 * @param name part of the directory's name
 */
export async function fakeNode(version?: ContainerdVersion, name = 'node'): Promise<FakeNode> {
  const directory = mkdtempSync(`/tmp/${name}-`);
  const at = (path: string) => join(directory, path);
  const tree = mkdtempSync('/tmp/kata-edge-tree-');
  writeTree(tree, '1.2.3');
  if (version !== undefined) {
    mkdirSync(at('usr'));
    for (const link of ['bin', 'sbin', 'lib', 'lib64'])
      if (existsSync(`/${link}`)) symlinkSync(`usr/${link}`, at(link));
    const { bin } = await containerdPrograms(version, CONTAINERD, DEBIAN_CACHE, () => {});
    mkdirSync(at('opt/containerd/bin'), { recursive: true });
    cpSync(join(bin, 'containerd'), at('opt/containerd/bin/containerd'));
  }
  const within = (argv: readonly string[]) =>
    version === undefined
      ? argv
      : ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', MOUNT, 'sh', directory, ...argv];
  const run = (argv: readonly string[]) =>
    finish(within(argv), { env: { ...process.env, LC_ALL: 'C' }, timeoutMs: TIMEOUT_MS });
  return {
    directory,
    write(path, text) {
      mkdirSync(dirname(at(path)), { recursive: true });
      writeFileSync(at(path), text);
    },
    read: (path) => readFileSync(at(path), 'utf8'),
    exists: (path) => lstatSync(at(path), { throwIfNoEntry: false }) !== undefined,
    snapshot: () => snapshotOf(directory),
    install(command = 'install', ...rest) {
      const containerd = version === undefined ? [] : ['--containerd', '/opt/containerd/bin/containerd'];
      return run([INSTALL, command, '--root', directory, '--tree', tree, '--no-restart', ...containerd, ...rest]);
    },
    run: (...argv) => run(['chroot', directory, ...argv]),
    remove() {
      rmSync(directory, { recursive: true, force: true });
      rmSync(tree, { recursive: true, force: true });
    },
  };
}

/** A tree in miniature; `mark` is what tells two builds of a version apart. */
export function writeTree(directory: string, version: string, mark = ''): void {
  const files = {
    'bin/containerd-shim-kata-v2': '#!/bin/sh\n',
    'bin/kata-runtime': '#!/bin/sh\n',
    'lib/node': `#!/bin/sh\n# ${mark}\nexit 1\n`,
    'lib/shim.cjs': '',
    'share/version': `${version}\n`,
    'share/manifest': `${mark}\n`,
    'share/defaults/kata-containers/configuration.toml': `# default of ${version}\n`,
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text, { mode: path.startsWith('share') ? 0o644 : 0o755 });
  }
}

/** Without containerd's own program and what is mounted. */
function snapshotOf(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(directory.length);
    if (name.startsWith('/opt/containerd')) continue;
    if (entry.isSymbolicLink()) found[name] = `-> ${readlinkSync(path)}`;
    else found[name] = entry.isDirectory() ? 'directory' : readFileSync(path, 'latin1');
  }
  return found;
}
