/** The tree of files that is shipped: programs, Node, guest, default configuration, installer, notices. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ARCHITECTURES, GUEST_CROSS_PACKAGES } from '../guest/image/recipe.ts';
import { KataError } from '../host/error.ts';
import { buildHost } from './build.mjs';
import { build } from './builds.ts';
import { finish, succeed } from './command.ts';
import { type DebianArch, machineArch } from './debian.ts';
import { shippedNode } from './package-node.ts';
import { writeNotices } from './package-notices.ts';
import { BUILD, ROOT } from './paths.ts';

/** Milliseconds for the guest of another architecture. */
const GUEST_TIMEOUT_MS = 20 * 60_000;
/** Documents that are of no use on a node, in docs/. */
const NOT_SHIPPED = ['architecture.md', 'status.md'];
const DEFAULTS = 'share/defaults/kata-containers/configuration.toml';

export interface Tree {
  readonly directory: string;
  readonly version: string;
  readonly arch: DebianArch;
}

/**
 * Makes the tree anew.
 * @param directory where; what is there is removed
 * @throws KataError `failed_precondition` without a compiler for `arch`
 */
export async function buildTree(directory: string, version: string, arch: DebianArch): Promise<Tree> {
  const native = arch === machineArch();
  const { triplet } = ARCHITECTURES[arch];
  const tools = native ? { cc: 'gcc', strip: 'strip' } : { cc: `${triplet}-gcc`, strip: `${triplet}-strip` };
  await expectCompiler(tools.cc, arch);
  await build(native ? ['wasm', 'defaults', 'guest'] : ['wasm', 'defaults']);
  if (!native) {
    const guest = [process.execPath, '--import', 'tsx', 'setup/guest.ts', arch];
    await succeed(guest, { cwd: ROOT, env: process.env, timeoutMs: GUEST_TIMEOUT_MS });
  }
  const node = await shippedNode(arch, tools.strip);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, 'share', 'doc'), { recursive: true });
  await buildHost(directory, { version, node: node.binary, cc: tools.cc });
  cpSync(join(BUILD, 'share/guest', arch), join(directory, 'share/guest', arch), { recursive: true });
  copyConfiguration(directory);
  await completions(directory);
  copyInstaller(directory);
  copyDocuments(directory);
  await writeNotices(join(directory, 'share/doc'), join(directory, 'share/guest', arch), arch, node);
  writeFileSync(join(directory, 'share/version'), `${version}\n`);
  setModes(directory);
  writeFileSync(join(directory, 'share/manifest'), manifestOf(directory), { mode: 0o644 });
  return { directory, version, arch };
}

/** Regular files below a directory, as paths in it, in order. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

async function expectCompiler(cc: string, arch: DebianArch): Promise<void> {
  const answer = await finish([cc, '--version']).catch(() => undefined);
  if (answer?.code === 0) return;
  const packages = arch === machineArch() ? ['gcc', 'libc6-dev'] : GUEST_CROSS_PACKAGES[arch];
  throw new KataError('failed_precondition', `${cc} does not run: apt-get install ${packages.join(' ')}`);
}

/** One for both architectures. */
function copyConfiguration(directory: string): void {
  mkdirSync(dirname(join(directory, DEFAULTS)), { recursive: true });
  copyFileSync(join(BUILD, DEFAULTS), join(directory, DEFAULTS));
}

/** Of the program that is shipped, run by this machine's Node. */
async function completions(directory: string): Promise<void> {
  const shells = { bash: 'share/completions/kata-runtime.bash', zsh: 'share/completions/_kata-runtime' };
  mkdirSync(join(directory, 'share/completions'), { recursive: true });
  for (const [shell, file] of Object.entries(shells)) {
    const text = await succeed([process.execPath, join(directory, 'lib/runtime.cjs'), 'completion', shell]);
    writeFileSync(join(directory, file), text);
  }
}

function copyInstaller(directory: string): void {
  copyFileSync(join(ROOT, 'deploy/install.sh'), join(directory, 'install.sh'));
  cpSync(join(ROOT, 'deploy/install'), join(directory, 'install'), { recursive: true });
  copyFileSync(join(ROOT, 'setup/compile-bundle.mjs'), join(directory, 'install/compile-bundle.mjs'));
  for (const name of ['kubernetes', 'helm', 'systemd', 'grafana', 'prometheus']) {
    cpSync(join(ROOT, 'deploy', name), join(directory, 'deploy', name), { recursive: true });
  }
}

function copyDocuments(directory: string): void {
  for (const name of ['README.md', 'CHANGELOG.md', 'SECURITY.md']) {
    copyFileSync(join(ROOT, name), join(directory, 'share/doc', name));
  }
  for (const name of readdirSync(join(ROOT, 'docs')).filter(
    (name) => name.endsWith('.md') && !NOT_SHIPPED.includes(name),
  )) {
    copyFileSync(join(ROOT, 'docs', name), join(directory, 'share/doc', name));
  }
}

/** Whatever the umask of whoever builds. */
function setModes(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(path, 0o755);
    else if (entry.isFile()) chmodSync(path, (lstatSync(path).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

/** `sha256sum -c` reads it; it is also what tells two builds of a version apart. */
function manifestOf(directory: string): string {
  return filesBelow(directory)
    .map(
      (path) =>
        `${createHash('sha256')
          .update(readFileSync(join(directory, path)))
          .digest('hex')}  ${path}\n`,
    )
    .join('');
}
