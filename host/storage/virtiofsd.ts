/** The daemon behind a virtio-fs device. Always in its own namespaces, never outliving this process. */
import { execFile } from 'node:child_process';
import { closeSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Child, type ChildExit, FIRST_DESCRIPTOR } from '../child.ts';
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import type { ProcessIdentity } from '../process.ts';
import { oneLine } from '../tail.ts';

/** What the daemon gets to say its version, ms. */
const VERSION_MS = 5000;

/** Where distributions put it: as the configuration's default, Debian 13, Debian 12, Fedora. */
export const DAEMON_PATHS = ['/usr/libexec/virtiofsd', '/usr/lib/virtiofsd', '/usr/lib/qemu/virtiofsd'] as const;

export const CACHE_MODES = ['auto', 'always', 'metadata', 'never'] as const;
export type CacheMode = (typeof CACHE_MODES)[number];

/** The old one is part of QEMU up to 7.x and written in C; the one that followed it, in Rust, has other options. */
export type Flavour = 'c' | 'rust';

/** A file or directory of the host that the guest itself, not a container, has. */
export interface SandboxMount {
  /** Absolute. */
  readonly path: string;
  /** Under which the guest finds it; unique, without a slash. */
  readonly name: string;
  readonly readOnly: boolean;
}

export interface VirtiofsdConfig {
  /** `virtio_fs_daemon`; where there is none, DAEMON_PATHS are tried. */
  readonly daemon: string;
  /**
   * `virtio_fs_cache`. `auto` is right for every program; with `never` and `metadata` files cannot be mapped shared,
   * but the guest keeps no second copy of what it reads.
   */
  readonly cache: string;
  /** `virtio_fs_extra_args`. */
  readonly extraArgs: readonly string[];
  /** `virtio_fs_queue_size`: requests under way, a power of two up to 1024; absent: the hypervisor's default. */
  readonly queueSize?: number | undefined;
  /** `sandbox_bind_mounts`: what every guest finds below SANDBOX_MOUNTS in the share, without its containers. */
  readonly sandboxMounts?: readonly SandboxMount[] | undefined;
  /**
   * The mount namespace in which paths of volumes count, as `/proc/self/fd/5`: the host's. Absent: this process's own, which
   * has what was mounted before it was made, and of later mounts those that propagate.
   */
  readonly hostNamespace?: string | undefined;
}

/** Options by which an operator could open the host to the guest, or that are ours to give. */
const RESERVED = /^(--?)?(sandbox|seccomp|shared-dir|source|socket|socket-path|socket-group|fd|modcaps|daemonize|d)\b/;
const SUBMOUNTS = /announce[-_]submounts/;

const flavours = new Map<string, Promise<Flavour>>();

export class Virtiofsd {
  readonly socketPath: string;
  readonly #child: Child;

  private constructor(child: Child, socketPath: string) {
    this.#child = child;
    this.socketPath = socketPath;
  }

  /** For the state file. */
  get identity(): ProcessIdentity {
    return this.#child.identity;
  }

  /** Settles when the daemon has ended, which it does by itself when QEMU disconnects. */
  get exited(): Promise<ChildExit> {
    return this.#child.exited;
  }

  /**
   * Starts the daemon on a socket that listens already, so that nobody has to wait for it.
   * @param socketPath where QEMU shall connect; must not exist
   * @param sharedDir what the guest shall see
   * @throws KataError `failed_precondition` (no daemon), `invalid_argument` (bad cache mode or extra argument)
   */
  static async start(config: VirtiofsdConfig, socketPath: string, sharedDir: string): Promise<Virtiofsd> {
    const daemon = await findDaemon(config.daemon);
    const args = virtiofsdArguments(config, await flavourOf(daemon), sharedDir);
    const fd = native().listenUnix(socketPath, 1);
    try {
      // It needs capabilities to make files as their owners; it gives up the others itself.
      const child = await Child.spawn(daemon, args, { descriptors: [fd], dropCapabilities: false });
      return new Virtiofsd(child, socketPath);
    } catch (thrown) {
      rmSync(socketPath, { force: true });
      throw thrown;
    } finally {
      closeSync(fd);
    }
  }

