/** Whose work is in a package, in the form of a Debian copyright file. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

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
  ['libxtables12', 'GPL-2.0-or-later'],
  ['libip4tc2', 'GPL-2.0-or-later'],
  ['libip6tc2', 'GPL-2.0-or-later'],
  ['qjs-src', 'MIT (QuickJS-ng)'],
];

/** Where a Debian package's source is called otherwise. */
const SOURCES: Readonly<Record<string, string>> = {
  libc6: 'glibc',
  libseccomp2: 'libseccomp',
  libyajl2: 'yajl',
  'busybox-static': 'busybox',
  libxtables12: 'iptables',
  libip4tc2: 'iptables',
  libip6tc2: 'iptables',
  'qjs-src': 'quickjs-ng',
};

/**
 * @param guest directory of the guest's files, with its manifest.json
 * @param nodeVersion of the Node that is shipped
 */
export function notices(guest: string, nodeVersion: string): string {
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
 lib/node is Node.js ${nodeVersion}; its licence and those of what it holds are in LICENSE.node.
 .
 lib/*.cjs hold smol-toml (BSD-3-Clause, copyright Squirrel Chat et al.).
 .
 share/guest holds unchanged programs of these Debian packages, and parts of the kernel's package:
${parts.map((line) => ` ${line.trimStart()}`).join('\n .\n')}
 .
 Their complete source is Debian's: \`apt-get source PACKAGE=VERSION\` with a deb-src line of the suite, or the archive of all
 versions, snapshot.debian.org, under the name and version given above. Their copyright files are in Debian's binary packages, as
 /usr/share/doc/PACKAGE/copyright; the texts of the licences are in /usr/share/common-licenses on every Debian system.

Files: *
Copyright: the authors of kata-edge
License: kata-edge
 The terms on which kata-edge's repository is published.
`;
}
