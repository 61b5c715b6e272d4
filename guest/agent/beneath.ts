/**
 * Paths that stay below a directory though others may change what lies there: each element is opened by itself and a link is
 * never followed. An open directory is named by /proc/self/fd, which makes every path call one relative to it.
 */
import { AgentError, errnoOf } from './error.ts';
import { attempt } from './files.ts';
import type { Sys } from './sys.ts';

export const O_WRONLY = 0o1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NONBLOCK = 0o4000;
const O_PATH = 0o10000000;

/** Most elements of a path. */
const MAX_ELEMENTS = 256;
/** ELF header: the machine's number is at byte 18. */
const ELF_HEADER_BYTES = 20;
const EM_AARCH64 = 183;

interface ArchitectureFlags {
  readonly directory: number;
  readonly noFollow: number;
}

const GENERIC: ArchitectureFlags = { directory: 0o200000, noFollow: 0o400000 };
/** arm64 has its own numbers: arch/arm64/include/uapi/asm/fcntl.h */
const ARM64: ArchitectureFlags = { directory: 0o40000, noFollow: 0o100000 };

let flags: ArchitectureFlags | undefined;

/** The open flag that refuses links. */
export function noFollow(sys: Sys): number {
  return flagsOf(sys).noFollow;
}

/** A directory held open. */
export class Directory {
  private constructor(
    private readonly sys: Sys,
    readonly fd: number,
  ) {}

  /** Opens a directory whose path nobody else can change. Throws SysError. */
  static open(sys: Sys, path: string): Directory {
    return new Directory(sys, sys.open(path, O_PATH | flagsOf(sys).directory));
  }

  /** A path of an entry, for one call that follows no link. */
  path(name: string): string {
    return `/proc/self/fd/${this.fd}/${name}`;
  }

  /**
   * A directory below.
   * @param mode for making it where it is missing; undefined: it must exist
   * @throws AgentError permission_denied for a link, SysError
   */
  child(name: string, mode?: number): Directory {
    const path = this.path(name);
    // Nearly always it is there: what fails is an exception, which costs more than the call.
    const found = this.opened(name, path, mode !== undefined);
    if (found || mode === undefined) return found as Directory;
    try {
      this.sys.mkdir(path, mode);
      // mkdir's mode is subject to the umask.
      this.sys.chmod(path, mode);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    }
    return this.opened(name, path, false) as Directory;
  }

  /** @returns undefined where it is missing, if it may */
  private opened(name: string, path: string, mayMiss: boolean): Directory | undefined {
    try {
      return new Directory(
        this.sys,
        this.sys.open(path, O_PATH | flagsOf(this.sys).directory | flagsOf(this.sys).noFollow),
      );
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (mayMiss && errno === 'ENOENT') return undefined;
      if (errno === 'ELOOP' || errno === 'ENOTDIR') {
        throw new AgentError('permission_denied', `${JSON.stringify(name)} is no directory; links are not followed`);
      }
      throw thrown;
    }
  }

  close(): void {
    attempt(() => this.sys.close(this.fd));
  }
}

/**
 * Walks from `root` to the directory that holds the last element of `path`, calls `use` with it and that element's name, and
 * closes all. Throws what `child` and `use` throw.
 * @param mode for making missing directories; undefined: they must exist
 */
export function beneath<T>(
  sys: Sys,
  root: string,
  path: string,
  mode: number | undefined,
  use: (parent: Directory, name: string) => T,
): T {
  const elements = path.split('/').filter((element) => element !== '' && element !== '.');
  const last = elements.pop();
  if (
    last === undefined ||
    elements.length >= MAX_ELEMENTS ||
    [...elements, last].includes('..') ||
    path.includes('\0')
  ) {
    throw new AgentError('invalid_argument', `path ${JSON.stringify(path.slice(0, 4096))} names nothing below ${root}`);
  }
  let parent = Directory.open(sys, root);
  try {
    for (const element of elements) {
      const next = parent.child(element, mode);
      parent.close();
      parent = next;
    }
    return use(parent, last);
  } finally {
    parent.close();
  }
}

function flagsOf(sys: Sys): ArchitectureFlags {
  flags ??= machine(sys) === EM_AARCH64 ? ARM64 : GENERIC;
  return flags;
}

/** Our own program's architecture. */
function machine(sys: Sys): number {
  const fd = sys.open('/proc/self/exe', 0);
  try {
    const header = sys.read(fd, ELF_HEADER_BYTES) ?? new Uint8Array(ELF_HEADER_BYTES);
    return (header[18] ?? 0) | ((header[19] ?? 0) << 8);
  } finally {
    sys.close(fd);
  }
}
