/**
 * What `npm start`, `npm test` and the like run first: `node setup/bootstrap.mjs ENTRY.ts [ARGUMENT...]`.
 * Plain JavaScript without a dependency, for a checkout where nothing is installed yet. Installs the npm packages of the lock
 * and the missing Debian packages, then runs the TypeScript entry in this very process. Nothing to do: no output, no network.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { step } from './step.mjs';

const NODE_MAJOR = 20;
const APT_TIMEOUT_MS = 15 * 60 * 1000;
const NPM_TIMEOUT_MS = 10 * 60 * 1000;
/** Seconds apt waits for another apt or dpkg to finish. */
const APT_LOCK_WAIT = 300;
/** Characters of a failed command's output that are shown: npm says first what is wrong, apt last. */
const OUTPUT_PART = 1500;
/** npm's own patience without a network is many minutes. */
const NPM_NETWORK = ['--fetch-retries=3', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Debian package → a file it brings; the file decides, so a program installed in another way counts too. */
const PACKAGES = {
  'busybox-static': ['/bin/busybox', '/usr/bin/busybox'],
  bsdutils: ['/usr/bin/script'],
  crun: ['/usr/bin/crun'],
  gcc: ['/usr/bin/gcc'],
  iproute2: ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip'],
  'libc6-dev': ['/usr/include/stdio.h'],
  mount: ['/usr/bin/mount', '/bin/mount'],
  'musl-tools': ['/usr/bin/musl-gcc'],
  'qemu-system-common': ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'],
  'util-linux': ['/usr/bin/setsid'],
};

/** What differs by CPU: Node's name of it → Debian packages. */
const PACKAGES_BY_ARCH = {
  x64: { 'qemu-system-x86': ['/usr/bin/qemu-system-x86_64'] },
  arm64: { 'qemu-system-arm': ['/usr/bin/qemu-system-aarch64'], 'qemu-efi-aarch64': ['/usr/share/AAVMF'] },
};

/** What only some entries need. */
const PACKAGES_BY_ENTRY = {
  'test/run.ts': { curl: ['/usr/bin/curl'], debootstrap: ['/usr/sbin/debootstrap'] },
};

const [entry, ...rest] = process.argv.slice(2);
try {
  checkMachine();
  await installDebianPackages();
  await installNpmPackages();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
const { register } = await import('tsx/esm/api');
register();
process.argv = [process.argv[0], resolve(ROOT, entry), ...rest];
await import(pathToFileURL(resolve(ROOT, entry)).href);

/** Throws unless this is Debian on a supported CPU, with this Node, as root. */
function checkMachine() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR)
    throw new Error(`Node ${process.versions.node} is too old: install Node ${NODE_MAJOR} or newer.`);
  if (process.platform !== 'linux') {
    throw new Error(
      `kata-edge runs on Linux only; this is ${process.platform}. Use a Debian 12 machine or virtual machine.`,
    );
  }
  if (!(process.arch in PACKAGES_BY_ARCH)) {
    throw new Error(`The CPU architecture ${process.arch} is not supported: use amd64 or arm64.`);
  }
  if (!existsSync('/etc/debian_version')) {
    throw new Error(
      'This is not Debian (no /etc/debian_version): the set-up installs Debian packages. Use Debian 12 or newer.',
    );
  }
  if (process.getuid() !== 0) {
    throw new Error(
      `Run this as root: containerd, mounts and virtual machines need it (you are uid ${process.getuid()}).`,
    );
  }
}

async function installDebianPackages() {
  const wanted = { ...PACKAGES, ...PACKAGES_BY_ARCH[process.arch], ...PACKAGES_BY_ENTRY[entry] };
  const missing = Object.keys(wanted).filter((name) => !wanted[name].some((file) => existsSync(file)));
  if (missing.length === 0) return;
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
  await step(`Debian packages: ${missing.join(' ')}`, async () => {
    try {
      await apt(install);
    } catch {
      // No package lists yet, or lists older than the archive: both are cured by an update, whose own failure for one
      // of several sources does not matter if the install then works.
      await apt(['update', '-q']).catch(() => {});
      await apt(install);
    }
  });
}

function apt(args) {
  return run('apt-get', ['-o', `DPkg::Lock::Timeout=${APT_LOCK_WAIT}`, ...args], APT_TIMEOUT_MS, {
    ...process.env,
    DEBIAN_FRONTEND: 'noninteractive',
  });
}

async function installNpmPackages() {
  if (npmPackagesMatchLock()) return;
  await step('npm packages', () =>
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...NPM_NETWORK], NPM_TIMEOUT_MS, process.env),
  );
}

/** npm notes what it installed in node_modules/.package-lock.json, in the lock's own form. Packages for other machines are left out. */
function npmPackagesMatchLock() {
  const installedFile = `${ROOT}/node_modules/.package-lock.json`;
  if (!existsSync(installedFile)) return false;
  const locked = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  return Object.entries(locked).every(([path, { version, integrity, optional }]) => {
    if (path === '') return true;
    const found = installed[path];
    return found === undefined ? optional === true : found.version === version && found.integrity === integrity;
  });
}

/** @throws Error with the end of the command's output */
function run(command, args, timeout, env) {
  return new Promise((done, fail) => {
    const child = execFile(
      command,
      args,
      { cwd: ROOT, env, timeout, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (!error) return done();
        fail(
          new Error(
            `${command} ${args.join(' ')} failed (${error.signal ?? `exit code ${error.code}`}):\n${ends(`${stdout}${stderr}`)}`,
          ),
        );
      },
    );
    child.stdin?.end();
  });
}

function ends(text) {
  return text.length <= 2 * OUTPUT_PART ? text : `${text.slice(0, OUTPUT_PART)}\n...\n${text.slice(-OUTPUT_PART)}`;
}
