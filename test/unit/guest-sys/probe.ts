/**
 * Runs on QuickJS: calls guest/sys as the agent does and prints a line of JSON per case. sys.test.ts reads them.
 * argv[0]: an empty directory.
 */

import { listLinks } from '../../../guest/agent/links.ts';
import { attributes, dump } from '../../../guest/agent/netlink.ts';
import { type Sys, SysError } from '../../../guest/agent/sys.ts';

declare const sys: Sys & { errorPrototype(prototype: object): void };
declare const argv: readonly string[];

const O_RDONLY = 0;
const O_RDWR_CREAT = 0o102;
const POLLIN = 1;
const POLLHUP = 16;
const directory = argv[0] ?? '';
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array | null) => (data === null ? 'null' : new TextDecoder().decode(data));

type Case = readonly [name: string, body: () => void | Promise<void>];

const cases: Case[] = [
  [
    'UTF-8 both ways',
    () => {
      for (const sample of ['', 'plain', 'grün', '漢字', '🦊', 'a\0b', 'x'.repeat(100_000)])
        same(text(bytes(sample)), sample);
      same([...bytes('é€')], [0xc3, 0xa9, 0xe2, 0x82, 0xac]);
      same([...bytes('\ud800x')], [0xef, 0xbf, 0xbd, 0x78]);
      same([...bytes('x\udfff')], [0x78, 0xef, 0xbf, 0xbd]);
      same([...bytes('퟿')], [0xed, 0x9f, 0xbf]);
      same(text(Uint8Array.of(0x61, 0xff, 0x62)), 'a\ufffdb');
      same(text(bytes('abcdef').subarray(2, 4)), 'cd');
    },
  ],
  [
    'errors have a code, a class and a path',
    () => {
      const error = thrown(() => sys.readFile(`${directory}/none`, 10));
      same(error instanceof SysError, true);
      same(error instanceof Error, true);
      same((error as SysError).code, 'ENOENT');
      same((error as SysError).message.includes(`${directory}/none`), true);
    },
  ],
  [
    'arguments of the wrong kind are refused',
    () => {
      same(
        code(() => sys.readFile(`${directory}/a\0b`, 10)),
        'EINVAL',
      );
      for (const bad of [null, 'text', [1], new Uint16Array(4), new ArrayBuffer(4)]) {
        same(thrown(() => sys.write(1, bad as unknown as Uint8Array)) instanceof TypeError, true);
      }
      same(thrown(() => sys.read(0, 1e12)) instanceof RangeError, true);
      same(thrown(() => sys.read(-1, 1)) instanceof RangeError, true);
      same(thrown(() => sys.writev(1, {} as unknown as Uint8Array[])) instanceof TypeError, true);
      same(
        code(() => sys.close(9999)),
        'EBADF',
      );
    },
  ],
  [
    'files',
    () => {
      const path = `${directory}/file`;
      sys.writeFile(path, 'hello', 0o640);
      same(text(sys.readFile(path, 100)), 'hello');
      same(text(sys.readFile(path, 3)), 'hel');
      same(sys.readFile(path, 0).length, 0);
      const { type, size, mode } = sys.stat(path);
      same([type, size, mode & 0o777], ['file', 5, 0o640]);
      sys.writeFile(path, new Uint8Array(0));
      same(sys.stat(path).size, 0);
      const large = new Uint8Array(300_000).fill(65);
      sys.writeFile(path, large);
      same(sys.readFile(path, 1 << 20).length, large.length);
      sys.chmod(path, 0o4755);
      same(sys.stat(path).mode & 0o7777, 0o4755);
      same(
        code(() => sys.writeFile(`${directory}/no/such`, '')),
        'ENOENT',
      );
      sys.unlink(path);
    },
  ],
  [
    'names',
    () => {
      sys.mkdir(`${directory}/d`, 0o1777);
      same(sys.stat(`${directory}/d`).mode & 0o7777, 0o1777);
      sys.symlink('target', `${directory}/d/link`);
      same(sys.readlink(`${directory}/d/link`), 'target');
      same(sys.lstat(`${directory}/d/link`).type, 'link');
      sys.lchown(`${directory}/d/link`, -1, 77);
      same(sys.lstat(`${directory}/d/link`).gid, 77);
      sys.mknod(`${directory}/d/null`, 0o020666, 1, 3);
      const node = sys.stat(`${directory}/d/null`);
      same([node.type, node.rdevMajor, node.rdevMinor, node.mode & 0o777], ['char', 1, 3, 0o666]);
      sys.rename(`${directory}/d/link`, `${directory}/d/other`);
      same(sys.readdir(`${directory}/d`).sort(), ['null', 'other']);
      same(
        code(() => sys.rmdir(`${directory}/d`)),
        'ENOTEMPTY',
      );
      for (const name of sys.readdir(`${directory}/d`)) sys.unlink(`${directory}/d/${name}`);
      sys.rmdir(`${directory}/d`);
      same(sys.statfs(directory).blockSize > 0, true);
    },
  ],
  [
    'pipes',
    () => {
      const [read, write] = sys.pipe();
      same(sys.read(read, 10), null);
      same(sys.readInto(read, new Uint8Array(4)), -1);
      same(sys.write(write, bytes('abc')), 3);
      same(text(sys.read(read, 2)), 'ab');
      const into = new Uint8Array(8);
      sys.write(write, bytes('def'));
      same(sys.readInto(read, into.subarray(2, 5)), 3);
      same([...into], [0, 0, 99, 100, 101, 0, 0, 0]);
      same(text(sys.read(read, 2)), 'f');
      sys.close(write);
      same(sys.read(read, 2)?.length, 0);
      same(sys.readInto(read, into), 0);
      sys.close(read);
    },
  ],
  [
    'the same bytes',
    () => {
      same(sys.same(bytes(''), new Uint8Array(0)), true);
      same(sys.same(bytes('abc'), bytes('xabc').subarray(1)), true);
      for (const other of ['', 'ab', 'abd', 'abcd']) same(sys.same(bytes('abc'), bytes(other)), false);
      same(thrown(() => sys.same(bytes('abc'), 'abc' as never)) instanceof TypeError, true);
    },
  ],
  [
    'splice from pipe to pipe, to its end, and nowhere else',
    () => {
      const [read, write] = sys.pipe();
      const [out, into] = sys.pipe();
      same(sys.splice(read, into, 10), -1);
      sys.write(write, bytes('abcdef'));
      same(sys.splice(read, into, 4), 4);
      same(sys.splice(read, into, 10), 2);
      same(text(sys.read(out, 10)), 'abcdef');
      same(sys.setPipeSize(write, 1 << 20), true);
      same(sys.setPipeSize(into, 1 << 16), true);
      same(sys.write(write, new Uint8Array(1 << 20)), 1 << 20);
      same(sys.splice(read, into, 1 << 20), 1 << 16);
      same(sys.splice(read, into, 1 << 20), -1);
      sys.close(out);
      same(
        code(() => sys.splice(read, into, 10)),
        'EPIPE',
      );
      sys.close(write);
      while (sys.read(read, 1 << 20)?.length);
      const [other, last] = sys.pipe();
      same(sys.splice(read, last, 10), 0);
      const file = sys.open(directory, 0);
      same(
        code(() => sys.splice(file, last, 10)),
        'EINVAL',
      );
      same(
        code(() => sys.setPipeSize(file, 10)),
        'EBADF',
      );
      for (const fd of [read, into, other, last, file]) sys.close(fd);
    },
  ],
  [
    'writev stops where the pipe is full, and goes on there',
    () => {
      const [read, write] = sys.pipe();
      const chunks = Array.from({ length: 400 }, (_, i) => new Uint8Array(1000).fill(i));
      const first = sys.writev(write, [new Uint8Array(0), ...chunks]);
      same(first > 0 && first < 400_000, true);
      same(sys.writev(write, chunks), 0);
      let total = 0;
      for (let part = sys.read(read, 1 << 20); part; part = sys.read(read, 1 << 20)) {
        for (let i = 0; i < part.length; i += 997) same(part[i], Math.floor((total + i) / 1000) & 255);
        total += part.length;
      }
      same(total, first);
      same(sys.writev(write, []), 0);
      sys.close(read);
      same(
        code(() => sys.writev(write, chunks)),
        'EPIPE',
      );
      sys.close(write);
    },
  ],
  [
    'offsets and lengths of open files',
    () => {
      const fd = sys.open(`${directory}/o`, O_RDWR_CREAT, 0o600);
      same(sys.pwrite(fd, bytes('xyz'), 5), 3);
      sys.ftruncate(fd, 7);
      same([...sys.readFile(`${directory}/o`, 100)], [0, 0, 0, 0, 0, 120, 121]);
      sys.close(fd);
      sys.unlink(`${directory}/o`);
    },
  ],
  [
    'children: output, environment, directory, status',
    async () => {
      const [read, write] = sys.pipe();
      const argv = ['/bin/sh', '-c', 'echo "$A $PWD"; ls /proc/self/fd | wc -l; exit 7'];
      const pid = sys.spawn({ argv, env: ['A=1', 'PATH=/bin:/usr/bin'], stdio: [-1, write, -1], cwd: '/' });
      sys.close(write);
      same(await end(pid), 7);
      // 0, 1, 2 and the directory ls reads: nothing of ours.
      same(text(sys.read(read, 1000)), '1 /\n4\n');
      sys.close(read);
      same(
        code(() => sys.spawn({ argv: ['/no/such'], env: [], stdio: [-1, -1, -1] })),
        'ENOENT',
      );
      same(thrown(() => sys.spawn({ argv: [], env: [], stdio: [-1, -1, -1] })) instanceof TypeError, true);
      same(
        code(() => sys.spawn({ argv: ['/bin/true'], env: [], stdio: [999, -1, -1] })),
        'EBADF',
      );
    },
  ],
  [
    'children: descriptors may trade places',
    async () => {
      const [read, write] = sys.pipe();
      const script = 'echo out; echo err >&2';
      const pid = sys.spawn({ argv: ['/bin/sh', '-c', script], env: [], stdio: [2, write, write] });
      sys.close(write);
      same(await end(pid), 0);
      same(text(sys.read(read, 1000)), 'out\nerr\n');
      sys.close(read);
    },
  ],
  [
    'children: signals, and no mask of ours',
    async () => {
      const pid = sys.spawn({ argv: ['/bin/sleep', '100'], env: [], stdio: [-1, -1, -1], newSession: true });
      sys.kill(pid, 15);
      same(await end(pid), 128 + 15);
      same(
        code(() => sys.kill(pid, 0)),
        'ESRCH',
      );
      const argv = ['/bin/sh', '-c', 'grep -E "Sig(Blk|Ign)" /proc/self/status | tr -s "\\t\\n" "  "'];
      const [read, write] = sys.pipe();
      const grep = sys.spawn({ argv, env: ['PATH=/bin:/usr/bin'], stdio: [-1, write, -1] });
      sys.close(write);
      same(await end(grep), 0);
      same(text(sys.read(read, 1000)), 'SigBlk: 0000000000000000 SigIgn: 0000000000000000 ');
      sys.close(read);
    },
  ],
  [
    'orphans become ours',
    async () => {
      const [read, write] = sys.pipe();
      const argv = ['/bin/sh', '-c', '(exec 1>&-; sleep 0.2; exit 3) & echo $!'];
      const pid = sys.spawn({ argv, env: ['PATH=/bin:/usr/bin'], stdio: [-1, write, -1] });
      sys.close(write);
      same(await end(pid), 0);
      same(await end(Number(text(sys.read(read, 100)))), 3);
      sys.close(read);
    },
  ],
  [
    'poll',
    () => {
      const [read, write] = sys.pipe();
      const entry = [{ fd: read, events: POLLIN }];
      same(sys.poll(entry, 0), [0]);
      sys.write(write, bytes('x'));
      same(sys.poll(entry, -1), [POLLIN]);
      sys.read(read, 1);
      sys.close(write);
      same(((sys.poll(entry, -1)[0] ?? 0) & POLLHUP) !== 0, true);
      sys.close(read);
      const since = sys.now();
      sys.poll([], 30);
      same(sys.now() - since >= 29, true);
      same(sys.wallClock() > 1_700_000_000_000, true);
      same(thrown(() => sys.poll([{ fd: -5, events: 1 }], 0)) instanceof RangeError, true);
    },
  ],
  [
    'unix sockets pass one descriptor',
    () => {
      const path = `${directory}/s`;
      const listener = sys.listenUnix(path);
      same(sys.stat(path).mode & 0o777, 0o600);
      same(sys.accept(listener), null);
      // A second listener takes a stale socket's place.
      const again = sys.listenUnix(path);
      sys.close(again);
      sys.close(listener);
      same(
        code(() => sys.listenUnix(`${directory}/${'x'.repeat(120)}`)),
        'ENAMETOOLONG',
      );
      sys.unlink(path);
    },
  ],
  [
    'netlink',
    () => {
      const lo = listLinks(sys).find(({ name }) => name === 'lo');
      same(lo?.index, 1);
      const addresses = dump(sys, 22, new Uint8Array(8)).map(({ body }) => attributes(body, 8).get(1));
      same(addresses.length > 0, true);
      same(
        code(() => sys.netlinkRoute(new Uint8Array(3))),
        'EINVAL',
      );
      // RTM_GETLINK of an index nobody has.
      const missing = new Uint8Array(32);
      const view = new DataView(missing.buffer);
      view.setUint32(0, 32, true);
      view.setUint16(4, 18, true);
      view.setUint16(6, 1, true);
      view.setInt32(20, 0x7fff_fff0, true);
      same(
        code(() => sys.netlinkRoute(missing)),
        'ENODEV',
      );
    },
  ],
  [
    'namespaces are held by a process without descriptors',
    async () => {
      const pid = sys.holdNamespaces('pod-name');
      const own = sys.readlink('/proc/self/ns/uts');
      same(sys.readlink(`/proc/${pid}/ns/uts`) === own, false);
      same(sys.readlink(`/proc/${pid}/ns/ipc`) === sys.readlink('/proc/self/ns/ipc'), false);
      while (sys.readdir(`/proc/${pid}/fd`).length > 0) sys.poll([], 1);
      same(
        code(() => sys.holdNamespaces('x'.repeat(65))),
        'ENAMETOOLONG',
      );
      sys.kill(pid, 9);
      same(await end(pid), 137);
    },
  ],
  [
    'what only root of a machine may do fails with its reason',
    () => {
      same(
        code(() => sys.mount('none', `${directory}/none`, 'tmpfs', 0, '')),
        'ENOENT',
      );
      same(
        code(() => sys.umount(directory, 0)),
        'EINVAL',
      );
      same(
        code(() => sys.loadModule(`${directory}/none.ko`, '')),
        'ENOENT',
      );
      same(
        code(() => sys.swapon(`${directory}/none`)),
        'ENOENT',
      );
      same(
        code(() => sys.reseedRandom(new Uint8Array(0))),
        'EINVAL',
      );
      same(
        code(() => sys.setWindowSize(sys.open('/dev/null', O_RDONLY), 1, 1)),
        'ENOTTY',
      );
    },
  ],
];

const statuses = new Map<number, number>();

async function end(pid: number): Promise<number> {
  while (!statuses.has(pid)) {
    sys.poll([], -1);
    for (const reaped of sys.reap()) statuses.set(reaped.pid, reaped.status);
  }
  return statuses.get(pid) as number;
}

function same(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
}

function thrown(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('it should have failed');
}

function code(body: () => unknown): string {
  return (thrown(body) as SysError).code;
}

function print(value: unknown): void {
  sys.write(1, bytes(`${JSON.stringify(value)}\n`));
}

async function run(): Promise<void> {
  sys.errorPrototype(SysError.prototype);
  for (const [name, body] of cases) {
    try {
      await body();
      print({ name });
    } catch (error) {
      print({ name, error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
    }
  }
  print({ count: cases.length });
}

let done = false;
run().then(() => {
  done = true;
});
Object.assign(globalThis, { turn: () => !done });
