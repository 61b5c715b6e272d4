/** Builds the guest: kernel, initramfs and manifest, from Debian's packages and our sources. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { KataError } from '../../host/error.ts';
import { type DebianArch, fetchPackages, type Package, type Progress, unpack } from '../../setup/debian.ts';
import { BUILD, DEBIAN_CACHE, ROOT } from '../../setup/paths.ts';
import { AGENT_ENTRY, buildAgent, QUICKJS_DIRECTORY } from './agent.ts';
import { cpio, type Entry } from './cpio.ts';
import { checkArm64Image, extractVmlinux } from './kernel.ts';
import { moduleEntries } from './modules.ts';
import { netfilterArchive } from './netfilter.ts';
import { ARCHITECTURES, type Architecture, MANIFEST_FORMAT, type PackageRole, packagesFor } from './recipe.ts';
import { runtimeEntries } from './runtime.ts';
import { buildMachine, compilerVersions } from './toolchain.ts';

/** Largest initramfs, compressed, bytes. */
export const MAX_INITRAMFS_BYTES = 6 * 1024 * 1024;
const INITRAMFS = 'initramfs.cpio.gz';
const MANIFEST = 'manifest.json';
/** What guests get when somebody asks for their packet filter rules. */
const NETFILTER = 'netfilter.cpio';
const GZIP_LEVEL = 9;
/** What the image is made from, besides the packages. */
const SOURCES = ['guest', 'host/proto', 'host/error.ts', 'package.json', 'setup/debian.ts'];

/** build/share/guest/<arch>/manifest.json */
export interface GuestManifest {
  readonly format: number;
  readonly arch: DebianArch;
  readonly kernelVersion: string;
  /** How the host reaches the agent: the name of the virtio-serial port. */
  readonly channel: { readonly kind: 'virtio-serial'; readonly port: string };
  readonly packages: Readonly<Record<string, { version: string; sha256: string }>>;
  /** By name: size in bytes and SHA-256. */
  readonly files: Readonly<Record<string, { bytes: number; sha256: string }>>;
  /** SHA-256 of all that went in; the same: nothing to do. */
  readonly inputs: string;
}

/**
 * Builds the guest into build/share/guest/<arch>, unless it is there already from the same inputs.
 * @throws KataError, Error
 */
