/** crun and the shared libraries it needs, with a stub in place of libsystemd (and the megabytes that one needs in turn). */
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { KataError } from '../../host/error.ts';
import { succeed } from '../../setup/command.ts';
import type { Entry } from './cpio.ts';
import { type Architecture, LIBRARIES, type PackageRole } from './recipe.ts';
import { compilerFor, SYS_DIRECTORY } from './toolchain.ts';

const EXECUTABLE = 0o755;

/**
 * @param roots where each package was unpacked
 * @param work scratch directory
 * @throws KataError `not_found` for a file a package lacks
 */
export async function runtimeEntries(
  target: Architecture,
  roots: Readonly<Record<PackageRole, string>>,
  work: string,
): Promise<Entry[]> {
  const libraries = `lib/${target.triplet}`;
  const entries: Entry[] = [
    { type: 'file', path: 'usr/bin/crun', mode: EXECUTABLE, data: await fileOf(roots.crun, ['usr/bin/crun']) },
    { type: 'file', path: target.loader, mode: EXECUTABLE, data: await fileOf(roots.libc, loaderPaths(target)) },
  ];
  for (const [role, soname] of LIBRARIES) {
    const data = await fileOf(roots[role], [`${libraries}/${soname}`, `usr/${libraries}/${soname}`]);
    entries.push({ type: 'file', path: `${libraries}/${soname}`, mode: EXECUTABLE, data });
  }
  const stub = await readFile(await systemdStub(target, work));
  entries.push({ type: 'file', path: `${libraries}/libsystemd.so.0`, mode: EXECUTABLE, data: stub });
  return entries;
}

/** The loader's own path is a link in libc6, absolute in some versions; the file lies with the libraries. */
function loaderPaths(target: Architecture): string[] {
  const name = target.loader.slice(target.loader.lastIndexOf('/') + 1);
  return [`lib/${target.triplet}/${name}`, target.loader];
}

async function fileOf(root: string, candidates: readonly string[]): Promise<Buffer> {
  for (const path of candidates) {
    const real = await realpath(join(root, path)).catch(() => undefined);
    // A link out of the unpacked tree would name a file of the build machine.
    if (real?.startsWith(`${await realpath(root)}/`)) return await readFile(real);
  }
  throw new KataError('not_found', `a Debian package has no ${candidates.join(' or ')}; correct guest/image/recipe.ts`);
}

/** The library crun links to, each function answering -ENOSYS: crun then does without systemd. */
async function systemdStub(target: Architecture, work: string): Promise<string> {
  const output = join(work, 'libsystemd.so.0');
  const source = join(SYS_DIRECTORY, 'systemd');
  await succeed([
    ...[compilerFor(target).glibc, '-shared', '-fPIC', '-O2', '-nostdlib', '-s', '-Wl,--build-id=none'],
    ...[`-Wl,--version-script=${join(source, 'stub.map')}`, '-Wl,-soname,libsystemd.so.0'],
    ...['-o', output, join(source, 'stub.c')],
  ]);
  return output;
}
