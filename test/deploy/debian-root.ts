/**
 * A Debian of its own, to install into: made once by debootstrap, then an overlay for each test, with namespaces of its own for
 * mounts, network and processes. When its first process is killed, everything is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineSources } from '../../setup/apt-sources.ts';
import { type CommandOptions, describe, type Finished, finish, succeed } from '../../setup/command.ts';
import { machineArch } from '../../setup/debian.ts';
import { CACHE } from '../../setup/paths.ts';

const SUITE = 'bookworm';
/** Raise it when the packages below change. */
const RECIPE = 1;
/** What the package depends on and recommends; the rest comes with it. */
const PACKAGES = ['containerd', 'runc', 'util-linux', 'qemu-system-common'];
const QEMU = { amd64: ['qemu-system-x86'], arm64: ['qemu-system-arm', 'qemu-efi-aarch64'] };
const DEBOOTSTRAP_TIMEOUT_MS = 10 * 60_000;
const COMMAND_TIMEOUT_MS = 120_000;
const READY_MS = 10_000;
const INTERVAL_MS = 20;
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C',
};

/** $1 the base, $2 a directory for the rest. An overlay where the machine can, else a copy. */
const ENTER = `
set -e
mkdir -p "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" 2>/dev/null || cp -a "$1/." "$2/root/"
cd "$2/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
ip link set lo up
touch "$2/ready"
exec chroot . sleep infinity
`;

export interface DebianRoot {
  /** Where it is seen from outside. Its mounts are not: only what is put there before it is entered. */
  readonly directory: string;
  /** Runs a program in it; whatever way it ends is a result. */
  run(argv: readonly string[], options?: CommandOptions): Promise<Finished>;
  /** Runs one that must end well. @returns stdout */
  must(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a program that goes on running. */
  start(argv: readonly string[], log: string): ChildProcess;
  /** Copies a file or directory into it. */
  put(from: string, to: string): Promise<void>;
  /** A file's text. */
  read(path: string): Promise<string>;
  close(): Promise<void>;
}

/** Starts one. @throws Error without debootstrap, or without its mirror */
export async function debianRoot(): Promise<DebianRoot> {
  const base = await debianBase();
  const directory = mkdtempSync('/tmp/ked-');
  const root = new PrivateRoot(directory);
  try {
    await root.enter(base);
    return root;
  } catch (error) {
    await root.close();
    throw error;
  }
}

class PrivateRoot implements DebianRoot {
  #unshare: ChildProcess | undefined;
  #first = 0;
  readonly #gone = () => this.#unshare?.kill('SIGKILL');

  constructor(readonly directory: string) {}

  async enter(base: string): Promise<void> {
    const log = join(this.directory, 'log');
    writeFileSync(log, '');
    const flags = ['--mount', '--net', '--pid', '--fork', '--kill-child=SIGKILL', '--propagation', 'private'];
    this.#unshare = spawn('unshare', [...flags, 'sh', '-c', `exec 2>${log}; ${ENTER}`, 'sh', base, this.directory], {
      stdio: 'ignore',
    });
    process.on('exit', this.#gone);
    for (const deadline = Date.now() + READY_MS; !existsSync(join(this.directory, 'ready')); await sleep(INTERVAL_MS)) {
      if (this.#unshare.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the root cannot be entered: ${readFileSync(log, 'utf8')}`);
      }
    }
    const { pid = 0 } = this.#unshare;
    this.#first = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  }

  #command(argv: readonly string[]): string[] {
    return ['nsenter', `--target=${this.#first}`, '--mount', '--net', '--pid', '--root', '--wd=/', ...argv];
  }

  run(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
    return finish(this.#command(argv), { env: ENVIRONMENT, timeoutMs: COMMAND_TIMEOUT_MS, ...options });
  }

  async must(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
    const done = await this.run(argv, options);
    if (done.code !== 0) throw new Error(`${argv.join(' ')}\n${describe(done)}`);
    return done.stdout;
  }

  start(argv: readonly string[], log: string): ChildProcess {
    const [program = '', ...rest] = this.#command([
      'sh',
      '-c',
      'log=$1; shift; exec "$@" >>"$log" 2>&1',
      'sh',
      log,
      ...argv,
    ]);
    return spawn(program, rest, { env: ENVIRONMENT, stdio: 'ignore' });
  }

  async put(from: string, to: string): Promise<void> {
    // By way of a pipe: what is copied to the overlay's upper directory from outside may not be seen.
    const name = to.split('/').pop() ?? '';
    const staged = mkdtempSync(join(this.directory, 'put-'));
    cpSync(from, join(staged, name), { recursive: true, verbatimSymlinks: true });
    const pack = `mkdir -p '${dirname(to)}' && tar -C '${dirname(to)}' -xf -`;
    const [program = '', ...rest] = this.#command(['sh', '-c', pack]);
    await succeed(['sh', '-c', 'staged=$1; shift; tar -C "$staged" -cf - . | "$@"', 'sh', staged, program, ...rest], {
      env: ENVIRONMENT,
      timeoutMs: COMMAND_TIMEOUT_MS,
    });
    rmSync(staged, { recursive: true });
  }

  read(path: string): Promise<string> {
    return this.must(['cat', path]);
  }

  async close(): Promise<void> {
    const child = this.#unshare;
    process.off('exit', this.#gone);
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // The first process takes all others of its namespace along, and the mounts go with the last of them.
      process.kill(this.#first || (child.pid ?? 0), 'SIGKILL');
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Made unless it is there. */
async function debianBase(): Promise<string> {
  const arch = machineArch();
  const base = join(CACHE, 'roots', `${SUITE}-${arch}-${RECIPE}`);
  if (existsSync(base)) return base;
  const partial = `${base}.${process.pid}`;
  mkdirSync(dirname(base), { recursive: true });
  const source = (await machineSources()).find(({ debian, suite }) => debian && /^[a-z]+$/.test(suite));
  if (source === undefined) throw new Error("there is no Debian mirror in the machine's apt sources");
  const keys = source.trusted
    ? ['--no-check-gpg']
    : source.signedBy?.endsWith('.gpg')
      ? [`--keyring=${source.signedBy}`]
      : [];
  const include = `--include=${[...PACKAGES, ...QEMU[arch]].join(',')}`;
  try {
    await succeed(['debootstrap', '--variant=minbase', include, ...keys, SUITE, partial, source.uri], {
      env: { ...process.env, ...(await aptProxy()), LC_ALL: 'C' },
      timeoutMs: DEBOOTSTRAP_TIMEOUT_MS,
    });
    rmSync(join(partial, 'var/cache/apt'), { recursive: true, force: true });
    renameSync(partial, base);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return base;
}

/** debootstrap fetches by itself; the machine may reach its mirror through apt's proxy only. */
async function aptProxy(): Promise<Record<string, string>> {
  const text = await succeed(['apt-config', 'dump', '--format=%v%n', 'Acquire::http::Proxy']);
  const proxy = text.trim().split('\n')[0] ?? '';
  return proxy === '' ? {} : { http_proxy: proxy };
}
