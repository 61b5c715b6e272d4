/** Sends a file or tree of the host into the guest by CopyFile, in bounds: the guest keeps it in memory. */
import { constants, type Stats } from 'node:fs';
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
/** Bytes of one message; ttrpc takes 4 MiB. */
export const CHUNK_BYTES = 1024 * 1024;

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

/** Counts what one volume has taken. */
interface Budget {
  bytes: number;
  entries: number;
  readonly what: string;
}

/**
 * Copies a file, a directory or a link as they are at this moment. Links are made anew in the guest, not followed; what
 * vanishes meanwhile is left out.
 * @param source path on the host
 * @param target path in the guest
 * @param what names the volume in errors
 * @throws KataError `resource_exhausted` beyond the limits, of the copier
 */
export async function copyTree(copier: FileCopier, source: string, target: string, what: string): Promise<Copied> {
  const budget: Budget = { bytes: 0, entries: 0, what };
  const skipped: string[] = [];
  await copyEntry(source, target, 0);
  return { skipped };

  async function copyEntry(path: string, to: string, depth: number): Promise<void> {
    // The source itself may be named by a link to an open descriptor.
    const stat = await present(
      depth === 0 ? open(path, constants.O_RDONLY | constants.O_NONBLOCK).then(statOf) : lstat(path),
    );
    if (!stat) return;
    if (++budget.entries > MAX_COPY_ENTRIES) throw tooMuch(budget, `more than ${MAX_COPY_ENTRIES} files`);
    if (stat.isDirectory()) {
      if (depth >= MAX_COPY_DEPTH) throw tooMuch(budget, `directories deeper than ${MAX_COPY_DEPTH}`);
      await copier.copyFile({ ...attributes(stat), path: to });
      const names = (await present(readdir(path))) ?? [];
      for (const name of inOrder(names)) await copyEntry(`${path}/${name}`, `${to}/${name}`, depth + 1);
    } else if (stat.isSymbolicLink()) {
      const link = await present(readlink(path));
      if (link !== undefined) await copier.copyFile({ ...attributes(stat), path: to, data: Buffer.from(link) });
    } else if (stat.isFile()) {
      const file = await present(open(path, depth === 0 ? READ & ~constants.O_NOFOLLOW : READ));
      if (file) await copyContent(copier, file, to, budget).finally(() => file.close());
    } else skipped.push(path.slice(source.length) || '/');
  }
}

/** Kubernetes' own directories before the links that lead to them, so that these never lead nowhere. */
function inOrder(names: readonly string[]): string[] {
  const rank = (name: string): number => (name === '..data' ? 1 : name.startsWith('..') ? 0 : 2);
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** The size is the one found at the start: a file that grows is cut off there, one that shrinks is filled with zeros. */
async function copyContent(copier: FileCopier, file: FileHandle, to: string, budget: Budget): Promise<void> {
  const stat = await file.stat();
  const { size } = stat;
  budget.bytes += size;
  if (budget.bytes > MAX_COPY_BYTES) throw tooMuch(budget, `more than ${MAX_COPY_BYTES} bytes`);
  let offset = 0;
  do {
    const data = Buffer.alloc(Math.min(CHUNK_BYTES, size - offset));
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
    `${what}: ${limit} cannot be copied into the guest; share it with shared_fs = "virtio-fs"`,
  );
}
