/**
 * Builds the host's program tree under build/: the bundles, the launcher, the link to Node, the WASM core, the addon.
 * The tree is relocatable; an installation is a link to build/bin/containerd-shim-kata-v2.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Oldest Node that runs the bundles. */
const TARGET = 'node20';
/** What host/bin/compiled.ts loads: a text that is a function. */
const FUNCTION = { banner: { js: '(function(exports,require,module,__filename,__dirname){' }, footer: { js: '})' } };

/**
 * Builds everything but the guest.
 * @param {string} output directory of the tree
 * @param {object} [target] what differs where the tree is not for this machine
 * @param {string} [target.version] absent: package.json's
 * @param {string} [target.node] a Node binary that becomes part of the tree, for whoever installs it to compile the bundles with;
 *   absent: a link to this one, which compiles them now
 * @param {string} [target.cc] the C compiler
 */
export async function buildHost(output = join(ROOT, 'build'), target = {}) {
  const { node, cc } = target;
  const version = target.version ?? JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;
  const bin = join(output, 'bin');
  const lib = join(output, 'lib');
  for (const directory of [bin, lib]) mkdirSync(directory, { recursive: true });
  await bundle(lib, version, node === undefined);
  replace(join(bin, 'containerd-shim-kata-v2'), (fresh) => {
    copyFileSync(join(ROOT, 'host/bin/containerd-shim-kata-v2'), fresh);
    chmodSync(fresh, 0o755);
  });
  replace(join(bin, 'kata-runtime'), (fresh) => {
    copyFileSync(join(ROOT, 'host/bin/kata-runtime'), fresh);
    chmodSync(fresh, 0o755);
  });
  for (const name of ['kata-ctl', 'kata-monitor']) {
    replace(join(bin, name), (fresh) => symlinkSync('kata-runtime', fresh));
  }
  replace(join(lib, 'node'), (fresh) => {
    if (node === undefined) return symlinkSync(process.execPath, fresh);
    copyFileSync(node, fresh);
    chmodSync(fresh, 0o755);
  });
  const { buildNative } = await import('./build-native.mjs');
  buildNative(join(lib, 'kata.node'), cc);
}

async function bundle(lib, version, ahead) {
  const options = {
    write: false,
    absWorkingDir: ROOT,
    outdir: lib,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: TARGET,
    format: 'cjs',
    minify: true,
    legalComments: 'none',
    define: {
      KATA_VERSION: JSON.stringify(version),
      KATA_REVISION: JSON.stringify(revision()),
      // Only asked where __dirname is not there, which it is in a bundle.
      'import.meta.url': '""',
    },
    logLevel: 'warning',
  };
  const entryPoints = { shim: 'host/bin/shim.ts', runtime: 'host/bin/runtime.ts', monitor: 'host/bin/monitor.ts' };
  const programs = await build({ ...options, entryPoints });
  for (const { path, contents } of programs.outputFiles) replace(path, (fresh) => writeFileSync(fresh, contents));
  // The text of a function knows `require` alone.
  const supported = { 'dynamic-import': false };
  const loaded = await build({ ...options, ...FUNCTION, supported, entryPoints: { serve: 'host/bin/serve.ts' } });
  for (const { path, contents } of loaded.outputFiles) {
    const id = createHash('sha256').update(contents).digest('hex');
    replace(path, (fresh) => writeFileSync(fresh, Buffer.concat([contents, Buffer.from(`//${id}\n`)])));
    if (ahead) compile(path);
  }
}

/**
 * Has V8 compile a bundle ahead of its use. In a process of its own: only one in which the bundle has run knows which of its
 * functions a start needs.
 */
function compile(path) {
  execFileSync(process.execPath, [join(ROOT, 'setup/compile-bundle.mjs'), path], { stdio: 'inherit' });
}

/** The commit; empty outside of a checkout. */
function revision() {
  if (!existsSync(join(ROOT, '.git'))) return '';
  try {
    return execFileSync('git', ['-C', ROOT, 'rev-parse', '--short=12', 'HEAD'], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    return '';
  }
}

/** Makes a file beside its place, then moves it there: whoever runs the old one goes on undisturbed. */
function replace(path, make) {
  const fresh = `${path}.${process.pid}`;
  make(fresh);
  renameSync(fresh, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildHost();
