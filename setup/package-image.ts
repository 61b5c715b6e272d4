/** The image of a DaemonSet that installs a tree on its node: a static busybox and the tree, made without docker. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fetchPackages, unpack } from './debian.ts';
import { layer, ociArchive } from './image.ts';
import type { PackOptions } from './package-deb.ts';
import type { Tree } from './package-tree.ts';
import { DEBIAN_CACHE, ROOT } from './paths.ts';
import { type TarEntry, tar } from './tar.ts';

/** Where the tree is in the image. */
const PLACE = 'kata-edge';
/** What is run by the scripts of deploy/. */
const APPLETS = [
  ...[
    'awk',
    'cat',
    'chmod',
    'chroot',
    'cmp',
    'cp',
    'cut',
    'date',
    'dirname',
    'grep',
    'head',
    'id',
    'ln',
    'ls',
    'mkdir',
    'mv',
  ],
  ...['printf', 'readlink', 'rm', 'rmdir', 'sed', 'sh', 'sha256sum', 'sleep', 'sort', 'tail', 'tr', 'uname', 'wc'],
];

/** The name of the image once it is imported. */
export function imageName(version: string): string {
  // A tag has no `~` or `+`.
  return `localhost/kata-edge:${version.replace(/[~+]/g, '-')}`;
}

/** @returns path of the OCI archive, for `ctr images import` and for whatever pushes to a registry */
export async function packImage(tree: Tree, { output }: PackOptions): Promise<string> {
  const busybox = await busyboxOf(tree);
  const base = layer(
    busybox,
    APPLETS.map((name) => `bin/${name}`),
  );
  // The base's end-of-archive blocks are in the way of what follows: two layers in one archive would be two.
  const files = tar(entriesOf(tree.directory));
  const archive = ociArchive(Buffer.concat([base.subarray(0, base.length - 1024), files]), tree.arch, {
    name: imageName(tree.version),
    command: ['/bin/sh', `/${PLACE}/node.sh`],
  });
  const file = join(output, `kata-edge_${tree.version}_${tree.arch}.oci.tar`);
  writeFileSync(`${file}.new`, archive);
  renameSync(`${file}.new`, file);
  return file;
}

async function busyboxOf({ arch }: Tree): Promise<Buffer> {
  const [found] = await fetchPackages([{ suite: 'bookworm', name: 'busybox-static', arch }], DEBIAN_CACHE, () => {});
  if (found === undefined) throw new Error('Debian has no busybox-static');
  const place = mkdtempSync(join(tmpdir(), 'kata-edge-image-'));
  try {
    await unpack(found.file, place);
    const binary = ['bin/busybox', 'usr/bin/busybox']
      .map((path) => join(place, path))
      .find((path) => statSync(path, { throwIfNoEntry: false }));
    if (binary === undefined) throw new Error(`${found.file} has no busybox`);
    return readFileSync(binary);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function entriesOf(directory: string): TarEntry[] {
  const below = readdirSync(directory, { recursive: true, withFileTypes: true });
  const entries = below.map((entry): TarEntry => {
    const path = join(entry.parentPath, entry.name);
    const name = `${PLACE}/${relative(directory, path)}`;
    if (entry.isDirectory()) return { path: name, type: 'directory' };
    if (entry.isSymbolicLink()) return { path: name, type: 'symlink', mode: 0o777, target: readlinkSync(path) };
    return { path: name, type: 'file', mode: statSync(path).mode & 0o777, data: readFileSync(path) };
  });
  entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  const script = readFileSync(join(ROOT, 'deploy/kubernetes/node.sh'));
  return [{ path: PLACE, type: 'directory' }, ...entries, { path: `${PLACE}/node.sh`, type: 'file', data: script }];
}
