/**
 * A private containerd: its own root, state and socket in a temporary directory, its own environment, ended without a trace.
 * The machine's containerd, if it has one, is never touched.
 */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandOptions, type Finished, finish, succeed } from './command.ts';
import { containerdConfig } from './containerd-config.ts';
import type { ContainerdPrograms } from './containerd-packages.ts';
import { type CriOptions, criDaemonConfig } from './cri-daemon.ts';
import { FIFO_DIRECTORY, leftovers, mountPoints, type Snapshot, snapshot, sweep } from './leftovers.ts';
import { inNetworkNamespace, makeNetworkNamespace } from './network-namespace.ts';
import { kill, markedProcesses, readProcess } from './processes.ts';

/** Milliseconds for the daemon to answer, and to end after SIGTERM. */
const READY_MS = 30_000;
const STOP_MS = 10_000;
/** Milliseconds in which shims may finish their clean-up before what is there counts as left behind. */
const SETTLE_MS = 10_000;
const INTERVAL_MS = 25;
/** Short, since paths of unix sockets are limited to 107 bytes. */
const DIRECTORY_PREFIX = '/tmp/ke-';
/** Bytes of the daemon's log shown when it does not start. */
const LOG_TAIL = 4096;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface ContainerdOptions {
  readonly programs: ContainerdPrograms;
  /** Directory with containerd-shim-kata-v2; first in the daemon's PATH. */
  readonly shimDirectory: string;
  /** Log level; `debug` is passed on to the shims. */
  readonly level?: 'info' | 'debug';
  /** Added to the daemon's environment, which is otherwise HOME and PATH. */
  readonly extraEnv?: Readonly<Record<string, string>>;
  /** OCI archives to import into `namespaces`. */
  readonly image?: string | readonly string[];
  /** containerd namespaces that get the image; absent: `default`. */
  readonly namespaces?: readonly string[];
  /** What this containerd itself leaves behind: it does not count. */
  readonly forgiven?: RegExp;
  /** Serves CRI too, in a network namespace of its own. */
  readonly cri?: CriOptions;
}

export interface Containerd {
  /** Root of everything this daemon has; also the mark by which its processes are known. */
  readonly directory: string;
  /** The gRPC socket, as `ctr --address` wants it. */
  readonly address: string;
  /** What the daemon says of itself, e.g. `1.7.24~ds1`. */
  readonly version: string;
  /** Runs `ctr ARGS` to its end. */
  ctr(args: readonly string[], options?: CommandOptions): Promise<Finished>;
  /** Starts `ctr ARGS` with stdio as given; the caller owns the process. */
  spawnCtr(args: readonly string[], stdio: StdioOptions): ChildProcess;
  /** `ctr`'s command line, for a program that starts it. */
  ctrCommand(args: readonly string[]): string[];
  /** Flags of `ctr run` and `ctr task exec` by which their FIFOs are known to be of this daemon. */
  readonly fifoFlags: readonly string[];
  /** The environment in which `ctr` runs. */
  readonly env: Readonly<Record<string, string>>;
  /** The daemon's log up to now, lines of shims included. */
  log(): string;
  /** What was there once the daemon was ready. */
  readonly before: Snapshot;
  /** With CRI: the file that is the daemon's network namespace. */
  readonly networkNamespace: string | undefined;
  /** With CRI: cgroup below which pods' cgroup_parent may be, as an absolute cgroup path. */
  readonly podsCgroup: string;
  /** What has been added since `before`; waits for clean-up under way. */
  leftovers(withinMs?: number): Promise<string[]>;
  /** Ends the daemon (SIGTERM, or as said) and leaves its tasks alone. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the daemon again after `end`. */
  start(): Promise<void>;
  /** Ends everything: tasks, shims, daemon, mounts, directory. @returns what had been left behind by then */
  stop(): Promise<string[]>;
}

/**
 * Starts a daemon and waits until it answers.
 * @throws Error with the end of its log
 */
