/** Sends a file or tree of the host into the guest by CopyFile, in bounds: the guest keeps it in memory. */
import { constants, type Dirent, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { KataError } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { CopyFileRequest } from '../proto/messages/agent.ts';

/** Largest file, and all files of one volume together, bytes. */
export const MAX_COPY_BYTES = 64 * 1024 * 1024;
/** Most files, directories and links of one volume. */
export const MAX_COPY_ENTRIES = 10_000;
/** Deepest directory of one volume. */
export const MAX_COPY_DEPTH = 64;
/** Bytes of one message of a volume; ttrpc takes 4 MiB. */
export const CHUNK_BYTES = 1024 * 1024;

/** What one copy may take. */
export interface CopyLimits {
  readonly bytes: number;
  readonly entries: number;
  readonly depth: number;
  /** Files and links under way at a time: more than one where their order does not matter. */
  readonly parallel: number;
  /** Of one message; with `parallel` it has to stay below what may wait on one connection. */
  readonly chunkBytes: number;
}

export const VOLUME_LIMITS: CopyLimits = {
  bytes: MAX_COPY_BYTES,
  entries: MAX_COPY_ENTRIES,
  depth: MAX_COPY_DEPTH,
  parallel: 1,
  chunkBytes: CHUNK_BYTES,
};

/** Mode of directories on the way to a copy. */
const PARENT_MODE = 0o755;
/** O_PATH'd or not, a link at the end is never followed. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What of the agent's client is needed. */
export interface FileCopier {
  /** @throws KataError */
  copyFile(request: Init<CopyFileRequest>): Promise<void>;
}

export interface Copied {
  /** Paths below the source of what was left out: sockets, fifos, devices. */
  readonly skipped: readonly string[];
}

/** Counts what one copy has taken. */
interface Budget {
  bytes: number;
  entries: number;
  readonly limits: CopyLimits;
  readonly what: string;
}

/**
 * Copies a file, a directory or a link as they are at this moment. Links are made anew in the guest, not followed; what
 * vanishes meanwhile is left out.
 * @param source path on the host
 * @param target path in the guest
 * @param what names it in errors
 * @throws KataError `resource_exhausted` beyond the limits, of the copier
 */
export async function copyTree(
  copier: FileCopier,
  source: string,
  target: string,
  what: string,
  limits: CopyLimits = VOLUME_LIMITS,
): Promise<Copied> {
  const budget: Budget = { bytes: 0, entries: 0, limits, what };
  const skipped: string[] = [];
  const underWay = new UnderWay(limits.parallel);
  try {
    await copyEntry(source, target, 0);
  } finally {
    await underWay.done();
  }
  underWay.check();
  return { skipped };

  async function copyEntry(path: string, to: string, depth: number): Promise<void> {
    // The source itself may be named by a link to an open descriptor.
    const stat = await present(
      depth === 0 ? open(path, constants.O_RDONLY | constants.O_NONBLOCK).then(statOf) : lstat(path),
    );
    if (!stat) return;
    count();
    if (!stat.isDirectory()) return copyLeaf(path, to, depth, stat);
    if (depth >= limits.depth) throw tooMuch(budget, `directories deeper than ${limits.depth}`);
    await copier.copyFile({ ...attributes(stat), path: to });
    const entries = (await present(readdir(path, { withFileTypes: true }))) ?? [];
    for (const entry of inOrder(entries)) {
      const [from, into] = [`${path}/${entry.name}`, `${to}/${entry.name}`];
      if (entry.isDirectory()) await copyEntry(from, into, depth + 1);
      else await underWay.add(() => copyOther(from, into, depth + 1));
    }
  }

  /** What was no directory a moment ago: one that has become one since is left out, as if it had come later. */
  async function copyOther(path: string, to: string, depth: number): Promise<void> {
    const stat = await present(lstat(path));
    if (!stat || stat.isDirectory()) return;
    count();
    await copyLeaf(path, to, depth, stat);
  }

  async function copyLeaf(path: string, to: string, depth: number, stat: Stats): Promise<void> {
    if (stat.isSymbolicLink()) {
      const link = await present(readlink(path));
      if (link !== undefined) await copier.copyFile({ ...attributes(stat), path: to, data: Buffer.from(link) });
    } else if (stat.isFile()) {
      const file = await present(open(path, depth === 0 ? READ & ~constants.O_NOFOLLOW : READ));
      if (file) await copyContent(copier, file, to, budget).finally(() => file.close());
    } else skipped.push(path.slice(source.length) || '/');
  }

  function count(): void {
    if (++budget.entries > limits.entries) throw tooMuch(budget, `more than ${limits.entries} files`);
  }
}

/** Copies that nobody waits for one by one: so many at a time, the first failure ends all. */
class UnderWay {
  readonly #most: number;
  readonly #tasks = new Set<Promise<void>>();
  #failure: { readonly thrown: unknown } | undefined;

  constructor(most: number) {
    this.#most = most;
  }

  /** Begins a task once there is room; with room for one it is over, too. @throws what a task before has thrown */
  async add(begin: () => Promise<void>): Promise<void> {
    const task = begin()
      .catch((thrown: unknown) => {
        this.#failure ??= { thrown };
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
    while (this.#tasks.size >= this.#most) await Promise.race(this.#tasks);
    this.check();
  }

  /** Never rejects. */
  async done(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  check(): void {
    if (this.#failure) throw this.#failure.thrown;
  }
}

/** Kubernetes' own directories before the links that lead to them, so that these never lead nowhere. */
function inOrder(entries: readonly Dirent[]): Dirent[] {
  const rank = (name: string): number => (name === '..data' ? 1 : name.startsWith('..') ? 0 : 2);
  return [...entries].sort(({ name: a }, { name: b }) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** The size is the one found at the start: a file that grows is cut off there, one that shrinks is filled with zeros. */
async function copyContent(copier: FileCopier, file: FileHandle, to: string, budget: Budget): Promise<void> {
  const stat = await file.stat();
  const { size } = stat;
  budget.bytes += size;
  const { bytes, chunkBytes } = budget.limits;
  if (budget.bytes > bytes) throw tooMuch(budget, `more than ${bytes} bytes`);
  let offset = 0;
  do {
    const data = Buffer.alloc(Math.min(chunkBytes, size - offset));
    await file.read(data, 0, data.length, offset);
    await copier.copyFile({ ...attributes(stat), path: to, file_size: size, offset, data });
    offset += data.length;
  } while (offset < size);
}

function attributes({ mode, uid, gid }: Stats): Init<CopyFileRequest> {
  return { file_mode: mode, dir_mode: PARENT_MODE, uid, gid };
}

async function statOf(file: FileHandle): Promise<Stats> {
  return file.stat().finally(() => file.close());
}

/** undefined: it is gone. */
async function present<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (thrown) {
    // ELOOP: it has become a link since it was looked at.
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw thrown;
  }
}

function tooMuch({ what }: Budget, limit: string): KataError {
  return new KataError(
    'resource_exhausted',
    `${what}: ${limit} cannot be copied into the guest; share it with shared_fs = "virtio-fs", where there is that`,
  );
}