  /** What it has said, for an error message. */
  lastWords(): string {
    return oneLine(this.#child.stderr());
  }

  /** Ends the daemon and removes its socket. Idempotent. */
  async stop(): Promise<void> {
    await this.#child.kill();
    rmSync(this.socketPath, { force: true });
  }
}

/**
 * The daemon's arguments.
 * @throws KataError `invalid_argument`
 */
export function virtiofsdArguments(config: VirtiofsdConfig, flavour: Flavour, sharedDir: string): string[] {
  const cache = cacheMode(config.cache);
  const extra = extraArguments(config.extraArgs);
  if (flavour === 'rust') {
    return [
      ...[`--fd=${FIRST_DESCRIPTOR}`, '--shared-dir', sharedDir, '--cache', cache],
      ...['--sandbox', 'namespace', '--seccomp', 'kill', '--announce-submounts', ...extra],
    ];
  }
  // It has no cache of metadata alone: `none` is the nearest that keeps no data.
  const cCache = cache === 'never' || cache === 'metadata' ? 'none' : cache;
  return [
    ...[`--fd=${FIRST_DESCRIPTOR}`, '-f', '-o', `source=${sharedDir}`, '-o', `cache=${cCache}`],
    ...['-o', 'sandbox=namespace', '-o', 'announce_submounts', ...extra],
  ];
}

function cacheMode(name: string): CacheMode {
  if (name === '') return 'auto';
  const mode = CACHE_MODES.find((known) => known === name);
  if (mode) return mode;
  throw new KataError(
    'invalid_argument',
    `hypervisor.qemu.virtio_fs_cache: "${name}" is unknown; use ${CACHE_MODES.join(', ')}`,
  );
}

/**
 * Looks for what would open the host to the guest, or is ours to give.
 * @param args `virtio_fs_extra_args`
 * @returns the argument; undefined: there is none
 */
export function reservedArgument(args: readonly string[]): string | undefined {
  return pairs(args).find(({ names }) => names.some((name) => RESERVED.test(name)))?.text;
}

/** The operator's arguments, less what we give anyway. */
function extraArguments(args: readonly string[]): string[] {
  const reserved = reservedArgument(args);
  if (reserved !== undefined) {
    throw new KataError(
      'invalid_argument',
      `hypervisor.qemu.virtio_fs_extra_args: "${reserved}" is not allowed: what is shared, and the daemon's sandbox, are fixed`,
    );
  }
  return pairs(args).flatMap(({ parts, option }) => (SUBMOUNTS.test(option) ? [] : parts));
}

/** Each option with its value behind `-o`. */
function pairs(args: readonly string[]): { parts: string[]; option: string; names: string[]; text: string }[] {
  const found = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? '';
    const parts = argument === '-o' ? ['-o', args[++i] ?? ''] : [argument];
    const option = parts[parts.length - 1] ?? '';
    const names = parts.length === 2 || option.startsWith('-o') ? option.replace(/^-o/, '').split(',') : [option];
    found.push({ parts, option, names, text: parts.join(' ') });
  }
  return found;
}

async function findDaemon(configured: string): Promise<string> {
  // One of somebody's own is never replaced; but Kata's file names one of these wherever it is installed.
  const known: readonly string[] = DAEMON_PATHS;
  const own = configured !== '' && !known.includes(configured);
  for (const path of own ? [configured] : [configured, ...known].filter((each) => each !== '')) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return path;
  }
  throw new KataError(
    'failed_precondition',
    `hypervisor.qemu.virtio_fs_daemon: there is no virtiofsd at ${configured || DAEMON_PATHS[0]}; install the package virtiofsd (Debian 12: qemu-system-common)`,
  );
}

/** Asked once per path. The old one says `virtiofsd version 7.2…`, the new one `virtiofsd 1.…`. */
function flavourOf(daemon: string): Promise<Flavour> {
  let flavour = flavours.get(daemon);
  if (!flavour) {
    flavour = askFlavour(daemon);
    flavours.set(daemon, flavour);
    flavour.catch(() => flavours.delete(daemon));
  }
  return flavour;
}

async function askFlavour(daemon: string): Promise<Flavour> {
  const { stdout } = await promisify(execFile)(daemon, ['--version'], { timeout: VERSION_MS, encoding: 'utf8' }).catch(
    (thrown: unknown) => {
      throw new KataError('failed_precondition', `${daemon} --version failed: ${reasonOf(thrown)}`, { cause: thrown });
    },
  );
  return /^virtiofsd version /m.test(stdout) ? 'c' : 'rust';
}
