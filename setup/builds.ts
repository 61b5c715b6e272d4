/** What `npm run build` makes, each part made again only when something it is made from has changed. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from './command.ts';
import { machineArch } from './debian.ts';
import { CACHE, ROOT } from './paths.ts';
import { step } from './step.mjs';

/** Milliseconds for one build; the guest's downloads a kernel. */
const BUILD_TIMEOUT_MS = 20 * 60_000;
/** Where the digest of each build's inputs is kept. */
const STAMPS = join(CACHE, 'stamps');

export interface Build {
  readonly name: string;
  /** What a person is told that is being made. */
  readonly title: string;
  /** Files and directories it is made from, in the checkout. */
  readonly inputs: readonly string[];
  /** What has to exist afterwards, in the checkout. */
  readonly outputs: readonly string[];
  /** Arguments of node. */
  readonly script: readonly string[];
}

/** In the order in which they have to be made. */
export const BUILDS: readonly Build[] = [
  {
    name: 'wasm',
    title: 'WASM core',
    inputs: ['assembly', 'asconfig.json', 'package-lock.json', 'setup/build-wasm.mjs'],
    outputs: ['build/wasm/core.release.wasm', 'host/core/wasm-bytes.ts'],
    script: ['setup/build-wasm.mjs'],
  },
  {
    name: 'native',
    title: 'N-API addon',
    inputs: ['native', 'package-lock.json', 'setup/build-native.mjs'],
    outputs: ['build/lib/kata.node'],
    script: ['setup/build-native.mjs'],
  },
  {
    name: 'shim',
    title: 'shim',
    inputs: ['host', 'package-lock.json', 'setup/build.mjs'],
    outputs: [
      'build/bin/containerd-shim-kata-v2',
      'build/bin/kata-runtime',
      'build/bin/kata-monitor',
      'build/lib/shim.cjs',
      'build/lib/serve.cjs.v8',
      'build/lib/node',
    ],
    script: ['setup/build.mjs'],
  },
  {
    name: 'defaults',
    title: 'configuration.toml',
    inputs: ['host/config', 'setup/configuration.ts', 'setup/configuration'],
    outputs: ['build/share/defaults/kata-containers/configuration.toml'],
    script: ['--import', 'tsx', 'setup/configuration.ts', 'defaults'],
  },
  {
    name: 'guest',
    title: 'guest kernel and initramfs',
    inputs: ['guest', 'host/error.ts', 'host/proto', 'package-lock.json', 'setup/debian.ts', 'setup/guest.ts'],
    outputs: [`build/share/guest/${machineArch()}/manifest.json`],
    script: ['--import', 'tsx', 'setup/guest.ts'],
  },
];

/**
 * Makes what is missing or out of date.
 * @param names some of BUILDS; absent: all
 * @throws Error with what the failing build said
 */
export async function build(names?: readonly string[]): Promise<void> {
  for (const part of BUILDS) {
    if (names !== undefined && !names.includes(part.name)) continue;
    const digest = digestOf(part.inputs);
    const stamp = join(STAMPS, part.name);
    if (isCurrent(part, stamp, digest)) continue;
    await step(part.title, () =>
      succeed([process.execPath, ...part.script], { cwd: ROOT, env: process.env, timeoutMs: BUILD_TIMEOUT_MS }),
    );
    const missing = part.outputs.filter((path) => !existsSync(join(ROOT, path)));
    if (missing.length > 0) throw new Error(`${part.script.join(' ')} has not made ${missing.join(', ')}`);
    mkdirSync(STAMPS, { recursive: true });
    writeFileSync(stamp, digest);
  }
}

function isCurrent(part: Build, stamp: string, digest: string): boolean {
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) return false;
  return part.outputs.every((path) => existsSync(join(ROOT, path)));
}

function digestOf(inputs: readonly string[]): string {
  const hash = createHash('sha256').update(process.version);
  for (const path of inputs.flatMap((input) => filesBelow(join(ROOT, input)))) {
    hash.update(`\0${path}\0`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function filesBelow(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}
