/** Whose work is in a package, in the form of a Debian copyright file. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagesFor } from '../guest/image/recipe.ts';
import { succeed } from './command.ts';
import { type DebianArch, fetchPackages } from './debian.ts';
import { DEBIAN_CACHE, ROOT } from './paths.ts';

interface GuestManifest {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly sha256: string }>>;
}

/** Licence by the beginning of a Debian package's name; the first that fits. */
const LICENCES: readonly (readonly [prefix: string, licence: string])[] = [
  ['linux-image', 'GPL-2.0-only'],
  ['crun', 'GPL-2.0-or-later, LGPL-2.1-or-later'],
  ['libc6', 'LGPL-2.1-or-later'],
  ['libcap2', 'BSD-3-Clause or GPL-2.0-only'],
  ['libseccomp2', 'LGPL-2.1-only'],
  ['libyajl2', 'ISC'],
  ['busybox', 'GPL-2.0-only'],
  ['iptables', 'GPL-2.0-or-later'],
  ['libip4tc', 'GPL-2.0-or-later'],
  ['libip6tc', 'GPL-2.0-or-later'],
  ['libxtables', 'GPL-2.0-or-later'],
  ['qjs-src', 'MIT (QuickJS-ng)'],
];

/** Where a Debian package's source is called otherwise. */
const SOURCES: Readonly<Record<string, string>> = {
  libc6: 'glibc',
  libseccomp2: 'libseccomp',
  libyajl2: 'yajl',
  'busybox-static': 'busybox',
  'qjs-src': 'quickjs-ng',
  libip4tc2: 'iptables',
  libip6tc2: 'iptables',
  libxtables12: 'iptables',
};

/**
 * Writes `copyright` and, in `licences`, what the authors of the parts want to be told.
 * @param documents directory for them
 * @param guest directory of the guest's files, with its manifest.json
 * @param node the Node that is shipped
 */
export async function writeNotices(
  documents: string,
  guest: string,
  arch: DebianArch,
  node: { readonly version: string; readonly licence: string },
): Promise<void> {
  const licences = join(documents, 'licences');
  mkdirSync(licences, { recursive: true });
  writeFileSync(join(documents, 'copyright'), notices(guest, node.version));
  copyFileSync(node.licence, join(licences, 'node'));
  copyFileSync(join(ROOT, 'node_modules/smol-toml/LICENSE'), join(licences, 'smol-toml'));
  // Fetched when the guest was built.
  for (const { name, file } of await fetchPackages(Object.values(packagesFor(arch)), DEBIAN_CACHE, () => {})) {
    const extract = 'dpkg-deb --fsys-tarfile "$1" | tar -xOf - "./usr/share/doc/$2/copyright"';
    writeFileSync(join(licences, name), await succeed(['sh', '-c', extract, 'sh', file, name]));
  }
}

/**
 * @param guest directory of the guest's files, with its manifest.json
 * @param nodeVersion of the Node that is shipped
 */
function notices(guest: string, nodeVersion: string): string {
  const manifest = JSON.parse(readFileSync(join(guest, 'manifest.json'), 'utf8')) as GuestManifest;
  const parts = Object.entries(manifest.packages).map(([name, { version }]) => {
    const licence = LICENCES.find(([prefix]) => name.startsWith(prefix))?.[1];
    if (licence === undefined) throw new Error(`no licence is known for ${name}: add it to setup/package-notices.ts`);
    const source = name.startsWith('linux-image') ? 'linux' : (SOURCES[name] ?? name.replace(/\d+$/, ''));
    return `  ${name} ${version}: ${licence}; Debian source package ${source}`;
  });
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: kata-edge
Comment: Whose work is in this package, besides that of kata-edge's authors.
 .
 lib/node is Node.js ${nodeVersion}; its licence and those of what it holds are in licences/node.
 .
 lib/*.cjs hold smol-toml (BSD-3-Clause, copyright Squirrel Chat et al.; licences/smol-toml).
 .
 share/guest holds unchanged programs of these Debian packages, and parts of the kernel's package:
${parts.map((line) => ` ${line.trimStart()}`).join('\n .\n')}
 .
 Their complete source is Debian's: \`apt-get source PACKAGE=VERSION\` with a deb-src line of the suite, or the archive of all
 versions, snapshot.debian.org, under the name and version given above. Their copyright files are in licences/, by package; the texts
 of the licences they name are in /usr/share/common-licenses on every Debian system.

Files: *
Copyright: the authors of kata-edge
License: kata-edge
 The terms on which kata-edge's repository is published.
`;
}