export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  const directory = mkdtempSync(DIRECTORY_PREFIX);
  const daemon = new PrivateContainerd(directory, options);
  try {
    await daemon.start();
    for (const image of options.image === undefined ? [] : [options.image].flat()) {
      await daemon.importImage(image, options.namespaces ?? ['default']);
    }
    daemon.before = snapshot(directory);
    return daemon;
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

class PrivateContainerd implements Containerd {
  readonly address: string;
  readonly env: Record<string, string>;
  readonly fifoFlags: readonly string[];
  readonly networkNamespace: string | undefined;
  readonly podsCgroup: string;
  before: Snapshot;
  version = '';
  #child: ChildProcess | undefined;

  constructor(
    readonly directory: string,
    readonly options: ContainerdOptions,
  ) {
    this.address = `${directory}/c.sock`;
    this.fifoFlags = ['--fifo-dir', `${directory}/${FIFO_DIRECTORY}`];
    const { bin, runcBin } = options.programs;
    const tools = options.cri === undefined ? '' : `:${options.cri.packages.iptablesBin}`;
    this.env = {
      HOME: '/root',
      PATH: `${options.shimDirectory}:${bin}:${runcBin}:${SYSTEM_PATH}${tools}`,
      ...options.extraEnv,
    };
    this.podsCgroup = `/${directory.split('/').pop()}-pods`;
    // However this program ends (but for SIGKILL), nothing of the daemon outlives it.
    process.on('exit', this.#wipe);
    this.networkNamespace = options.cri === undefined ? undefined : `${directory}/netns`;
    if (this.networkNamespace !== undefined) makeNetworkNamespace(this.networkNamespace);
    const cri = options.cri === undefined ? {} : { cri: criDaemonConfig(options.cri, directory, `${runcBin}/runc`) };
    if (cri.cri !== undefined) this.env.CONTAINERD_SNAPSHOTTER = cri.cri.snapshotter;
    writeFileSync(`${directory}/config.toml`, containerdConfig({ directory, level: options.level ?? 'info', ...cri }));
    this.before = snapshot(directory);
  }

  async start(): Promise<void> {
    const log = openSync(`${this.directory}/log`, 'a', 0o600);
    const program = [`${this.options.programs.bin}/containerd`, '--config', `${this.directory}/config.toml`];
    const command = this.networkNamespace === undefined ? program : inNetworkNamespace(this.networkNamespace, program);
    // Its own cgroup where one can be made: what it starts stays there, however far it goes.
    const script = `for d in ${ownCgroups(this.directory).join(' ')}; do mkdir -p "$d" && echo $$ >"$d/cgroup.procs"; done 2>/dev/null; exec "$@"`;
    this.#child = spawn('/bin/sh', ['-c', script, 'sh', ...command], {
      cwd: this.directory,
      env: this.env,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    await this.#ready();
  }

  async #ready(): Promise<void> {
    for (const deadline = Date.now() + READY_MS; ; await sleep(INTERVAL_MS)) {
      if (this.#child?.exitCode !== null || Date.now() > deadline) {
        throw new Error(
          `containerd does not start (exit code ${this.#child?.exitCode}):\n${this.log().slice(-LOG_TAIL)}`,
        );
      }
      if (!existsSync(this.address)) continue;
      const answer = await this.ctr(['version']);
      const server = answer.stdout.split('Server:')[1];
      if (answer.code === 0 && server !== undefined) {
        this.version = /Version:\s*(\S+)/.exec(server)?.[1] ?? 'unknown';
        this.#expectDaemon();
        return;
      }
    }
  }

  /** A daemon that was started again is no leftover. */
  #expectDaemon(): void {
    const daemon = readProcess(this.#child?.pid ?? 0);
    if (daemon === undefined) return;
    this.before = {
      ...this.before,
      processes: new Set([...this.before.processes, `${daemon.pid}:${daemon.startTime}`]),
    };
  }

  async importImage(archive: string, namespaces: readonly string[]): Promise<void> {
    for (const namespace of namespaces) {
      const load = () => this.ctr(['--namespace', namespace, 'images', 'import', archive]);
      if ((await load()).code === 0) continue;
      // No overlay on overlay: the copying snapshotter serves everywhere.
      this.env.CONTAINERD_SNAPSHOTTER = 'native';
      await succeed(this.ctrCommand(['--namespace', namespace, 'images', 'import', archive]), { env: this.env });
    }
  }

  ctrCommand(args: readonly string[]): string[] {
    return [`${this.options.programs.bin}/ctr`, '--address', this.address, ...args];
  }

  ctr(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
    return finish(this.ctrCommand(args), { env: this.env, ...options });
  }

  spawnCtr(args: readonly string[], stdio: StdioOptions): ChildProcess {
    const [program = '', ...rest] = this.ctrCommand(args);
    return spawn(program, rest, { env: this.env, stdio });
  }

  log(): string {
    return readFileSync(`${this.directory}/log`, 'utf8');
  }

  async leftovers(withinMs = SETTLE_MS): Promise<string[]> {
    const { forgiven } = this.options;
    return (await leftovers(this.before, this.directory, withinMs, forgiven)).map(
      ({ kind, what }) => `${kind} ${what}`,
    );
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  async stop(): Promise<string[]> {
    if (!existsSync(this.directory)) return [];
    const left = await leftovers(this.before, this.directory, SETTLE_MS, this.options.forgiven);
    const found = left.map(({ kind, what }) => `${kind} ${what}`);
    await this.end();
    this.#wipe();
    process.off('exit', this.#wipe);
    sweep(left);
    for (const cgroup of ownCgroups(this.directory)) removeCgroup(cgroup);
    for (const root of cgroupRoots()) removeCgroup(`${root}${this.podsCgroup}`);
    return found;
  }

  /** Kills and unmounts what is left and removes the directory, without waiting for anything. */
  readonly #wipe = (): void => {
    // Twice: a parent may have forked between look and kill.
    for (let round = 0; round < 2; round++) for (const process of markedProcesses(this.directory)) kill(process);
    const mounts = () => mountPoints().filter((path) => path.startsWith(`${this.directory}/`));
    for (const path of mounts().reverse()) spawnSync('umount', ['--lazy', path]);
    // Never through a mount that resisted: it could hold somebody's files.
    if (mounts().length === 0) rmSync(this.directory, { recursive: true, force: true });
  };
}

/** Where the daemon's cgroup is, by the hierarchies there are: the named one of version 1, or version 2. */
function ownCgroups(directory: string): string[] {
  const name = directory.split('/').pop();
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  const roots = unified
    ? ['/sys/fs/cgroup']
    : ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/pids'].filter((root) => existsSync(root));
  return roots.map((root) => `${root}/${name}`);
}

/** Where cgroups can be: each hierarchy of version 1, and version 2's. */
function cgroupRoots(): string[] {
  if (existsSync('/sys/fs/cgroup/cgroup.controllers')) return ['/sys/fs/cgroup'];
  return readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`);
}

function removeCgroup(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Never made, or a process is just ending in it.
  }
}
