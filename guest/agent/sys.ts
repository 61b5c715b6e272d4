/**
 * Every system call the agent makes. guest/sys implements it in C for QuickJS (module `sys`);
 * test/unit/guest has one on Node. The agent itself never imports anything else from its surroundings.
 *
 * All descriptors are made O_CLOEXEC; those the agent polls are non-blocking.
 * A failed call throws SysError with the errno's name, unless stated otherwise.
 */

export class SysError extends Error {
  override readonly name = 'SysError';
  constructor(
    /** errno by name, e.g. `ENOENT`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Stat {
  /** `file`, `dir`, `link`, `fifo`, `socket`, `char`, `block`. */
  readonly type: string;
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly dev: number;
  readonly ino: number;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
}

export interface StatFs {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
}

/** A child's end: `status` is the exit code, or 128 + signal. */
export interface Reaped {
  readonly pid: number;
  readonly status: number;
}

/** One descriptor to watch. */
export interface PollEntry {
  readonly fd: number;
  /** POLLIN 1, POLLPRI 2, POLLOUT 4. */
  readonly events: number;
}

export interface SpawnOptions {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** Descriptors for the child's 0, 1, 2; -1: /dev/null. All others are closed. */
  readonly stdio: readonly [number, number, number];
  /** Path of a terminal: the controlling one of the child's new session, and its 0, 1, 2. */
  readonly terminal?: string;
  readonly cwd?: string;
  readonly newSession?: boolean;
}

/** A further process of a running container. Lists are texts: they hold 64-bit numbers. */
export interface EnterOptions {
  /** A process in all of the container's namespaces. */
  readonly pid: number;
  /** Directory of its cgroup. */
  readonly cgroup: string;
  /** Name of its session keyring. */
  readonly keyring: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly stdio: readonly [number, number, number];
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly string[];
  readonly umask: number;
  /** `resource soft hard`, all numbers. */
  readonly rlimits: readonly string[];
  /** Five sets, bit by number: bounding, effective, inheritable, permitted, ambient. */
  readonly capabilities: readonly string[];
  readonly oomScoreAdj: number;
  /** 0 or 1. */
  readonly noNewPrivileges: number;
}

export interface Sys {
  // files
  readFile(path: string, maxBytes: number): Uint8Array;
  /** Creates or truncates; one write(2) for files of /proc, /sys and cgroups. */
  writeFile(path: string, data: Uint8Array | string, mode?: number): void;
  mkdir(path: string, mode: number): void;
  readdir(path: string): string[];
  unlink(path: string): void;
  rmdir(path: string): void;
  rename(from: string, to: string): void;
  symlink(target: string, path: string): void;
  readlink(path: string): string;
  /** Does not follow links. */
  lstat(path: string): Stat;
  stat(path: string): Stat;
  /** Does not follow links. -1 leaves an id as it is. */
  lchown(path: string, uid: number, gid: number): void;
  chmod(path: string, mode: number): void;
  mknod(path: string, mode: number, major: number, minor: number): void;
  statfs(path: string): StatFs;

  // descriptors
  /** flags: the O_* numbers of Linux on this architecture. O_CLOEXEC is added. */
  open(path: string, flags: number, mode?: number): number;
  close(fd: number): void;
  /** Empty: end of file. null: nothing there yet (EAGAIN). A pty whose other side is gone (EIO) reads as end of file. */
  read(fd: number, maxBytes: number): Uint8Array | null;
  /** Fills `buffer` as far as bytes are there. -1: nothing yet; 0: end of file (or an empty buffer). */
  readInto(fd: number, buffer: Uint8Array): number;
  /** Bytes written; 0: would block. */
  write(fd: number, data: Uint8Array): number;
  /** Writes chunk after chunk until all are written or the descriptor would block; the bytes written. */
  writev(fd: number, chunks: readonly Uint8Array[]): number;
  pwrite(fd: number, data: Uint8Array, offset: number): number;
  /**
   * Moves bytes inside the kernel, to or from a pipe, until `most` are moved, `from` is empty or `to` takes no more. The bytes moved;
   * 0: the end of `from`; -1: nothing can be moved now. Throws EINVAL for descriptors it cannot be done with.
   */
  splice(from: number, to: number, most: number): number;
  /** Whether two pieces of memory hold the same bytes. */
  same(a: Uint8Array, b: Uint8Array): boolean;
  /** Makes a pipe hold so many bytes; false where the kernel's limits forbid it. */
  setPipeSize(fd: number, bytes: number): boolean;
  /** Read end and write end, both non-blocking at our side. */
  pipe(): [read: number, write: number];
  setNonBlocking(fd: number, on: boolean): void;
  ftruncate(fd: number, size: number): void;

