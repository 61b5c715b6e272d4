/** All of the shim that is loaded after its address is printed. */
import { connect as netConnect, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { loadConfiguration, thisMachine } from '../config/configuration.ts';
import { tellKeys } from '../config/effects.ts';
import { findFile, searchPathOf } from '../config/files.ts';
import { onTrap } from '../core/trap.ts';
import { KataError, reasonOf } from '../error.ts';
import { Endpoint } from '../management/endpoint.ts';
import { native } from '../native.ts';
import type { Any } from '../proto/messages/google.ts';
import { SandboxService, SandboxServiceName } from '../proto/messages/sandbox.ts';
import { TaskServiceName as TASK_V2, TaskService as TaskV2 } from '../proto/messages/task_v2.ts';
import { TaskServiceName as TASK_V3, TaskService as TaskV3 } from '../proto/messages/task_v3.ts';
import { type Identity, identify } from '../sandbox/identity.ts';
import type { Log } from '../sandbox/log.ts';
import { told } from '../shim/call-log.ts';
import type { CommandLine } from '../shim/command-line.ts';
import { deleteTask } from '../shim/delete.ts';
import { Publisher } from '../shim/events.ts';
import { runtimeInfo, versionLine } from '../shim/info.ts';
import { socketPathOf } from '../shim/listen.ts';
import { FifoLog, StderrLog } from '../shim/log.ts';
import { configureLog } from '../shim/log-settings.ts';
import { Shim } from '../shim/shim.ts';
import { TtrpcClient } from '../ttrpc/client.ts';
import { TtrpcServer } from '../ttrpc/server.ts';
import { service } from '../ttrpc/types.ts';
import { realParts } from './parts.ts';
import { ownVersion } from './version.ts';

/** How long events may still be sent once everything else has ended, ms. */
const FLUSH_MS = 5000;
/** How long the answer to Shutdown gets to leave the socket, ms. */
const LAST_ANSWER_MS = 20;
/** How long connecting to containerd's event socket may take, ms. */
const CONNECT_MS = 5000;

export interface ServeOptions {
  /** Listening, and not adopted yet. */
  readonly server: Server;
  /** Path it listens on. */
  readonly socket: string;
  readonly identity: Identity;
  readonly bundle: string;
  readonly line: CommandLine;
  /** Address for events that containerd gave on stdin; empty: it did not. */
  readonly ttrpcAddress: string;
  /** Runtime options that containerd gave on stdin; undefined: none. */
  readonly startOptions: Any | undefined;
  /** Directory of the program's files. */
  readonly lib: string;
}

/** Serves until Shutdown or a signal. */
export function serve(options: ServeOptions): void {
  const { identity, line, bundle, lib } = options;
  const log = new FifoLog(join(bundle, 'log'), line.debug, { sandbox: identity.id, namespace: identity.namespace });
  onTrap((error) => log.error('the JavaScript twins take over; report this', { error: error.message }));
  const events = new Publisher({
    namespace: identity.namespace,
    connect: eventConnection(options.ttrpcAddress || process.env.TTRPC_ADDRESS || ''),
    client: (socket) => new TtrpcClient(socket),
    log,
  });
  const end = (status: number): void => {
    // Let the answer to the call that led here leave first.
    setTimeout(
      () => void events.flush(FLUSH_MS).then(() => server.close().then(() => process.exit(status))),
      LAST_ANSWER_MS,
    );
  };
  const shim = new Shim({
    identity,
    socket: options.socket,
    lib,
    version: ownVersion().version,
    door: (managed) => new Endpoint({ managed, bundle, admit: (fd) => admitted(fd, log) }),
    debug: line.debug,
    attended: () => server.connections > 0,
    environment: process.env,
    startOptions: options.startOptions,
    events,
    log,
    configured: ({ debugging }) => configureLog(log, debugging),
    parts: realParts,
    exit: () => end(0),
  });
  const handlers = told(shim.tasks.handlers, log);
  const services = [
    service(TASK_V2, TaskV2, handlers),
    service(TASK_V3, TaskV3, handlers),
    service(SandboxServiceName, SandboxService, shim.sandboxes.handlers),
  ];
  const server = new TtrpcServer(services, {
    admit: (fd) => admitted(fd, log),
    logger: { warn: (message) => log.warn(message) },
  });
  server.adopt(options.server);
  onSignals(shim, log, end);
}

/** Handles `delete`; returns what goes to stdout. */
export function remove(line: CommandLine): Promise<Uint8Array> {
  return deleteTask(identify(line.address, line.namespace, line.id), line.bundle, new StderrLog());
}

/**
 * What a pod's start does with a configuration, so that V8 compiles it when the bundle is built.
 * @param file a configuration.toml; that something it names is not there does not matter
 */
export async function rehearse(file: string): Promise<void> {
  try {
    const found = findFile({ optionsPath: file, environmentPath: '', searchPath: searchPathOf(dirname(file)) });
    const { ignored } = await loadConfiguration(found, thisMachine(dirname(file)));
    tellKeys(ignored);
  } catch (thrown) {
    if (!(thrown instanceof KataError)) throw thrown;
  }
}

/** Handles `-info`; returns what goes to stdout. */
export function info(): Uint8Array {
  return runtimeInfo(ownVersion());
}

/** The line of `-version`. */
export function version(): string {
  return versionLine(ownVersion());
}

/** Only our own user may call; the socket's mode says the same, and stays in force where the addon is missing. */
function admitted(fd: number, log: Log): boolean {
  if (fd < 0) return true;
  try {
    return native().peerCredentials(fd).uid === process.geteuid?.();
  } catch (thrown) {
    log.warn('the peer of a connection cannot be told', { error: reasonOf(thrown) });
    return true;
  }
}

function eventConnection(address: string): (() => Promise<Socket>) | undefined {
  const path = socketPathOf(address);
  if (path === undefined || path === '') return undefined;
  return () =>
    new Promise((resolve, reject) => {
      const socket = netConnect(path);
      socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`${path} does not answer`)));
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.setTimeout(0);
        socket.removeListener('error', reject);
        resolve(socket);
      });
    });
}

/** A signal ends the sandbox with us; an error nobody caught does too, since nothing can be trusted after it. */
function onSignals(shim: Shim, log: Log, end: (status: number) => void): void {
  const stop = (reason: string, status: number): void => {
    void shim.stop(reason).finally(() => end(status));
  };
  process.once('SIGTERM', () => stop('the shim got SIGTERM', 0));
  process.once('SIGINT', () => stop('the shim got SIGINT', 0));
  process.on('SIGHUP', () => {});
  const broken = (thrown: unknown): void => {
    const where = thrown instanceof Error ? thrown.stack : undefined;
    log.error('internal error: the shim ends', { error: reasonOf(thrown), stack: where });
    stop('an internal error', 1);
  };
  process.on('uncaughtException', broken);
  process.on('unhandledRejection', broken);
}
