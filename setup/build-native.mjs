// Compiles native/*.c to build/lib/kata.node. The ABI is Node-API's: one file serves every Node from 18 on.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = join(ROOT, 'native');
const FLAGS = [
  '-shared',
  '-fPIC',
  '-O2',
  '-std=gnu11',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
];
const LINK_FLAGS = ['-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack', '-s'];

/**
 * Builds the addon if a source is newer than the output.
 * @param {string} output path of the .node file
 * @param {string} cc the C compiler, of the machine the addon is for
 * @returns {boolean} whether it was compiled
 */
export function buildNative(output = join(ROOT, 'build/lib/kata.node'), cc = process.env.CC ?? 'gcc') {
  const files = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  const newest = Math.max(...[...files, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs));
  if ((statSync(output, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return false;

  const { include_dir } = createRequire(import.meta.url)('node-api-headers');
  const sources = files.filter((file) => file.endsWith('.c'));
  mkdirSync(dirname(output), { recursive: true });
  // Renamed into place: a process that has the old one mapped keeps it.
  const fresh = `${output}.${process.pid}`;
  execFileSync(cc, [...FLAGS, `-I${include_dir}`, ...sources, ...LINK_FLAGS, '-o', fresh], {
    stdio: 'inherit',
  });
  renameSync(fresh, output);
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildNative();
