/**
 * `Sys` and `Loop` on Node, so that the agent's own code runs in tests against real files, pipes and processes.
 * What Node cannot do itself is in node-sys.c, compiled at first use. This process adopts orphans as PID 1 would.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Loop } from '../../../guest/agent/loop-interface.ts';
import {
  type PollEntry,
  type Reaped,
  type SpawnOptions,
  type Stat,
  type Sys,
  SysError,
} from '../../../guest/agent/sys.ts';

/** Milliseconds between two looks at descriptors and children. */
const TICK_MS = 2;

interface Native {
  subreaper(): void;
  spawn(
    argv: readonly string[],
    env: readonly string[],
    stdio: readonly number[],
    cwd: string,
    session: boolean,
  ): number;
  reap(): number[];
  read(fd: number, buffer: Uint8Array): number | null;
  write(fd: number, data: Uint8Array): number;
  pipe(): [number, number];
  nonblocking(fd: number, on: boolean): void;
  splice(from: number, to: number, most: number): number | null;
  pipeSize(fd: number, bytes: number): void;
  listenUnix(path: string): number;
  accept(fd: number): number | null;
  receiveFd(fd: number): number | null;
  windowSize(fd: number, rows: number, columns: number): void;
  mount(source: string, target: string, fstype: string, flags: number, data: string): void;
  umount(target: string, flags: number): void;
  mknod(path: string, mode: number, major: number, minor: number): void;
  hold(hostname: string): number;
  poll(fds: readonly number[], events: readonly number[], timeoutMs: number): number[];
}

/** What a test may look at or change. */
export interface NodeSys extends Sys {
  /** Calls that would touch the machine: recorded, not made. */
  readonly calls: string[];
  /** Mounts are recorded only, too. */
  pretendMounts: boolean;
}

let loaded: Native | undefined;

/** A `Sys` whose files, pipes and processes are real. `reboot`, `setTimeOfDay` and the like are only recorded. */
export function nodeSys(): NodeSys {
  const native = load();
  const calls: string[] = [];
  const record =
    (name: string) =>
    (...args: unknown[]) => {
      calls.push(`${name} ${args.join(' ')}`.trim());
    };
  const sys: NodeSys = {
    calls,
    pretendMounts: false,
    ...files(),
    ...descriptors(native),
    listenUnix: wrapped(native.listenUnix),
    listenVsock: () => {
      throw new SysError('ENODEV', 'no vsock');
    },
    connectTcp: () => {
      throw new SysError('ENOSYS', 'no TCP on Node; the agent as a process has it');
    },
    checkSocket: () => {},
    shutdownWrite: () => {},
    accept: wrapped(native.accept),
    receiveFd: wrapped(native.receiveFd),
    netlinkRoute: () => new Uint8Array(0),
    spawn: wrapped((options: SpawnOptions) =>
      native.spawn(options.argv, options.env, options.stdio, options.cwd ?? '', options.newSession ?? false),
    ),
    reap: () => pairs(native.reap()),
    kill: wrapped((pid: number, signal: number) => {
      process.kill(pid, signal);
    }),
    openTerminal: () => {
      throw new SysError('ENOSYS', 'no terminals on Node; the agent as a process has them');
    },
    setWindowSize: wrapped(native.windowSize),
    getpid: () => process.pid,
    mount: wrapped((source: string, target: string, fstype: string, flags: number, data: string) => {
      if (sys.pretendMounts) record('mount')(source, target, fstype, flags, data);
      else native.mount(source, target, fstype, flags, data);
    }),
    umount: wrapped((target: string, flags: number) => {
      if (sys.pretendMounts) record('umount')(target, flags);
      else native.umount(target, flags);
    }),
    mknod: wrapped(native.mknod),
    chdir: record('chdir'),
    chroot: record('chroot'),
    sethostname: record('sethostname'),
    setTimeOfDay: record('setTimeOfDay'),
    reseedRandom: record('reseedRandom'),
    loadModule: record('loadModule'),
    swapon: record('swapon'),
    resizeExt4: record('resizeExt4'),
    reboot: record('reboot'),
    holdNamespaces: wrapped(native.hold),
    now: () => performance.now(),
    wallClock: () => Date.now(),
    poll: (entries: readonly PollEntry[], timeoutMs: number) =>
      native.poll(
        entries.map((entry) => entry.fd),
        entries.map((entry) => entry.events),
        timeoutMs,
      ),
    log: record('log'),
  };
  return sys;
}

interface Watch {
  readonly fd: number;
  readonly events: number;
  readonly callback: (revents: number) => void;
}

/** Children are the whole process's, so all loops share what is known of them. */
const ended = new Map<number, number>();
const awaited = new Map<number, { promise: Promise<number>; resolve: (status: number) => void }>();

/** A `Loop` that looks every TICK_MS. `stop` ends it. */
export function nodeLoop(sys: Sys): Loop & { stop(): void } {
  const watches = new Set<Watch>();
  const tick = () => {
    const list = [...watches];
    const revents = list.length > 0 ? sys.poll(list, 0) : [];
    list.forEach((watch, i) => {
      if (revents[i] && watches.has(watch)) watch.callback(revents[i] as number);
    });
    for (const { pid, status } of sys.reap()) {
      const waiter = awaited.get(pid);
      awaited.delete(pid);
      if (waiter) waiter.resolve(status);
      else ended.set(pid, status);
    }
  };
  const timer = setInterval(tick, TICK_MS);
  return {
    watch(fd, events, callback) {
      const watch = { fd, events, callback };
      watches.add(watch);
      return () => watches.delete(watch);
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()),
    exited(pid) {
      const status = ended.get(pid);
      if (status !== undefined) {
        ended.delete(pid);
        return Promise.resolve(status);
      }
      let waiter = awaited.get(pid);
      if (!waiter) {
        let resolve: (status: number) => void = () => {};
        const promise = new Promise<number>((done) => {
          resolve = done;
        });
        waiter = { promise, resolve };
        awaited.set(pid, waiter);
      }
      return waiter.promise;
    },
    stop: () => clearInterval(timer),
  };
}

