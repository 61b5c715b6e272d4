/** When a process is entered without crun, and how what its child reports becomes an answer. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Container } from '../../../guest/agent/container.ts';
import { enterContainer } from '../../../guest/agent/enter.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import type { EnterOptions } from '../../../guest/agent/sys.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { type Linux, Process, Spec } from '../../../host/proto/messages/oci.ts';
import { type NodeSys, nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

const PID = 0;
const JOIN = 1;
const DIRECTORY = 3;
const FIND = 4;
const EXECUTE = 5;
const ENOENT = 2;
const EACCES = 13;
const ENOEXEC = 8;
const EBUSY = 16;
/** No process of this machine. */
const CHILD = 0x7fff_fff0;

interface Context {
  sys: NodeSys;
  loop: ReturnType<typeof nodeLoop>;
  guest: Guest;
  entered: EnterOptions[];
  /** Pairs of step and value that the children report. */
  records: (readonly [step: number, value: number])[];
}

const entering = suite<Context>('a process entered without crun');

entering.before.each((context) => {
  context.sys = nodeSys();
  context.loop = nodeLoop(context.sys);
  context.entered = [];
  context.records = [[PID, CHILD]];
  context.guest = { sys: context.sys, loop: context.loop, options: DEFAULT_OPTIONS };
  const { sys } = context;
  sys.enter = (options) => {
    context.entered.push(options);
    const [read, write] = sys.pipe();
    for (const record of context.records) sys.write(write, new Uint8Array(Int32Array.from(record).buffer));
    sys.close(write);
    return read;
  };
});
entering.after.each(({ loop }) => loop.stop());

entering('who it is to be', async (context) => {
  const five = {
    Bounding: ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'],
    Effective: ['CAP_KILL'],
    Inheritable: [],
    Permitted: [],
    Ambient: [],
  };
  const result = await enter(context, {
    User: { UID: 33, GID: 34, AdditionalGids: [5, 4_294_967_294], Umask: 0 },
    Capabilities: five,
    Rlimits: [{ Type: 'RLIMIT_NOFILE', Hard: 2n ** 64n - 1n, Soft: 5 }],
    OOMScoreAdj: 5000,
    NoNewPrivileges: true,
  });
  assert.is(result?.pid, CHILD);
  const { stdio, ...options } = context.entered[0] as EnterOptions;
  assert.is(stdio.length, 3);
  assert.equal(options, {
    pid: 42,
    cgroup: '/group',
    keyring: 'c1',
    argv: ['run', 'it'],
    env: [],
    cwd: '/',
    uid: 33,
    gid: 34,
    groups: ['5', '4294967294'],
    umask: 0,
    rlimits: ['7 5 18446744073709551615'],
    capabilities: [String(1n + (1n << 40n)), '32', '0', '0', '0'],
    oomScoreAdj: 1000,
    noNewPrivileges: 1,
  });
  if (result && !result.stdio.terminal) {
    for (const fd of [result.stdio.stdin, result.stdio.stdout, result.stdio.stderr]) context.sys.close(fd);
  }
});

entering('what takes more is left to crun', async (context) => {
  const processes: Init<Process>[] = [
    { Terminal: true },
    { Capabilities: undefined },
    { Capabilities: { Bounding: ['CAP_OF_TOMORROW'] } },
    { Rlimits: [{ Type: 'RLIMIT_OF_TOMORROW', Hard: 1, Soft: 1 }] },
  ];
  for (const process of processes) assert.is(await enter(context, process), undefined);
  const specs: Init<Linux>[] = [
    { Seccomp: { DefaultAction: 'SCMP_ACT_ALLOW' } },
    { Namespaces: [{ Type: 'user' }] },
    { UIDMappings: [{ Size: 1 }] },
    { Personality: { Domain: 'LINUX32' } },
  ];
  for (const linux of specs) assert.is(await enter(context, {}, linux), undefined);
  assert.is(await enter(context, {}, {}, true), undefined);
  assert.is(context.entered.length, 0);
  const { enter: _, ...without } = context.sys;
  assert.is(await enter({ ...context, guest: { ...context.guest, sys: without as NodeSys } }), undefined);
});

entering('a container that cannot be joined is left to crun, too', async (context) => {
  context.records = [[JOIN, EBUSY]];
  assert.is(await enter(context), undefined);
  assert.match(context.sys.calls.join('\n'), /left to crun: step 1: errno 16/);
});

entering('a program that cannot be run is told in runc’s words', async (context) => {
  const cases: readonly (readonly [step: number, errno: number, program: string, text: RegExp])[] = [
    [FIND, ENOENT, 'nope', /^exec: "nope": executable file not found in \$PATH$/],
    [FIND, ENOENT, '/nope', /^exec: "\/nope": stat \/nope: no such file or directory$/],
    [FIND, EACCES, '/etc/passwd', /^exec: "\/etc\/passwd": permission denied$/],
    [EXECUTE, ENOEXEC, 'script', /^exec: "script": exec format error$/],
    [EXECUTE, ENOENT, 'script', /^exec: "script": no such file or directory$/],
    [DIRECTORY, ENOENT, 'x', /^chdir to cwd \("\/gone"\) set in config.json failed: no such file or directory$/],
  ];
  for (const [step, errno, program, text] of cases) {
    context.records = [[step, errno]];
    await refused(() => enter(context, { Args: [program], Cwd: '/gone' }), 'internal', text);
  }
});

entering('one that is killed on its way', async (context) => {
  context.records = [];
  await refused(() => enter(context), 'internal', /was killed before its program was executed/);
});

function enter(context: Context, process: Init<Process> = {}, linux: Init<Linux> = {}, selinux = false) {
  const spec = decode(Process, encode(Process, { Args: ['run', 'it'], Capabilities: {}, ...process }));
  const container = {
    id: 'c1',
    spec: decode(Spec, encode(Spec, { Linux: linux })),
    init: { pid: 42, status: undefined },
    cgroup: { directory: '/group' },
  } as unknown as Container;
  return enterContainer(context.guest, container, spec, selinux);
}

entering.run();
