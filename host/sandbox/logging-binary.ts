/** `binary://` streams: a program of containerd's user that takes the output on descriptors 3 and 4. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { KataError, reasonOf } from '../error.ts';
import type { Sink } from './fifo.ts';
import type { StreamOwner } from './process.ts';

/** How long the program may take until it closes its ready pipe, ms. */
export const READY_TIMEOUT_MS = 10_000;
/** How long it may take to end once its input has, ms; then it is killed. */
export const STOP_TIMEOUT_MS = 12_000;

export interface LoggingBinary {
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Ends the program. Idempotent. */
  close(): void;
}

/**
 * Starts the program and waits until it is ready.
 * @param uri `binary:///path?key=value…`: every key and value becomes an argument
 * @throws KataError `invalid_argument` for an address that names no program, `unavailable` when it does not get ready
 */
export async function startLoggingBinary(uri: string, owner: StreamOwner): Promise<LoggingBinary> {
  const { path, args } = parseUri(uri);
  const child = spawn(path, args, {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, CONTAINER_ID: owner.id, CONTAINER_NAMESPACE: owner.namespace },
  });
  try {
    await ready(child, path);
  } catch (thrown) {
    child.kill('SIGKILL');
    throw thrown;
  }
  const stdout = sinkOf(child.stdio[3] as Writable);
  const stderr = sinkOf(child.stdio[4] as Writable);
  return {
    stdout,
    stderr,
    close: () => {
      stdout.close();
      stderr.close();
      stop(child);
    },
  };
}

function parseUri(uri: string): { path: string; args: string[] } {
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    throw new KataError('invalid_argument', `stream ${JSON.stringify(uri)} is no valid address`);
  }
  const path = decodeURIComponent(url.pathname);
  if (!path.startsWith('/') || path.includes('\0')) {
    throw new KataError('invalid_argument', `stream ${JSON.stringify(uri)} must name a program by its absolute path`);
  }
  const args: string[] = [];
  for (const [key, value] of url.searchParams) {
    args.push(key);
    if (value !== '') args.push(value);
  }
  return { path, args };
}

/** The program closes descriptor 5 when it is ready. */
function ready(child: ChildProcess, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new KataError('unavailable', `logging program ${path}: ${why}`));
    };
    const timer = setTimeout(() => fail(`not ready within ${READY_TIMEOUT_MS / 1000} s`), READY_TIMEOUT_MS);
    child.once('error', (thrown) => fail(reasonOf(thrown)));
    child.once('exit', (code, signal) => fail(`ended (${signal ?? `status ${code}`}) before it was ready`));
    // Typed for five descriptors; ours has six.
    const pipe = (child.stdio as unknown as readonly Readable[])[5];
    if (!pipe) return fail('it has no ready pipe');
    pipe.on('error', () => {});
    pipe.once('end', () => {
      clearTimeout(timer);
      // Let an exit that comes with the end of the pipe be seen first.
      setImmediate(resolve);
    });
    pipe.resume();
  });
}

function sinkOf(stream: Writable): Sink {
  let gone = false;
  stream.on('error', () => {
    gone = true;
  });
  const close = (): void => {
    if (!stream.writableEnded) stream.end();
  };
  return {
    get waiting() {
      return stream.writableLength;
    },
    write: (data) => {
      if (gone) return undefined;
      return new Promise((resolve) => {
        stream.write(Buffer.from(data), () => resolve());
      });
    },
    release: () => {},
    end: close,
    close,
  };
}

function stop(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  child.once('exit', () => clearTimeout(timer));
}
