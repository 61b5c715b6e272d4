/** Go and ttrpc's reference implementation, from Debian packages unpacked beside the system: peers to interoperate with and to measure against. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { succeed } from './command.ts';
import { fetchPackages, type Progress, type Suite, unpack } from './debian.ts';

/** The newest Go and ttrpc there are: a control is measured at its best. */
const GO_SUITE: Suite = 'sid';
/** The compiler, linked statically, and the standard library's source: Go has no prebuilt one. */
const TOOLCHAIN = ['golang-1.*-go', 'golang-1.*-src'] as const;
const TTRPC = 'golang-github-containerd-ttrpc-dev';
/** Libraries as source: ttrpc and the imports of what our programs use of it. */
const LIBRARIES = [
  TTRPC,
  'golang-github-containerd-log-dev',
  'golang-github-sirupsen-logrus-dev',
  'golang-golang-x-sys-dev',
  'golang-google-genproto-dev',
  'golang-google-grpc-dev',
  'golang-google-protobuf-dev',
] as const;
const PACKAGES = [...TOOLCHAIN, ...LIBRARIES];
/** Says what is in the directory. */
const UNPACKED = 'unpacked.json';
/** Milliseconds for one program; the first one compiles the standard library. */
const BUILD_TIMEOUT_MS = 10 * 60_000;

export interface GoPackages {
  /** The `go` command. */
  readonly go: string;
  /** GOPATH with the libraries. */
  readonly path: string;
  /** Of the Debian packages, e.g. `1.27.3-1`. */
  readonly versions: { readonly go: string; readonly ttrpc: string };
}

/** What UNPACKED holds. */
interface Unpacked {
  readonly versions: GoPackages['versions'];
  readonly packages: readonly string[];
}

/**
 * Unpacks what is not there yet; after that no network is needed.
 * @param directory where to, e.g. build/go
 * @param cache where .deb files are kept
 * @throws KataError when a package cannot be had
 */
export async function goPackages(directory: string, cache: string, progress: Progress): Promise<GoPackages> {
  if (!isGoUnpacked(directory)) await unpackAll(directory, cache, progress);
  const libraries = join(directory, 'usr/lib');
  const root = readdirSync(libraries).find((name) => /^go-[\d.]+$/.test(name));
  if (!root) throw new Error(`Debian's Go has no usr/lib/go-VERSION: remove ${directory} and try again`);
  return {
    go: join(libraries, root, 'bin/go'),
    path: join(directory, 'usr/share/gocode'),
    versions: (JSON.parse(readFileSync(join(directory, UNPACKED), 'utf8')) as Unpacked).versions,
  };
}

/** Whether `goPackages` has nothing to do. */
export function isGoUnpacked(directory: string): boolean {
  const path = join(directory, UNPACKED);
  if (!existsSync(path)) return false;
  const { packages } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Unpacked>;
  return packages?.join() === PACKAGES.join();
}

/**
 * Compiles a program without touching the network; what did not change is taken from `cache`.
 * @param source directory of a `main` package
 * @param output the program's path
 * @param cache Go's build cache
 * @throws Error with the compiler's messages
 */
export async function buildGo({ go, path }: GoPackages, source: string, output: string, cache: string): Promise<void> {
  mkdirSync(dirname(output), { recursive: true });
  const env = {
    PATH: process.env.PATH,
    HOME: cache,
    GOPATH: path,
    GOCACHE: cache,
    // Imports are found below GOPATH: Debian's libraries are no modules.
    GO111MODULE: 'off',
    GOTOOLCHAIN: 'local',
    GOPROXY: 'off',
    GOTELEMETRY: 'off',
    CGO_ENABLED: '0',
  };
  await succeed([go, 'build', '-o', output, '.'], { cwd: source, env, timeoutMs: BUILD_TIMEOUT_MS });
}

async function unpackAll(directory: string, cache: string, progress: Progress): Promise<void> {
  const specs = PACKAGES.map((name) => ({ suite: GO_SUITE, name }));
  const fetched = await fetchPackages(specs, cache, progress);
  // Renamed when complete: an interrupted run leaves nothing that looks unpacked.
  const partial = `${directory}.${process.pid}`;
  for (const { file } of fetched) await unpack(file, partial);
  const versionOf = (name: string) => fetched[specs.findIndex((spec) => spec.name === name)]?.version;
  const unpacked = { versions: { go: versionOf(TOOLCHAIN[0]), ttrpc: versionOf(TTRPC) }, packages: PACKAGES };
  writeFileSync(join(partial, UNPACKED), `${JSON.stringify(unpacked, null, 2)}\n`);
  rmSync(directory, { recursive: true, force: true });
  renameSync(partial, directory);
}
