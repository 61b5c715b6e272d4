/** The system calls Node lacks, from native/. Loaded at first use: most calls of the shim never need it. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KataError, reasonOf } from './error.ts';

/** Flags of mount(2), linux/mount.h. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
} as const;

/** Detaches at once, and never follows a link in the last component. */
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** O_PATH, fcntl.h; absent from node:fs. The same on amd64 and arm64. */
export const O_PATH = 0o10000000;

/** What SO_PEERCRED tells of the other end of a unix socket. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Each throws (or rejects with) an Error that has `code`, `errno` and `syscall`, as node:fs does. */
export interface Native {
  /** Connects to `cid`:`port`. The promise's descriptor belongs to the caller. */
  vsockConnect(cid: number, port: number, timeoutMs: number): Promise<number>;
  /** Claims a context id (3 … 2^32-2) for an open /dev/vhost-vsock; EADDRINUSE when it is taken. */
  vhostVsockGuestCid(fd: number, cid: number): void;
  /** `directory`, unless empty, is where relative names in `data` start. Absent `fstype`, `data`: ''. */
  mount(source: string, target: string, fstype: string, flags: number, data: string, directory: string): void;
  umount(target: string, flags: number): void;
  /** RDONLY, NOSUID, NODEV and NOEXEC of the mount that holds `path`. */
  mountFlags(path: string): number;
  /** Opens `path` below `root`; fails with ELOOP or EXDEV where a link or `..` would leave it. */
  openBeneath(root: string, path: string, flags: number, mode: number): number;
  /**
   * Descriptors of `path` as the mount namespace at `namespace` has it, and of a copy of what is mounted there, attached nowhere.
   * Both belong to the caller.
   */
  copyMount(namespace: string, path: string, recursive: boolean): Promise<{ place: number; tree: number }>;
  /** Mounts such a copy at `target`; its descriptor stays open. */
  attachMount(tree: number, target: string): void;
  /** A listening unix socket (mode 0600) that Node does not poll: for a child to accept on. */
  listenUnix(path: string, backlog: number): number;
  /** Keeps descriptors from 3 on from children that are not handed them. */
  closeOnExec(): void;
  /** A file that is memory only, and gone when nobody has it open. */
  memoryFile(name: string): number;
  /** Makes a pipe hold `bytes` or a little more. @returns how many it holds */
  setPipeSize(fd: number, bytes: number): number;
  peerCredentials(fd: number): PeerCredentials;
  /**
   * Runs `callback` in the network namespace at `path`: sockets and processes it makes are born there. It must return at
   * once: no promises, nothing that uses the thread pool.
   */
  inNetworkNamespace<T>(path: string, callback: () => T): T;
  /** A new network namespace, held by a mount at `path`, which must not exist. */
  createNetworkNamespace(path: string): void;
  /**
   * A tap device, in the current namespace, that stays when nobody has it open; EBUSY when there is one of that name.
   * @param multiQueue whether it is opened once for each of several queues; absent: for one
   */
  createTap(name: string, multiQueue?: boolean): void;
  /** A queue of a tap device in the current namespace; the descriptor is the caller's. A name that is none makes a device. */
  openTap(name: string, multiQueue?: boolean): number;
  /** A TCP listener on 127.0.0.1 (4) or ::1 (6), on a port the kernel chooses. */
  listenLoopback(family: 4 | 6, backlog: number): { readonly fd: number; readonly port: number };
  /** The port that a redirected connection was made to. */
  originalPort(fd: number, family: 4 | 6): number;
  /** Writes at most 511 bytes of text to a unix socket, a descriptor with them. */
  sendDescriptor(socket: number, fd: number, data: string): void;
  /** A descriptor to send datagrams to unix sockets from. */
  datagramSocket(): number;
  /** One message to whoever is bound to `path`. Never waits: EAGAIN where nobody keeps up, ENOENT, ECONNREFUSED where nobody is. */
  sendDatagram(fd: number, path: string, data: Uint8Array): void;
  /** A netlink socket of the current namespace. */
  netlinkSocket(protocol: number): number;
  /** The kernel's answers to a request, up to `answers` (1 … 64) ends or the first error among them. Waits at most 5 s. */
  netlinkExchange(fd: number, request: Uint8Array, answers: number): Uint8Array;
}

declare const __dirname: string | undefined;

let loaded: Native | undefined;

/**
 * The addon.
 * @throws KataError `failed_precondition` when kata.node is missing or was built for another machine
 */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  // A bundle (CommonJS) lies beside kata.node; from source it is where the build puts it.
  const directory =
    typeof __dirname === 'string' ? __dirname : join(dirname(fileURLToPath(import.meta.url)), '../build/lib');
  const path = join(directory, 'kata.node');
  const module: { exports: unknown } = { exports: {} };
  try {
    process.dlopen(module, path);
  } catch (thrown) {
    throw new KataError(
      'failed_precondition',
      `the addon ${path} cannot be loaded (${reasonOf(thrown)}): build it with "npm run build"`,
      { cause: thrown },
    );
  }
  return module.exports as Native;
}
