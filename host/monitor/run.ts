/** kata-monitor: the node's metrics endpoint. */
import { lstatSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { KataError, reasonOf } from '../error.ts';
import type { Version } from '../shim/info.ts';
import { addressText, type Flags, HELP, type ListenAddress, type Order, parseFlags } from './flags.ts';
import { MonitorLog } from './log.ts';

/** Status of a command line that cannot be understood, as Go's programs have it. */
const USAGE_STATUS = 2;

/**
 * Serves until SIGTERM or SIGINT.
 * @param words the command line without the program
 * @returns the exit status
 */
export async function run(words: readonly string[], version: Version): Promise<number> {
  let order: Order;
  try {
    order = parseFlags(words);
  } catch (thrown) {
    process.stderr.write(`kata-monitor: ${reasonOf(thrown)}\n`);
    return USAGE_STATUS;
  }
  if (order.kind === 'serve') return serve(order.flags, version);
  process.stdout.write(order.kind === 'help' ? HELP : versionText(version));
  return 0;
}

function versionText({ version, revision }: Version): string {
  return `kata-monitor\n Version:\t${version}\n Git commit:\t${revision}\n OS/Arch:\t${process.platform}/${process.arch}\n`;
}

async function serve({ listen, runtimeEndpoint, logLevel }: Flags, version: Version): Promise<number> {
  // From the first moment on: whoever reads that it answers may want it to end.
  const ending = ended();
  const { Monitor, LOOK_INTERVAL_MS } = await import('./monitor.ts');
  const { serverOf } = await import('./server.ts');
  const log = new MonitorLog(logLevel);
  const monitor = new Monitor({ runtimeEndpoint, log });
  const server = serverOf(monitor, log);
  try {
    await listening(server, listen);
  } catch (thrown) {
    process.stderr.write(`kata-monitor: ${reasonOf(thrown)}\n`);
    return 1;
  }
  // Such as no descriptor left for one more connection.
  server.on('error', (error) => log.warn('a connection was not accepted', { error: error.message }));
  log.info('kata-monitor answers', { address: addressText(bound(server, listen)), version: version.version });
  if (process.geteuid?.() !== 0)
    log.warn('sandboxes are root’s alone, and this process is not root: it will find none');
  monitor.look();
  const looking = setInterval(() => monitor.look(), LOOK_INTERVAL_MS);
  const signal = await ending;
  log.info('kata-monitor ends', { signal });
  clearInterval(looking);
  // A scrape that is under way is not waited for: Prometheus comes again.
  server.close();
  server.closeAllConnections();
  return 0;
}

function ended(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

/** @throws KataError that says what to do */
async function listening(server: Server, listen: ListenAddress): Promise<void> {
  if ('path' in listen) await makeWay(listen.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(failure(error, listen)));
    // An empty host is every interface.
    const options = 'path' in listen ? listen : { port: listen.port, ...(listen.host ? { host: listen.host } : {}) };
    // libuv makes a socket's file within this call, so its mode is the umask's.
    const umask = process.umask(0o177);
    server.listen(options, resolve);
    process.umask(umask);
  });
}

function failure(error: NodeJS.ErrnoException, listen: ListenAddress): KataError {
  const where = addressText(listen);
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program answers there, maybe another kata-monitor; stop it or choose another -listen-address',
    EADDRNOTAVAIL: 'this machine has no such address; choose another -listen-address',
    EACCES: 'this user may not; run kata-monitor as root or choose another -listen-address',
    ENOENT: 'its directory does not exist; make it first',
    ENOTFOUND: 'the host is not known; give its address',
  };
  const text = `cannot listen on ${where}: ${advice[error.code ?? ''] ?? error.message}`;
  return new KataError('unavailable', text, { cause: error });
}

/** Where port 0 was asked for, the kernel chose one. */
function bound(server: Server, listen: ListenAddress): ListenAddress {
  const address = server.address();
  if ('path' in listen || address === null || typeof address === 'string') return listen;
  return { host: listen.host, port: address.port };
}

/** Removes the socket of a monitor that has gone. @throws KataError `already_exists` for anything else */
async function makeWay(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new KataError('already_exists', `${path} is there and is no socket; choose another path`);
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
  if (alive)
    throw new KataError('already_exists', `another program listens on ${path}; stop it or choose another path`);
  unlinkSync(path);
}