function load(): Native {
  if (loaded) return loaded;
  const here = path.dirname(fileURLToPath(import.meta.url));
  const root = path.resolve(here, '../../..');
  const source = path.join(here, 'node-sys.c');
  const out = path.join(root, 'build/test/node-sys.node');
  if (!fs.existsSync(out) || fs.statSync(out).mtimeMs < fs.statSync(source).mtimeMs) {
    fs.mkdirSync(path.dirname(out), { recursive: true });
    const fresh = `${out}.${process.pid}`;
    const headers = path.join(root, 'node_modules/node-api-headers/include');
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', `-I${headers}`, source, '-o', fresh]);
    fs.renameSync(fresh, out);
  }
  loaded = createRequire(import.meta.url)(out) as Native;
  loaded.subreaper();
  return loaded;
}

/** Node's and the addon's errors as SysError. */
function wrapped<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => R {
  return (...args: A) => {
    try {
      return call(...args);
    } catch (thrown) {
      const { code, message } = thrown as NodeJS.ErrnoException;
      throw new SysError(code ?? 'EIO', message);
    }
  };
}

function pairs(flat: readonly number[]): Reaped[] {
  const out: Reaped[] = [];
  for (let i = 0; i < flat.length; i += 2) out.push({ pid: flat[i] as number, status: flat[i + 1] as number });
  return out;
}

function statOf(stat: fs.Stats): Stat {
  const types: [string, boolean][] = [
    ['file', stat.isFile()],
    ['dir', stat.isDirectory()],
    ['link', stat.isSymbolicLink()],
    ['fifo', stat.isFIFO()],
    ['socket', stat.isSocket()],
    ['char', stat.isCharacterDevice()],
    ['block', stat.isBlockDevice()],
  ];
  const { mode, size, uid, gid, dev, ino, rdev } = stat;
  const type = types.find(([, is]) => is)?.[0] ?? 'file';
  // glibc's makedev, for device numbers below 2^32.
  const rdevMajor = (rdev >>> 8) & 0xfff;
  const rdevMinor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return { type, mode, size, uid, gid, dev, ino, rdevMajor, rdevMinor };
}

function files() {
  return {
    readFile: wrapped((name: string, maxBytes: number): Uint8Array => {
      const data = fs.readFileSync(name);
      if (data.length > maxBytes) throw new SysError('EFBIG', `${name}: more than ${maxBytes} bytes`);
      return new Uint8Array(data);
    }),
    writeFile: wrapped((name: string, data: Uint8Array | string, mode?: number) =>
      fs.writeFileSync(name, data, { mode: mode ?? 0o600 }),
    ),
    mkdir: wrapped((name: string, mode: number) => fs.mkdirSync(name, mode)),
    readdir: wrapped((name: string) => fs.readdirSync(name)),
    unlink: wrapped((name: string) => fs.unlinkSync(name)),
    rmdir: wrapped((name: string) => fs.rmdirSync(name)),
    rename: wrapped((from: string, to: string) => fs.renameSync(from, to)),
    symlink: wrapped((target: string, name: string) => fs.symlinkSync(target, name)),
    readlink: wrapped((name: string) => fs.readlinkSync(name)),
    lstat: wrapped((name: string) => statOf(fs.lstatSync(name))),
    stat: wrapped((name: string) => statOf(fs.statSync(name))),
    lchown: wrapped((name: string, uid: number, gid: number) => {
      const now = fs.lstatSync(name);
      fs.lchownSync(name, uid === -1 ? now.uid : uid, gid === -1 ? now.gid : gid);
    }),
    chmod: wrapped((name: string, mode: number) => fs.chmodSync(name, mode)),
    statfs: wrapped((name: string) => {
      const s = fs.statfsSync(name);
      return {
        blockSize: s.bsize,
        blocks: s.blocks,
        blocksFree: s.bfree,
        blocksAvailable: s.bavail,
        files: s.files,
        filesFree: s.ffree,
      };
    }),
  };
}

function descriptors(native: Native) {
  return {
    open: wrapped((name: string, flags: number, mode?: number) => fs.openSync(name, flags, mode ?? 0o600)),
    close: wrapped((fd: number) => fs.closeSync(fd)),
    read: wrapped((fd: number, maxBytes: number) => {
      const buffer = new Uint8Array(maxBytes);
      const got = native.read(fd, buffer);
      return got === null ? null : buffer.slice(0, got);
    }),
    readInto: wrapped((fd: number, buffer: Uint8Array) => native.read(fd, buffer) ?? -1),
    write: wrapped(native.write),
    writev: wrapped((fd: number, chunks: readonly Uint8Array[]) => {
      let total = 0;
      for (const chunk of chunks) {
        const taken = native.write(fd, chunk);
        total += taken;
        if (taken < chunk.length) break;
      }
      return total;
    }),
    pwrite: wrapped((fd: number, data: Uint8Array, offset: number) => fs.writeSync(fd, data, 0, data.length, offset)),
    splice: wrapped((from: number, to: number, most: number) => native.splice(from, to, most) ?? -1),
    same: (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0,
    setPipeSize: wrapped((fd: number, bytes: number) => {
      native.pipeSize(fd, bytes);
      return true;
    }),
    pipe: wrapped(native.pipe),
    setNonBlocking: wrapped(native.nonblocking),
    ftruncate: wrapped((fd: number, size: number) => fs.ftruncateSync(fd, size)),
  };
}
