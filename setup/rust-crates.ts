/** ttrpc-rust and the crates it is built from, as source from Debian packages unpacked beside the system. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { succeed } from './command.ts';
import { fetchPackages, type Progress, type Suite, unpack } from './debian.ts';

/** Of Debian's suites the one whose ttrpc-rust is not years old. */
const CRATES_SUITE: Suite = 'sid';
/** ttrpc with threads (its default features), and what that depends on at build time too. Packages are `librust-NAME-dev`. */
const CRATES = [
  ...['aho-corasick', 'anyhow', 'autocfg', 'bitflags', 'byteorder', 'cfg-aliases', 'cfg-if', 'crossbeam'],
  ...['crossbeam-channel', 'crossbeam-deque', 'crossbeam-epoch', 'crossbeam-queue', 'crossbeam-utils', 'equivalent'],
  ...['errno', 'fastrand', 'getrandom', 'hashbrown', 'indexmap', 'libc', 'linux-raw-sys', 'log', 'memchr', 'memoffset'],
  ...['nix', 'once-cell', 'proc-macro2', 'protobuf', 'protobuf-codegen', 'protobuf-parse', 'protobuf-support', 'quote'],
  ...['regex', 'regex-automata', 'regex-syntax', 'rustix', 'syn-2', 'tempfile', 'thiserror-1', 'thiserror-impl-1'],
  ...['ttrpc', 'unicode-ident', 'which'],
];
/** Where Debian puts crates. */
const REGISTRY = 'usr/share/cargo/registry';
/** Milliseconds for one program; the first one compiles all crates. */
const BUILD_TIMEOUT_MS = 10 * 60_000;

/**
 * Unpacks what is not there yet; after that no network is needed.
 * @param directory where to, e.g. build/rust
 * @param cache where .deb files are kept
 * @returns a directory that cargo takes for a registry
 * @throws KataError when a package cannot be had
 */
export async function rustCrates(directory: string, cache: string, progress: Progress): Promise<string> {
  if (!existsSync(directory)) {
    const specs = CRATES.map((name) => ({ suite: CRATES_SUITE, name: `librust-${name}-dev` }));
    // Renamed when complete: an interrupted run leaves nothing that looks unpacked.
    const partial = `${directory}.${process.pid}`;
    for (const { file } of await fetchPackages(specs, cache, progress)) await unpack(file, partial);
    rmSync(directory, { recursive: true, force: true });
    renameSync(partial, directory);
  }
  return join(directory, REGISTRY);
}

/** The machine's cargo: the PATH's or rustup's; undefined if it has none. Debian's of the base is too old for the crates. */
export function machineCargo(): string | undefined {
  const places = [...(process.env.PATH ?? '').split(delimiter), join(homedir(), '.cargo/bin')];
  return places.map((place) => join(place, 'cargo')).find((path) => existsSync(path));
}

/**
 * Compiles a program without touching the network.
 * @param registry as rustCrates gives it
 * @param source directory with Cargo.toml; nothing is written there
 * @param cache where cargo works; what did not change is taken from there
 * @returns the program's path
 * @throws Error with the compiler's messages
 */
export async function buildRust(cargo: string, registry: string, source: string, cache: string): Promise<string> {
  const work = join(cache, 'source');
  mkdirSync(work, { recursive: true });
  await cp(source, work, { recursive: true, preserveTimestamps: true });
  // Made anew for the versions that are there.
  rmSync(join(work, 'Cargo.lock'), { force: true });
  const config = ['source.crates-io.replace-with="debian"', `source.debian.directory=${JSON.stringify(registry)}`];
  const argv = [cargo, ...config.flatMap((setting) => ['--config', setting]), 'build', '--offline', '--quiet'];
  const env = { ...process.env, CARGO_HOME: join(cache, 'home'), CARGO_TARGET_DIR: join(cache, 'target') };
  await succeed(argv, { cwd: work, env, timeoutMs: BUILD_TIMEOUT_MS });
  return join(cache, 'target/debug/peer');
}
