/** The machine that is checked. Everything is read below `root`, so that tests can describe a machine by a directory. */
import { execFile } from 'node:child_process';
import { accessSync, closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { reasonOf } from '../../error.ts';

/** How long a program may take to say what it is, ms. */
export const PROGRAM_MS = 10_000;
/** Most that a program may say, bytes. */
export const MAX_SAID_BYTES = 4 * 1024 * 1024;
/** Most that is read of a file, bytes: modules.dep of a distribution's kernel has 700 KB. */
export const MAX_READ_BYTES = 8 * 1024 * 1024;
/** Where programs are looked for when PATH is silent. */
const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Said {
  /** -1: it was not there, or had to be ended. */
  readonly code: number;
  /** stdout, then stderr. */
  readonly text: string;
}

export interface CheckedMachine {
  /** Before every path; empty: this machine itself. */
  readonly root: string;
  /** Node's name: x64, arm64. */
  readonly arch: string;
  /** Of whoever asks. */
  readonly uid: number;
  /** Its kernel's release. */
  readonly kernel: string;
  /** Directories of programs. */
  readonly path: readonly string[];
  /** Socket of a containerd that is where none usually is (CONTAINERD_ADDRESS, as ctr has it); empty: none. */
  readonly containerdSocket: string;
  /** Runs a program for its words; never longer than PROGRAM_MS. */
  readonly run: (program: string, args: readonly string[]) => Promise<Said>;
}

/** The machine this runs on. */
export function realMachine(environment: NodeJS.ProcessEnv): CheckedMachine {
  return {
    root: '',
    arch: process.arch,
    uid: process.geteuid?.() ?? -1,
    kernel: release(),
    // sbin too: a user's PATH often lacks it, containerd's does not.
    path: [...new Set(`${environment.PATH ?? ''}:${USUAL_PATH}`.split(':').filter((one) => one.startsWith('/')))],
    containerdSocket: environment.CONTAINERD_ADDRESS ?? '',
    run: (program, args) => runProgram(program, args),
  };
}

/** The beginning of a file as text, byte by byte; undefined when it cannot be read. Never waits for a writer. */
export function readText({ root }: CheckedMachine, path: string): string | undefined {
  return readBytes(root + path, MAX_READ_BYTES)?.toString('latin1');
}

/** Its first `length` bytes. */
export function readStart({ root }: CheckedMachine, path: string, length: number): Buffer | undefined {
  return readBytes(root + path, length);
}

export function exists({ root }: CheckedMachine, path: string): boolean {
  return statSync(root + path, { throwIfNoEntry: false }) !== undefined;
}

/** Names in a directory; empty when there is none. */
export function namesIn({ root }: CheckedMachine, path: string): string[] {
  try {
    return readdirSync(root + path).sort();
  } catch {
    return [];
  }
}

/** Whether a device opens for reading and writing. @returns why not, or '' */
export function whyNotOpen({ root }: CheckedMachine, path: string): string {
  try {
    closeSync(openSync(root + path, constants.O_RDWR | constants.O_NONBLOCK));
    return '';
  } catch (thrown) {
    return reasonOf(thrown);
  }
}

export function isWritable({ root }: CheckedMachine, path: string): boolean {
  try {
    accessSync(root + path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Absolute path of a program in PATH; undefined: not there. */
export function programPath({ root, path }: CheckedMachine, name: string): string | undefined {
  return path
    .map((directory) => `${directory}/${name}`)
    .find((candidate) => {
      try {
        accessSync(root + candidate, constants.X_OK);
        return statSync(root + candidate).isFile();
      } catch {
        return false;
      }
    });
}

/**
 * Whether the kernel has a module.
 * @returns `loaded`, `built-in`, `available` (a file that would be loaded on demand), `absent`; `unknown` where nothing tells
 * @param option of the kernel's configuration that builds it
 */
export function moduleState(
  machine: CheckedMachine,
  name: string,
  option: string,
): 'loaded' | 'built-in' | 'available' | 'absent' | 'unknown' {
  if (exists(machine, `/sys/module/${name}`)) return 'loaded';
  const directory = `/lib/modules/${machine.kernel}`;
  const file = new RegExp(`/${name.replaceAll('_', '[-_]')}\\.ko`, 'm');
  const builtIn = readText(machine, `${directory}/modules.builtin`);
  if (builtIn !== undefined && file.test(builtIn)) return 'built-in';
  const available = readText(machine, `${directory}/modules.dep`);
  if (available !== undefined && file.test(available)) return 'available';
  const config = kernelConfig(machine);
  if (config !== undefined) {
    const value = new RegExp(`^${option}=(.)`, 'm').exec(config)?.[1];
    if (value === 'y') return 'built-in';
    // A module that is configured, but not installed, is none.
    if (value !== 'm' || available !== undefined) return 'absent';
  }
  return builtIn === undefined && available === undefined ? 'unknown' : 'absent';
}

function kernelConfig(machine: CheckedMachine): string | undefined {
  const plain = readText(machine, `/boot/config-${machine.kernel}`);
  if (plain !== undefined) return plain;
  const packed = readStart(machine, '/proc/config.gz', MAX_READ_BYTES);
  if (!packed) return undefined;
  try {
    return gunzipSync(packed, { maxOutputLength: MAX_READ_BYTES }).toString('latin1');
  } catch {
    return undefined;
  }
}

function readBytes(path: string, length: number): Buffer | undefined {
  let fd = -1;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (fstatSync(fd).isDirectory()) return undefined;
    const chunks: Buffer[] = [];
    for (let left = length; left > 0; ) {
      // Files of /proc have no size, and give what fits.
      const chunk = Buffer.alloc(Math.min(left, 64 * 1024));
      const count = readSync(fd, chunk, 0, chunk.length, null);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      left -= count;
    }
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** @param timeoutMs tests wait less */
export function runProgram(program: string, args: readonly string[], timeoutMs = PROGRAM_MS): Promise<Said> {
  return new Promise((resolve) => {
    const options = {
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_SAID_BYTES,
      encoding: 'utf8',
    } as const;
    const env = { PATH: USUAL_PATH, LC_ALL: 'C' };
    const child = execFile(program, args, { ...options, env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, text: `${stdout}${stderr}` || (error === null ? '' : error.message) });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end();
  });
}