  // sockets
  /** Listens on a unix socket at `path`, mode 0600. */
  listenUnix(path: string): number;
  /** Listens on AF_VSOCK, any CID. Throws EAFNOSUPPORT or ENODEV where the guest has none. */
  listenVsock(port: number): number;
  /** Begins to connect over TCP to an address of 4 or 16 bytes; POLLOUT tells that the attempt has ended. */
  connectTcp(address: Uint8Array, port: number): number;
  /** Throws the error a socket's last attempt ended with. */
  checkSocket(fd: number): void;
  /** Tells a socket's other side that no more comes. */
  shutdownWrite(fd: number): void;
  /** null: nobody waits. */
  accept(fd: number): number | null;
  /** One descriptor sent over a unix socket by SCM_RIGHTS; null: nothing there yet. */
  receiveFd(fd: number): number | null;
  /** One netlink route request; the kernel's answers (all parts), concatenated. Throws the errno of an NLMSG_ERROR. */
  netlinkRoute(request: Uint8Array): Uint8Array;

  // processes
  spawn(options: SpawnOptions): number;
  /**
   * Starts a process in a container's namespaces; absent where crun has to. Returns a non-blocking descriptor with
   * records of two 32-bit numbers (guest/agent/enter.ts) that ends when the program was executed or will not be.
   */
  enter?(options: EnterOptions): number;
  /** Every child that has ended since. Never blocks. */
  reap(): Reaped[];
  kill(pid: number, signal: number): void;
  /** A new pty: its master, non-blocking, and the path of its slave. */
  openTerminal(): { readonly master: number; readonly path: string };
  /** Rows and columns of the pty behind `fd`. */
  setWindowSize(fd: number, rows: number, columns: number): void;
  getpid(): number;

  // system
  mount(source: string, target: string, fstype: string, flags: number, data: string): void;
  umount(target: string, flags: number): void;
  chdir(path: string): void;
  chroot(path: string): void;
  sethostname(name: string): void;
  setTimeOfDay(seconds: number, microseconds: number): void;
  /** Mixes `data` into the kernel's entropy pool, credits it, and reseeds the generator. */
  reseedRandom(data: Uint8Array): void;
  loadModule(path: string, parameters: string): void;
  swapon(path: string): void;
  /** Has the ext4 file system mounted at `path` grow to so many of its blocks. */
  resizeExt4(path: string, blocks: number): void;
  /** `poweroff` or `restart`; does not return. As an ordinary process it exits. */
  reboot(how: 'poweroff' | 'restart'): void;
  /** Keeps namespaces alive: a child in new IPC, UTS and pid namespaces, first of the latter. Returns its pid. */
  holdNamespaces(hostname: string): number;

  // time and the loop
  /** Milliseconds, monotonic. */
  now(): number;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /**
   * Waits for events or children. `revents` by index of `entries`; also returns when a child has ended (SIGCHLD).
   * timeoutMs -1: for ever.
   */
  poll(entries: readonly PollEntry[], timeoutMs: number): number[];
  /** Writes a line to the console. */
  log(line: string): void;
}
