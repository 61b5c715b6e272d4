/** Runs a program to its end and keeps what it said. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** Bytes of stdout, and of stderr, that are kept; a program that says more has failed unless its output goes to `onStdout`. */
export const OUTPUT_LIMIT = 64 * 1024 * 1024;
/** Milliseconds a command may take when the caller says nothing. */
export const DEFAULT_TIMEOUT_MS = 60_000;

export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment, not an addition. */
  readonly env?: NodeJS.ProcessEnv;
  /** Absent: /dev/null. */
  readonly stdin?: string | Uint8Array | Readable;
  /** Takes stdout piece by piece instead of it being kept. */
  readonly onStdout?: (chunk: Buffer) => void;
  /** Milliseconds after which the program is killed; it then ends with `timedOut`. */
  readonly timeoutMs?: number;
  /** Milliseconds it then has after a SIGTERM, to end what it has started itself; absent: none. */
  readonly graceMs?: number;
  /** Called once the process exists. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

export interface Finished {
  /** Exit code; undefined when a signal ended the program. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds from start to end. */
  readonly ms: number;
}

/**
 * Runs `argv`; whatever way it ends is a result, not an error.
 * @throws Error when the program cannot be started
 */
export function finish(argv: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, graceMs = 0, stdin } = options;
  return new Promise((resolve, reject) => {
    const since = performance.now();
    const child = spawn(argv[0] ?? '', argv.slice(1), {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    let timedOut = false;
    let timer = setTimeout(() => {
      timedOut = true;
      if (graceMs > 0) child.kill('SIGTERM');
      timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    }, timeoutMs);
    const stdout = keep(child.stdout, options.onStdout);
    const stderr = keep(child.stderr);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('spawn', () => {
      options.onSpawn?.(child);
      if (child.stdin !== null && stdin !== undefined) feed(child.stdin, stdin);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const ms = performance.now() - since;
      resolve({
        code: code ?? undefined,
        signal: signal ?? undefined,
        timedOut,
        stdout: stdout(),
        stderr: stderr(),
        ms,
      });
    });
  });
}

/**
 * Runs `argv`, which must end with exit code 0.
 * @returns its stdout
 * @throws Error with the command and what it said
 */
export async function succeed(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const done = await finish(argv, options);
  if (done.code !== 0) throw new Error(`${argv.join(' ')}\n${describe(done)}`);
  return done.stdout;
}

/** How a program ended and what it said, for an error's text. */
export function describe(done: Finished): string {
  const end = done.timedOut ? `killed after ${Math.round(done.ms)} ms` : (done.signal ?? `exit code ${done.code}`);
  return `${end}\n${`${done.stderr}${done.stdout}`.slice(-4096)}`.trimEnd();
}

function keep(stream: Readable | null, onChunk?: (chunk: Buffer) => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (onChunk !== undefined) return onChunk(chunk);
    bytes += chunk.length;
    if (bytes > OUTPUT_LIMIT) return stream.destroy(new Error(`more than ${OUTPUT_LIMIT} bytes of output`));
    chunks.push(chunk);
  });
  stream?.on('error', () => {});
  return () => Buffer.concat(chunks).toString();
}

function feed(input: NodeJS.WritableStream, stdin: string | Uint8Array | Readable): void {
  // The program may end before it has read everything: EPIPE is its right.
  input.on('error', () => {});
  if (typeof stdin === 'string' || stdin instanceof Uint8Array) input.end(stdin);
  else stdin.pipe(input);
}
