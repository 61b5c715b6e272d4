/**
 * A small busybox image as an OCI archive, made from the machine's own static busybox without any registry:
 * one layer, every applet a symbolic link. The same busybox gives the same bytes.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from './command.ts';
import { ROOT } from './paths.ts';
import { type TarEntry, tar } from './tar.ts';

/** The name the image has once imported. */
export const IMAGE_NAME = 'localhost/kata-edge/busybox:1';
/** The pause container's. */
export const PAUSE_IMAGE_NAME = 'localhost/kata-edge/pause:1';
/** Part of the cached files' names: raise it when a recipe below changes. */
const RECIPE = 3;
const PAUSE_SOURCE = join(ROOT, 'setup', 'pause.c');
const BUSYBOX_PATHS = ['/bin/busybox', '/usr/bin/busybox'];

/** Node's name of a CPU → OCI's. */
const OCI_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

const DIRECTORIES = ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sbin', 'sys', 'usr', 'usr/bin', 'usr/sbin', 'var'];

const FILES: Readonly<Record<string, string>> = {
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
};

/**
 * Makes the image unless it is there already.
 * @param directory where archives are kept, e.g. build/cache/image
 * @returns path of the OCI archive, ready for `ctr images import`
 * @throws Error without a static busybox
 */
export async function buildImage(directory: string): Promise<string> {
  const busyboxPath = BUSYBOX_PATHS.find((path) => existsSync(path));
  if (busyboxPath === undefined) throw new Error(`no busybox at ${BUSYBOX_PATHS.join(' or ')}: install busybox-static`);
  const busybox = readFileSync(busyboxPath);
  const archive = `${directory}/busybox-${RECIPE}-${sha256(busybox).slice(0, 16)}.tar`;
  if (existsSync(archive)) return archive;
  mkdirSync(directory, { recursive: true });
  const applets = (await succeed([busyboxPath, '--list-full'])).split('\n').filter((path) => path !== '');
  write(archive, ociArchive(layer(busybox, applets), architecture(), { name: IMAGE_NAME, command: ['/bin/sh'] }));
  return archive;
}

/**
 * Makes the pause image unless it is there already: a static program of a few kilobytes and nothing else.
 * @param directory where archives are kept, e.g. build/cache/image
 * @returns path of the OCI archive
 * @throws Error when musl-gcc cannot compile it
 */
export async function buildPauseImage(directory: string): Promise<string> {
  const archive = `${directory}/pause-${RECIPE}-${sha256(readFileSync(PAUSE_SOURCE)).slice(0, 16)}.tar`;
  if (existsSync(archive)) return archive;
  mkdirSync(directory, { recursive: true });
  const program = `${archive}.${process.pid}.bin`;
  await succeed(['musl-gcc', '-static', '-Os', '-s', '-Wall', '-Werror', '-o', program, PAUSE_SOURCE]);
  const layerTar = tar([{ path: 'pause', type: 'file', data: readFileSync(program) }]);
  rmSync(program);
  write(archive, ociArchive(layerTar, architecture(), { name: PAUSE_IMAGE_NAME, command: ['/pause'] }));
  return archive;
}

/** Renamed when complete; two set-ups at once do not meet. */
function write(archive: string, content: Buffer): void {
  writeFileSync(`${archive}.${process.pid}`, content);
  renameSync(`${archive}.${process.pid}`, archive);
}

/** The file system as one tar. */
export function layer(busybox: Uint8Array, applets: readonly string[]): Buffer {
  const entries: TarEntry[] = DIRECTORIES.map((path) => ({ path, type: 'directory' }));
  entries.push({ path: 'tmp', type: 'directory', mode: 0o1777 }, { path: 'bin/busybox', type: 'file', data: busybox });
  for (const [path, content] of Object.entries(FILES)) {
    entries.push({ path, type: 'file', mode: 0o644, data: Buffer.from(content) });
  }
  // As in most distributions: whoever mounts below /var/run means /run, and never the host's.
  entries.push({ path: 'var/run', type: 'symlink', mode: 0o777, target: '/run' });
  for (const path of [...applets].sort()) {
    if (path !== 'bin/busybox') entries.push({ path, type: 'symlink', mode: 0o777, target: '/bin/busybox' });
  }
  return tar(entries);
}

/** https://github.com/opencontainers/image-spec/blob/main/image-layout.md, as a tar. */
export function ociArchive(
  layerTar: Uint8Array,
  ociArchitecture: string,
  image: { readonly name: string; readonly command: readonly string[] },
): Buffer {
  const blobs: TarEntry[] = [];
  const add = (mediaType: string, data: Uint8Array) => {
    const digest = sha256(data);
    blobs.push({ path: `blobs/sha256/${digest}`, type: 'file', mode: 0o644, data });
    return { mediaType, digest: `sha256:${digest}`, size: data.length };
  };
  const layerDescriptor = add('application/vnd.oci.image.layer.v1.tar', layerTar);
  const config = add(
    'application/vnd.oci.image.config.v1+json',
    json({
      architecture: ociArchitecture,
      os: 'linux',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        Cmd: image.command,
        WorkingDir: '/',
      },
      rootfs: { type: 'layers', diff_ids: [layerDescriptor.digest] },
      history: [{ created_by: 'kata-edge setup/image.ts' }],
    }),
  );
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = add(
    manifestType,
    json({ schemaVersion: 2, mediaType: manifestType, config, layers: [layerDescriptor] }),
  );
  const annotations = { 'io.containerd.image.name': image.name, 'org.opencontainers.image.ref.name': image.name };
  const platform = { architecture: ociArchitecture, os: 'linux' };
  const index = json({ schemaVersion: 2, manifests: [{ ...manifest, annotations, platform }] });
  return tar([
    { path: 'oci-layout', type: 'file', mode: 0o644, data: json({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', type: 'file', mode: 0o644, data: index },
    { path: 'blobs', type: 'directory' },
    { path: 'blobs/sha256', type: 'directory' },
    ...blobs,
  ]);
}

function architecture(): string {
  const known = OCI_ARCHITECTURES[process.arch];
  if (known === undefined) throw new Error(`no image for CPU architecture ${process.arch}: use amd64 or arm64`);
  return known;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
