/** The shim's socket: a file only root may open, taken over only when nobody answers on it. */
import { mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { MAX_SOCKET_PATH_BYTES } from '../agent/transport.ts';
import { KataError, reasonOf } from '../error.ts';
import { SOCKET_DIRECTORY } from '../sandbox/identity.ts';

/** How long a socket found in the way may take to answer, ms. */
const ANSWER_MS = 1000;

/** The path in an address as containerd writes it; undefined for another scheme. */
export function socketPathOf(address: string): string | undefined {
  if (address.startsWith('unix://')) return address.slice('unix://'.length);
  return address.startsWith('/') ? address : undefined;
}

/**
 * @param socket the -socket flag; empty: derived from `hash`
 * @param directory where containerd wants sockets; undefined: its default
 * @returns an absolute path
 * @throws KataError `invalid_argument`
 */
export function socketPath(socket: string, directory: string | undefined, hash: string): string {
  const path = socket === '' ? `${directory || SOCKET_DIRECTORY}/${hash}` : socketPathOf(socket);
  if (!path?.startsWith('/')) {
    throw new KataError(
      'invalid_argument',
      `socket address ${JSON.stringify(socket || directory)} is no absolute path`,
    );
  }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new KataError(
      'invalid_argument',
      `socket path ${path} has ${Buffer.byteLength(path)} bytes; at most ${MAX_SOCKET_PATH_BYTES} fit a unix socket`,
    );
  }
  return path;
}

/**
 * Listens at `path`, mode 0600, its directory 0700. A socket that nobody answers on is removed, once.
 * @returns the server; adopt it before the event loop turns. undefined when another process answers at `path`
 * @throws KataError `unavailable`
 */
export async function listen(path: string): Promise<Server | undefined> {
  mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true, mode: 0o700 });
  try {
    return await bind(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw new KataError('unavailable', `cannot listen on ${path}: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }
  if (await answers(path)) return undefined;
  unlinkSync(path);
  try {
    return await bind(path);
  } catch (thrown) {
    throw new KataError('unavailable', `cannot listen on ${path}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

function bind(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    // libuv makes the file within this call, so its mode is the umask's.
    const umask = process.umask(0o177);
    server.listen(path, () => {
      server.removeListener('error', reject);
      resolve(server);
    });
    process.umask(umask);
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.setTimeout(ANSWER_MS, () => settle(true));
  });
}
