/**
 * iptables and the kernel's packet filter: an archive of its own beside the initramfs, which the host hands to those guests whose
 * rules somebody asks for. All others spare a megabyte of memory and the time to unpack it.
 */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { KataError } from '../../host/error.ts';
import { cpio, type Entry } from './cpio.ts';
import { looseModules } from './modules.ts';
import { type Architecture, MODULES, NETFILTER_EXTENSIONS, NETFILTER_MODULES, type PackageRole } from './recipe.ts';

/** Read by guest/agent/extension.ts. */
const LIST = 'etc/kata-extension-modules';
/** It becomes a disk, whose size counts in sectors. */
const SECTOR = 512;
const EXECUTABLE = 0o755;
const PROGRAM = 'xtables-legacy-multi';
/** The program goes by the name it is called by. */
const NAMES = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`]);
const LIBRARIES: readonly (readonly [role: PackageRole, soname: string])[] = [
  ['libxtables', 'libxtables.so.12'],
  ['libip4tc', 'libip4tc.so.2'],
  ['libip6tc', 'libip6tc.so.2'],
];

/**
 * @param roots where each package was unpacked
 * @throws KataError `not_found` for a file or module a package lacks
 */
export async function netfilterArchive(
  target: Architecture,
  roots: Readonly<Record<PackageRole, string>>,
  version: string,
): Promise<Buffer> {
  const libraries = `usr/lib/${target.triplet}`;
  const entries: Entry[] = [
    await fileOf(roots.iptables, `usr/sbin/${PROGRAM}`),
    ...NAMES.map((name): Entry => ({ type: 'link', path: `usr/sbin/${name}`, target: PROGRAM })),
  ];
  for (const [role, soname] of LIBRARIES) entries.push(await fileOf(roots[role], `${libraries}/${soname}`));
  const present = new Set(await readdir(join(roots.iptables, libraries, 'xtables')));
  for (const name of NETFILTER_EXTENSIONS) {
    if (!present.has(`${name}.so`)) {
      throw new KataError('not_found', `the package iptables has no ${name}.so; correct guest/image/recipe.ts`);
    }
    entries.push(await fileOf(roots.iptables, `${libraries}/xtables/${name}.so`));
  }
  const modules = await looseModules(roots.kernel, version, NETFILTER_MODULES, MODULES);
  const list = modules.map(({ path }) => `/${path}\n`).join('');
  const archive = cpio([...entries, ...modules, { type: 'file', path: LIST, data: Buffer.from(list) }]);
  return Buffer.concat([archive, Buffer.alloc((SECTOR - (archive.length % SECTOR)) % SECTOR)]);
}

/** Links within a package are followed: each name becomes a file. */
async function fileOf(root: string, path: string): Promise<Entry> {
  const real = await realpath(join(root, path)).catch(() => undefined);
  // A link out of the unpacked tree would name a file of the build machine.
  if (!real?.startsWith(`${await realpath(root)}/`)) {
    throw new KataError('not_found', `a Debian package has no ${path}; correct guest/image/recipe.ts`);
  }
  return { type: 'file', path, mode: EXECUTABLE, data: await readFile(real) };
}
