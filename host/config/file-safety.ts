/** Reads a file that decides what runs as root: only of a place where nobody else could have written it. */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, realpathSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { KataError, reasonOf } from '../error.ts';

/** Largest configuration file, bytes. */
export const MAX_FILE_BYTES = 1024 * 1024;

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * The text of a configuration file.
 * @param path as it was named; links are followed
 * @throws KataError `permission_denied` for a file that others could have written, naming the command that cures it;
 *   `invalid_argument` for one that cannot be read or is no text
 */
export function readSafely(path: string): string {
  let fd = -1;
  let bytes: Buffer;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new Error('it is a directory; nothing but files is read there, so move it away');
    if (!stat.isFile()) throw new Error('it is not a regular file');
    if (stat.size > MAX_FILE_BYTES) throw new Error(`${stat.size} bytes; at most ${MAX_FILE_BYTES} are read`);
    checkOwner(path, stat);
    if (stat.mode & OTHERS_WRITE) throw refused(path, 'any user may write it', `chmod o-w ${path}`);
    bytes = readFileSync(fd);
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('invalid_argument', `configuration ${path} cannot be read: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
  for (const directory of ancestorsOf(path)) checkDirectory(directory);
  return textOf(path, bytes);
}

/**
 * Refuses a directory in which others could put, or exchange, files.
 * @throws KataError `permission_denied` naming the command that cures it
 */
export function checkDirectory(directory: string): void {
  const stat = lstatSync(directory);
  const writable = (stat.mode & OTHERS_WRITE) !== 0 && (stat.mode & STICKY) === 0;
  if (stat.isDirectory() && writable) {
    throw refused(directory, 'any user may exchange files in it', `chmod o-w ${directory}`);
  }
}

/** @throws KataError `permission_denied` for what belongs to neither root nor this process's user */
export function checkOwner(path: string, { uid }: Stats): void {
  if (uid === 0 || uid === process.geteuid?.()) return;
  throw refused(path, `it belongs to user ${uid}`, `chown root:root ${path}`);
}

/** Directories above a path as it is named, and above what it leads to. */
function ancestorsOf(path: string): Set<string> {
  const found = new Set<string>();
  for (const start of [path, realpathSync.native(path)]) {
    for (let at = dirname(start); !found.has(at); at = dirname(at)) found.add(at);
  }
  return found;
}

function textOf(path: string, bytes: Buffer): string {
  const zero = bytes.indexOf(0);
  if (zero >= 0) throw garbled(path, bytes, zero, 'a zero byte');
  if (!isUtf8(bytes)) {
    const text = bytes.toString('utf8');
    throw garbled(path, bytes, Buffer.byteLength(text.slice(0, text.indexOf('\ufffd'))), 'bytes that are no UTF-8');
  }
  return bytes.toString('utf8');
}

function garbled(path: string, bytes: Buffer, at: number, what: string): KataError {
  const line = bytes.subarray(0, at).reduce((count, byte) => count + Number(byte === 0x0a), 1);
  return new KataError('invalid_argument', `${path}:${line}: ${what}; a configuration is UTF-8 text`);
}

function refused(path: string, why: string, cure: string): KataError {
  return new KataError(
    'permission_denied',
    `configuration ${path} is refused: ${why}, and what it says runs as root; run: ${cure}`,
  );
}
