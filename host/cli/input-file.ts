/** What a user hands to a command: a file, or stdin. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';

const STDIN = 0;

/**
 * @param path `-`: stdin
 * @param limit bytes
 * @throws KataError `invalid_argument`: it cannot be read, is empty or larger than that
 */
export function readInput(path: string, limit: number): Buffer {
  const name = path === '-' ? 'stdin' : path;
  const bytes = path === '-' ? readUpTo(STDIN, limit, name) : readFile(path, limit);
  if (bytes.length === 0) throw new KataError('invalid_argument', `${name} is empty`);
  if (bytes.length > limit) throw new KataError('invalid_argument', `${name} has more than ${limit} bytes`);
  return bytes;
}

/** Whether stdin is a person's keyboard, who may not know that it is being read. */
export function stdinIsTerminal(): boolean {
  return process.stdin.isTTY === true;
}

function readFile(path: string, limit: number): Buffer {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY);
    if (fstatSync(fd).isDirectory()) throw new Error('it is a directory');
    return readUpTo(fd, limit, path);
  } catch (thrown) {
    throw new KataError('invalid_argument', `${path} cannot be read: ${reasonOf(thrown)}`, { cause: thrown });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** One byte more than the limit tells that there is more. */
function readUpTo(fd: number, limit: number, name: string): Buffer {
  const chunks: Buffer[] = [];
  for (let left = limit + 1; left > 0; ) {
    const chunk = Buffer.alloc(Math.min(left, 64 * 1024));
    const count = readOnce(fd, chunk, name);
    if (count === 0) break;
    chunks.push(chunk.subarray(0, count));
    left -= count;
  }
  return Buffer.concat(chunks);
}

function readOnce(fd: number, chunk: Buffer, name: string): number {
  for (;;) {
    try {
      return readSync(fd, chunk, 0, chunk.length, null);
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      // A stdin that somebody made non-blocking: it is asked again, a little later.
      if (code !== 'EAGAIN') throw new KataError('invalid_argument', `${name} cannot be read: ${reasonOf(thrown)}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

/** Between two looks at a non-blocking stdin, ms. */
const RETRY_MS = 10;
