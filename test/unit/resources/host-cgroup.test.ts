import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { MAX_LIST_LENGTH } from '../../../host/resources/cgroup-directories.ts';
import { parseHierarchies } from '../../../host/resources/cgroup-host.ts';
import { REMOVE_WAIT_MS } from '../../../host/resources/cgroup-tree.ts';
import {
  chooseHostCgroup,
  cleanUpCgroups,
  type HostCgroupOptions,
  MAX_TRACES,
} from '../../../host/resources/choose-host-cgroup.ts';
import { MAX_CPUS } from '../../../host/resources/sizing.ts';
import { FakeCgroups, SHIM } from './fake-cgroups.ts';

const MIB = 1024 * 1024;
const V1 = [['cpu', 'cpuacct'], ['cpuset'], ['memory'], ['name=systemd']];

class Lines {
  readonly warnings: string[] = [];
  readonly debug = (): void => {};
  readonly info = (text: string, fields: object = {}): void => this.note(text, fields);
  readonly warn = (text: string, fields: object = {}): void => this.note(text, fields);
  readonly error = (text: string, fields: object = {}): void => this.note(text, fields);
  private note(text: string, fields: object): void {
    this.warnings.push(`${text} ${JSON.stringify(fields)}`);
  }
}

function options(host: FakeCgroups, more: Partial<HostCgroupOptions> = {}): HostCgroupOptions & { log: Lines } {
  return {
    cgroupsPath: '/pods/pod1/pause',
    sandboxId: 'sb',
    sandboxCgroupOnly: true,
    vmMemoryBytes: 256 * MIB,
    overheadBytes: 64 * MIB,
    log: new Lines(),
    host,
    ...more,
  } as HostCgroupOptions & { log: Lines };
}