export async function buildGuest(arch: DebianArch, progress: Progress): Promise<GuestManifest> {
  const target = ARCHITECTURES[arch];
  const output = join(BUILD, 'share', 'guest', arch);
  const compilers = (await compilerVersions(target)) + (await compilerVersions(buildMachine()));
  const specs = packagesFor(arch);
  const roles = Object.keys(specs) as PackageRole[];
  const found = await fetchPackages(
    roles.map((role) => specs[role]),
    DEBIAN_CACHE,
    progress,
  );
  const packages = Object.fromEntries(roles.map((role, i) => [role, found[i]])) as Record<PackageRole, Package>;
  const inputs = await hashInputs(target, compilers, found);
  const present = await readManifest(output);
  if (present?.inputs === inputs && (await complete(output, present))) return present;
  const work = await mkdtemp(join(tmpdir(), 'kata-guest-'));
  try {
    return await make(target, packages, inputs, output, work, progress);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function make(
  target: Architecture,
  packages: Record<PackageRole, Package>,
  inputs: string,
  output: string,
  work: string,
  progress: Progress,
): Promise<GuestManifest> {
  progress('unpacking the packages');
  const roots = {} as Record<PackageRole, string>;
  for (const [role, { file }] of Object.entries(packages) as [PackageRole, Package][]) {
    roots[role] = join(work, role);
    await unpack(file, roots[role]);
  }
  const version = packages.kernel.name.replace(/^linux-image-/, '');
  progress('compiling the agent');
  const agent = await buildAgent(
    AGENT_ENTRY,
    target,
    join(roots.quickjs, QUICKJS_DIRECTORY),
    packages.quickjs.sha256,
    work,
  );
  progress('writing the kernel and the initramfs');
  const image = await readFile(join(roots.kernel, 'boot', `vmlinuz-${version}`));
  const kernel = target.arch === 'amd64' ? extractVmlinux(image) : checkArm64Image(image);
  const initramfs = gzipSync(
    cpio([
      ...skeleton(),
      { type: 'file', path: 'init', mode: 0o755, data: await readFile(agent) },
      { type: 'file', path: 'bin/busybox', mode: 0o755, data: await readFile(join(roots.busybox, 'bin/busybox')) },
      ...(await moduleEntries(roots.kernel, version)),
      ...(await runtimeEntries(target, roots, work)),
    ]),
    { level: GZIP_LEVEL },
  );
  if (initramfs.length > MAX_INITRAMFS_BYTES) {
    throw new KataError('internal', `the initramfs has ${initramfs.length} bytes; the limit is ${MAX_INITRAMFS_BYTES}`);
  }
  const netfilter = await netfilterArchive(target, roots, version);
  const files = { [target.kernel]: kernel, [INITRAMFS]: initramfs, [NETFILTER]: netfilter };
  return await install(output, files, {
    format: MANIFEST_FORMAT,
    arch: target.arch,
    kernelVersion: version,
    channel: { kind: 'virtio-serial', port: 'agent' },
    packages: Object.fromEntries(
      Object.values(packages).map(({ name, version, sha256 }) => [name, { version, sha256 }]),
    ),
    inputs,
  });
}

/** Directories, the console that /init's standard streams are, and the few files programs look for. */
function skeleton(): Entry[] {
  const text = (path: string, data: string): Entry => ({ type: 'file', path, data: Buffer.from(data) });
  const directories = ['dev', 'proc', 'sys', 'run', 'root', 'var', 'mnt'].map((path): Entry => ({ type: 'dir', path }));
  return [
    ...directories,
    { type: 'dir', path: 'tmp', mode: 0o1777 },
    { type: 'char', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'char', path: 'dev/null', mode: 0o666, major: 1, minor: 3 },
    { type: 'link', path: 'bin/sh', target: 'busybox' },
    { type: 'link', path: 'etc/mtab', target: '/proc/self/mounts' },
    text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    text('etc/group', 'root:x:0:\ntty:x:5:\n'),
    text('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n'),
    text('etc/resolv.conf', ''),
  ];
}

/** Puts the files in place; the manifest last, since it vouches for the others. */
async function install(
  output: string,
  files: Readonly<Record<string, Uint8Array>>,
  facts: Omit<GuestManifest, 'files'>,
): Promise<GuestManifest> {
  await mkdir(output, { recursive: true });
  await rm(join(output, MANIFEST), { force: true });
  const sizes: Record<string, { bytes: number; sha256: string }> = {};
  for (const [name, data] of Object.entries(files)) {
    await replace(join(output, name), data);
    sizes[name] = { bytes: data.length, sha256: sha256(data) };
  }
  const { inputs, ...rest } = facts;
  const manifest = { ...rest, files: sizes, inputs };
  await replace(join(output, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

async function replace(path: string, data: Uint8Array | string): Promise<void> {
  await writeFile(`${path}.new`, data);
  await rename(`${path}.new`, path);
}

async function readManifest(output: string): Promise<GuestManifest | undefined> {
  const text = await readFile(join(output, MANIFEST), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as GuestManifest);
}

async function complete(output: string, manifest: GuestManifest): Promise<boolean> {
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const found = await stat(join(output, name)).catch(() => undefined);
    if (found?.size !== bytes) return false;
  }
  return true;
}

async function hashInputs(target: Architecture, compilers: string, packages: readonly Package[]): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([target, compilers, process.versions.zlib, packages.map(({ sha256 }) => sha256)]));
  for (const source of SOURCES) {
    for (const file of (await filesBelow(join(ROOT, source))).sort()) {
      hash
        .update(`${relative(ROOT, file)}\0`)
        .update(await readFile(file))
        .update('\0');
    }
  }
  return hash.digest('hex');
}

async function filesBelow(path: string): Promise<string[]> {
  if ((await stat(path)).isFile()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