async function refusal(step: Promise<unknown>): Promise<KataError> {
  try {
    await step;
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was accepted');
}

const v1 = suite('cgroup v1');

v1('sandbox_cgroup_only: this process is moved in every hierarchy, and out again', async () => {
  const host = new FakeCgroups(...V1);
  const cgroup = chooseHostCgroup(options(host));
  await cgroup.prepare();
  assert.equal(host.whereIs(SHIM).sort(), host.hierarchies.map(({ point }) => `${point}/pods/pod1/kata_sb`).sort());
  assert.is(host.at('/cg/cpuset/pods/pod1/kata_sb').files.get('cpuset.cpus'), '0-3');
  for (const path of host.made) assert.ok(cgroup.traces.includes(path), path);
  await cgroup.placeVmm(7);
  assert.equal([...host.at('/cg/memory/pods/pod1/kata_sb').tasks], []);
  await cgroup.remove();
  await cgroup.remove();
  assert.equal(host.made, []);
  assert.equal(
    host.whereIs(SHIM),
    host.hierarchies.map(({ own }) => own),
  );
});

v1('the thread that makes children enters at once, the others follow; the end waits for them', async () => {
  const host = new FakeCgroups(...V1);
  const cgroup = chooseHostCgroup(options(host));
  await cgroup.enter();
  const own = host.hierarchies.map(({ point }) => `${point}/pods/pod1/kata_sb`);
  assert.equal([...host.entered].sort(), own.toSorted());
  await cgroup.remove();
  assert.equal(host.made, []);
  assert.equal(
    host.whereIs(SHIM),
    host.hierarchies.map((hierarchy) => hierarchy.own),
  );
});

v1('a thread that may not enter, and threads that cannot follow, are told of', async () => {
  const refused = new FakeCgroups(...V1);
  refused.failures.set('/cg/memory/pods/pod1/kata_sb/tasks', 'EACCES');
  const given = options(refused);
  await chooseHostCgroup(given).enter();
  assert.is(refused.entered.length, V1.length - 1);
  assert.match(given.log.warnings.join(), /cgroups of this machine cannot be used.*memory: EACCES/);

  const broken = new FakeCgroups(...V1);
  broken.failures.set('/cg/memory/pods/pod1/kata_sb/tasks', 'ENOSPC');
  assert.match(
    (await refusal(chooseHostCgroup(options(broken)).enter())).message,
    /memory cannot take the sandbox: ENOSPC/,
  );
  assert.equal(broken.made, []);

  const alone = new FakeCgroups(...V1);
  alone.failures.set('kata_sb/cgroup.procs', 'EINVAL');
  const others = options(alone);
  const cgroup = chooseHostCgroup(others);
  await cgroup.prepare();
  assert.match(others.log.warnings.join(), /stay outside of its cgroup.*EINVAL/);
  await cgroup.remove();
  assert.equal(alone.made, []);
});

v1('else vCPU threads only are in it', async () => {
  const host = new FakeCgroups(...V1);
  host.vmmThreads = ['qemu-system-x86', 'CPU 0/KVM', 'CPU 11/TCG', 'ALL CPUs/TCG', 'CPU x/KVM', 'worker'].map(
    (name, index) => ({ tid: 200 + index, name }),
  );
  const cgroup = chooseHostCgroup(options(host, { sandboxCgroupOnly: false }));
  await cgroup.prepare();
  assert.equal(host.whereIs(SHIM).sort(), host.hierarchies.map(({ point }) => `${point}/kata_overhead/sb`).sort());
  await cgroup.placeVmm(200);
  for (const { point } of host.hierarchies) {
    assert.equal([...host.at(`${point}/pods/pod1/kata_sb`).tasks], [201, 202, 203]);
  }
  await cgroup.placeVmm(200, [300]);
  assert.ok(host.at('/cg/memory/pods/pod1/kata_sb').tasks.has(300));
  await cgroup.remove();
  assert.equal(host.made, []);
});

v1('threads that cannot be told stay, which is said', async () => {
  const host = new FakeCgroups(...V1);
  const given = options(host, { sandboxCgroupOnly: false });
  const cgroup = chooseHostCgroup(given);
  await cgroup.prepare();
  await cgroup.placeVmm(200);
  assert.match(given.log.warnings.join(), /vCPU threads are not known/);
  host.failures.set('tasks', 'ESRCH');
  await cgroup.placeVmm(200, [1]);
  host.failures.set('tasks', 'EINVAL');
  assert.match((await refusal(cgroup.placeVmm(200, [1]))).message, /QEMU cannot be moved.*EINVAL/);
});

v1("the pod's own parent stays, with all that is in it", async () => {
  const host = new FakeCgroups(...V1);
  await host.mkdir('/cg/memory/pods');
  await host.mkdir('/cg/memory/pods/pod1');
  const cgroup = chooseHostCgroup(options(host));
  await cgroup.prepare();
  await host.mkdir('/cg/cpuset/pods/other');
  await cgroup.remove();
  assert.equal(host.made, ['/cg/cpuset/pods', '/cg/cpuset/pods/other', '/cg/memory/pods', '/cg/memory/pods/pod1']);
});

v1('the last sandbox removes what only sandboxes share', async () => {
  const host = new FakeCgroups(['memory']);
  const sandboxes = ['a', 'b'].map((sandboxId) =>
    chooseHostCgroup(options(host, { sandboxId, cgroupsPath: `/k8s.io/${sandboxId}`, sandboxCgroupOnly: false })),
  );
  for (const sandbox of sandboxes) await sandbox.prepare();
  host.move('/cg/memory/kata_overhead/b', 555);
  host.move('/cg/memory/kata_overhead/b', SHIM);
  host.directories.get('/cg/memory/kata_overhead/b')?.procs.delete(555);
  for (const sandbox of sandboxes) await sandbox.remove();
  assert.equal(host.made, []);
});

v1('a limit that cannot hold the VM is refused, with limit and need', async () => {
  for (const [at, sandboxCgroupOnly] of [
    ['/cg/memory/pods/pod1', true],
    ['/cg/memory/pods', true],
    ['/cg/memory/kata_overhead', false],
  ] as const) {
    const host = new FakeCgroups(...V1);
    for (const path of ['/cg/memory/pods', '/cg/memory/pods/pod1', '/cg/memory/kata_overhead']) await host.mkdir(path);
    const limit = (bytes: number): void => {
      host.at(at).files.set('memory.limit_in_bytes', `${bytes}`);
    };
    const before = host.made;
    limit(320 * MIB - 1);
    const thrown = await refusal(chooseHostCgroup(options(host, { sandboxCgroupOnly })).prepare());
    assert.is(thrown.code, 'failed_precondition');
    const path = at.slice('/cg/memory'.length);
    assert.ok(thrown.message.includes(`memory.limit_in_bytes of cgroup ${path}: 319.9 MiB`), thrown.message);
    assert.match(thrown.message, /needs 320 MiB: 256 MiB for the guest, 64 MiB around it; raise/);
    assert.equal(host.made, before);
    limit(320 * MIB);
    await chooseHostCgroup(options(host, { sandboxCgroupOnly })).prepare();
  }
});

v1("with the vCPUs alone in the pod's cgroup its memory limit says nothing", async () => {
  const host = new FakeCgroups(...V1);
  await host.mkdir('/cg/memory/pods');
  host.at('/cg/memory/pods').files.set('memory.limit_in_bytes', '1');
  await chooseHostCgroup(options(host, { sandboxCgroupOnly: false })).prepare();
});

v1('what this machine forbids is a warning, anything else an error that leaves nothing', async () => {
  const host = new FakeCgroups(...V1);
  host.failures.set('/cg/memory', 'EROFS');
  const given = options(host);
  const cgroup = chooseHostCgroup(given);
  await cgroup.prepare();
  assert.match(given.log.warnings.join(), /cannot be used.*memory: EROFS/);
  assert.is(host.whereIs(SHIM).length, V1.length);
  await cgroup.update({ cpus: 1, memoryBytes: 999 * MIB });
  await cgroup.remove();
  assert.equal(host.made, []);

  host.failures.set('/cg/memory', 'ENOSPC');
  const thrown = await refusal(chooseHostCgroup(given).prepare());
  assert.is(thrown.code, 'failed_precondition');
  assert.match(thrown.message, /hierarchy memory cannot take the sandbox: ENOSPC/);
  assert.equal(host.made, []);
  assert.equal(
    host.whereIs(SHIM),
    host.hierarchies.map(({ own }) => own),
  );
});

v1('limits', async () => {
  const host = new FakeCgroups(...V1);
  const cgroup = chooseHostCgroup(options(host));
  await cgroup.prepare();
  const file = (controller: string, name: string) => host.at(`/cg/${controller}/pods/pod1/kata_sb`).files.get(name);
  await cgroup.update({ cpus: 1.5, memoryBytes: 320 * MIB, cpuset: '0,2-3', memoryNodes: '0' });
  assert.is(file('cpu,cpuacct', 'cpu.cfs_quota_us'), '150000');
  assert.is(file('memory', 'memory.limit_in_bytes'), `${320 * MIB}`);
  assert.is(file('cpuset', 'cpuset.cpus'), '0,2-3');
  await cgroup.update({ cpus: 0.001, memoryBytes: 0, cpuset: '' });
  assert.is(file('cpu,cpuacct', 'cpu.cfs_quota_us'), '1000');
  assert.is(file('memory', 'memory.limit_in_bytes'), '-1');
  assert.is(file('cpuset', 'cpuset.cpus'), '0,2-3');
  await cgroup.update({ cpus: 0, memoryBytes: 0 });
  assert.is(file('cpu,cpuacct', 'cpu.cfs_quota_us'), '-1');

  const wrong = async (limits: object) =>
    (await refusal(cgroup.update({ cpus: 0, memoryBytes: 0, ...limits }))).message;
  assert.match(await wrong({ memoryBytes: 100 * MIB }), /100 MiB of memory cannot hold/);
  assert.match(await wrong({ memoryBytes: -1 }), /-1 bytes/);
  for (const cpus of [-1, Number.NaN, MAX_CPUS + 1]) assert.match(await wrong({ cpus }), /CPUs/);
  for (const cpuset of ['a', '0-', '0\n1', `${'0,'.repeat(MAX_LIST_LENGTH / 2)}0`]) {
    assert.match(await wrong({ cpuset }), /cpuset cpus/);
  }
  host.failures.set('cpuset.cpus', 'EINVAL');
  assert.match(await wrong({ cpuset: '9' }), /cannot write 9 to .*cpuset\.cpus: EINVAL/);
});

v1('a cgroup that is busy for a moment is removed; one that stays busy is told and left', async () => {
  const host = new FakeCgroups(['memory']);
  const given = options(host);
  const cgroup = chooseHostCgroup(given);
  await cgroup.prepare();
  host.busy = 2;
  await cgroup.remove();
  assert.equal(host.made, []);

  const second = chooseHostCgroup(given);
  await second.prepare();
  host.at('/cg/memory/pods/pod1/kata_sb').procs.add(4242);
  const since = performance.now();
  await second.remove();
  assert.ok(performance.now() - since >= REMOVE_WAIT_MS - 1);
  assert.match(given.log.warnings.join(), /cgroup kept for now.*EBUSY/);
});

v1('a process that cannot go back keeps its cgroup, for whoever cleans up', async () => {
  const host = new FakeCgroups(['memory']);
  const given = options(host);
  const cgroup = chooseHostCgroup(given);
  await cgroup.prepare();
  host.failures.set('/cg/memory/shim', 'ENOENT');
  await cgroup.remove();
  assert.ok(host.made.includes('/cg/memory/pods/pod1/kata_sb'));
  host.at('/cg/memory/pods/pod1/kata_sb').procs.clear();
  await cleanUpCgroups(cgroup.traces, given.log, host);
  await cleanUpCgroups(cgroup.traces, given.log, host);
  assert.equal(host.made, []);
});

v1('cleaning up: nothing but empty directories below a mount point', async () => {
  const host = new FakeCgroups(['memory']);
  const log = new Lines();
  for (const path of ['/cg/memory/a', '/cg/memory/a/kata_x']) await host.mkdir(path);
  await cleanUpCgroups(
    ['/cg/memory', '/cg/memory/', '/cg/memory/a/../a/kata_x', '/cg/memory/./a', '/etc/kata_x', 'unit:x.scope', ''],
    log,
    host,
  );
  assert.equal(host.made, ['/cg/memory/a', '/cg/memory/a/kata_x']);
  assert.is(log.warnings.length, 6);
  const traces = [...Array<string>(MAX_TRACES).fill('unit:x'), '/cg/memory/a/kata_x'];
  await cleanUpCgroups(traces, log, host);
  assert.is(host.made.length, 2);
  await cleanUpCgroups(traces.slice(1), log, host);
  assert.equal(host.made, ['/cg/memory/a']);
});

v1.run();

const v2 = suite('cgroup v2');

v2('sandbox_cgroup_only: controllers are passed on, this process moves', async () => {
  const host = new FakeCgroups();
  const cgroup = chooseHostCgroup(options(host));
  await cgroup.prepare();
  assert.equal(host.whereIs(SHIM), ['/cg2/pods/pod1/kata_sb']);
  assert.is(host.at('/cg2/pods/pod1/kata_sb').files.get('cgroup.controllers'), 'cpuset cpu io memory pids');
  await cgroup.update({ cpus: 2, memoryBytes: 400 * MIB, cpuset: '', memoryNodes: '0' });
  const { files } = host.at('/cg2/pods/pod1/kata_sb');
  assert.equal([files.get('cpu.max'), files.get('memory.max')], ['200000 100000', `${400 * MIB}`]);
  assert.equal([files.get('cpuset.cpus'), files.get('cpuset.mems')], ['\n', '0']);
  await cgroup.update({ cpus: 0, memoryBytes: 0 });
  assert.equal([files.get('cpu.max'), files.get('memory.max')], ['max 100000', 'max']);
  await cgroup.remove();
  assert.equal(host.made, []);
});

v2('else the whole VMM is in it, and the pod limits its memory', async () => {
  const host = new FakeCgroups();
  const cgroup = chooseHostCgroup(options(host, { sandboxCgroupOnly: false }));
  await cgroup.prepare();
  await cgroup.placeVmm(200, [201]);
  assert.equal(host.whereIs(SHIM), ['/cg2/kata_overhead/sb']);
  assert.equal(host.whereIs(200), ['/cg2/pods/pod1/kata_sb']);
  host.at('/cg2/pods/pod1').files.set('memory.max', `${100 * MIB}`);
  const second = chooseHostCgroup(options(host, { sandboxCgroupOnly: false, sandboxId: 'two' }));
  assert.match((await refusal(second.prepare())).message, /memory\.max of cgroup \/pods\/pod1: 100 MiB/);
});

v2('a parent with processes passes nothing on, and the sandbox runs', async () => {
  const host = new FakeCgroups();
  await host.mkdir('/cg2/pods');
  host.move('/cg2/pods', 9);
  const given = options(host);
  const cgroup = chooseHostCgroup(given);
  await cgroup.prepare();
  assert.equal(host.whereIs(SHIM), ['/cg2/pods/pod1/kata_sb']);
  await cgroup.update({ cpus: 1, memoryBytes: 0 });
  assert.match(given.log.warnings.join(), /limit not set.*cpu\.max/);
});

v2.run();

const systemd = suite('systemd');
const UNIT = 'kubepods-burstable-podX.slice:cri-containerd:sb';
const SLICE = '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX.slice';

function systemdHost(...lists: string[][]): FakeCgroups {
  const host = new FakeCgroups(...lists);
  host.systemd = true;
  host.onSystemd = (argv) => {
    if (argv[0] !== 'StartTransientUnit') return;
    const { hierarchies } = host;
    const own = hierarchies.find((one) => one.version === 2 || one.controllers.includes('name=systemd'));
    let path = own?.point ?? '';
    for (const name of [...SLICE.slice(1).split('/'), String(argv[2])]) {
      path += `/${name}`;
      if (!host.directories.has(path)) void host.mkdir(path);
    }
    host.move(path, SHIM);
  };
  return host;
}

for (const lists of [[], V1]) {
  systemd(`a transient scope in the pod's slice, version ${lists.length > 0 ? 1 : 2}`, async () => {
    const host = systemdHost(...lists);
    const cgroup = chooseHostCgroup(options(host, { cgroupsPath: UNIT }));
    await cgroup.prepare();
    assert.equal(host.calls[0]?.slice(0, 5), [
      'StartTransientUnit',
      'ssa(sv)a(sa(sv))',
      'cri-containerd-sb.scope',
      'fail',
      '9',
    ]);
    assert.match(
      host.calls[0]?.join(' ') ?? '',
      / Slice s kubepods-burstable-podX\.slice PIDs au 1 100 Delegate b true /,
    );
    assert.is(host.calls[0]?.at(-1), '0');
    const scope = `${SLICE}/cri-containerd-sb.scope`;
    assert.equal(host.whereIs(SHIM).sort(), host.hierarchies.map(({ point }) => `${point}${scope}`).sort());
    assert.ok(cgroup.traces.includes('unit:cri-containerd-sb.scope'));
    await cgroup.placeVmm(1);
    await cgroup.update({ cpus: 1, memoryBytes: 0 });
    await cgroup.remove();
    assert.equal(
      host.made.filter((path) => path.endsWith('.scope')),
      [],
    );
  });
}

systemd("a pod's limit is looked at before systemd is asked", async () => {
  const host = systemdHost(...V1);
  let path = '/cg/memory';
  for (const name of SLICE.slice(1).split('/')) {
    path += `/${name}`;
    await host.mkdir(path);
  }
  host.at(path).files.set('memory.limit_in_bytes', `${MIB}`);
  const thrown = await refusal(chooseHostCgroup(options(host, { cgroupsPath: UNIT })).prepare());
  assert.match(thrown.message, /podX\.slice: 1 MiB/);
  assert.equal(host.calls, []);
});

systemd('a scope in the way is forgotten, then started', async () => {
  const host = systemdHost();
  const start = host.onSystemd;
  let failures = 1;
  host.onSystemd = (argv) => {
    if (argv[0] === 'StartTransientUnit' && failures-- > 0) throw new Error('Unit exists already');
    start(argv);
  };
  await chooseHostCgroup(options(host, { cgroupsPath: UNIT })).prepare();
  assert.equal(
    host.calls.map(([method]) => method),
    ['StartTransientUnit', 'ResetFailedUnit', 'StartTransientUnit'],
  );
  failures = 99;
  const thrown = await refusal(chooseHostCgroup(options(host, { cgroupsPath: UNIT })).prepare());
  assert.match(thrown.message, /systemd does not start cri-containerd-sb\.scope: Unit exists/);
});

systemd('without systemd, and for threads, the path becomes directories, which is said', async () => {
  const absent = new FakeCgroups();
  const given = options(absent, { cgroupsPath: UNIT });
  await chooseHostCgroup(given).prepare();
  assert.equal(absent.whereIs(SHIM), [`/cg2${SLICE}/kata_sb`]);
  assert.match(given.log.warnings.join(), /taken as directories/);
  const threads = systemdHost();
  await chooseHostCgroup(options(threads, { cgroupsPath: UNIT, sandboxCgroupOnly: false })).prepare();
  assert.equal(threads.calls, []);
  assert.equal(threads.whereIs(SHIM), ['/cg2/kata_overhead/sb']);
});

systemd.run();

const machine = suite('hierarchies');

machine('none: nothing is done, which is said', async () => {
  const host = new FakeCgroups(['name=systemd']);
  const given = options(host);
  const cgroup = chooseHostCgroup(given);
  assert.match(given.log.warnings.join(), /no cgroup hierarchy/);
  await cgroup.prepare();
  await cgroup.placeVmm(1);
  await cgroup.update({ cpus: 1, memoryBytes: 1 });
  await cgroup.remove();
  assert.equal([cgroup.traces, host.made], [[], []]);
});

machine('mounted together, named, more than once, in a container, or with a blank in the path', () => {
  const mountinfo = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 /docker/x /other/cpu rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu
34 31 0:30 /docker/x /sys/fs/cgroup/memory rw shared:1 master:2 - cgroup cgroup rw,memory
35 31 0:31 / /sys/fs/cgroup/a\\040b rw - cgroup systemd rw,xattr,name=systemd
36 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
37 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
38 31 0:34 / /sys/fs/cgroup/rdma rw - cgroup cgroup rw,rdma
`;
  const cgroups = '5:cpu,cpuacct:/a/b\n4:memory:/docker/x/y\n3:name=systemd:/\n2:pids:/../up\n0::/v2\n';
  assert.equal(parseHierarchies(mountinfo, cgroups), [
    {
      version: 1,
      controllers: ['cpu', 'cpuacct'],
      point: '/sys/fs/cgroup/cpu,cpuacct',
      own: '/sys/fs/cgroup/cpu,cpuacct/a/b',
    },
    { version: 1, controllers: ['memory'], point: '/sys/fs/cgroup/memory', own: '/sys/fs/cgroup/memory/y' },
    { version: 1, controllers: ['name=systemd'], point: '/sys/fs/cgroup/a b', own: '/sys/fs/cgroup/a b' },
    { version: 2, controllers: [], point: '/sys/fs/cgroup/unified', own: '/sys/fs/cgroup/unified/v2' },
    { version: 1, controllers: ['pids'], point: '/sys/fs/cgroup/pids', own: undefined },
  ]);
  const [outside] = parseHierarchies('1 1 0:1 /docker/x /m rw - cgroup c rw,memory\n', '1:memory:/docker/xy\n');
  assert.is(outside?.own, undefined);
  assert.equal(parseHierarchies('', ''), []);
});

machine.run();
