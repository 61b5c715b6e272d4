/** Limits, statistics and OOM events over a directory that looks like a cgroup. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cgroup, cgroupPath, weightOf } from '../../../guest/agent/cgroup.ts';
import { type Call, type Loop, POLLPRI } from '../../../guest/agent/loop-interface.ts';
import { MAX_EVENTS, OomEvents } from '../../../guest/agent/oom.ts';
import { cgroupStats, networkStats } from '../../../guest/agent/stats.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { CgroupStats } from '../../../host/proto/messages/agent.ts';
import { LinuxResources } from '../../../host/proto/messages/oci.ts';
import { nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

/** Watches only the test fires; time that passes at once. */
class ManualLoop implements Loop {
  readonly watches = new Map<number, (revents: number) => void>();
  watch(fd: number, _events: number, callback: (revents: number) => void): () => void {
    this.watches.set(fd, callback);
    return () => this.watches.delete(fd);
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
  exited(): Promise<number> {
    return new Promise(() => {});
  }
  fire(): void {
    for (const callback of [...this.watches.values()]) callback(POLLPRI);
  }
}

interface Context {
  directory: string;
  loop: ManualLoop;
  cgroup: Cgroup;
}

const sys = nodeSys();
const cgroups = suite<Context>('cgroup');

cgroups.before.each((context) => {
  context.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cgroup-'));
  context.loop = new ManualLoop();
  context.cgroup = new Cgroup(sys, context.loop, context.directory);
  fs.writeFileSync(path.join(context.directory, 'cgroup.procs'), '');
});
cgroups.after.each(({ directory }) => fs.rmSync(directory, { recursive: true }));

function put(context: Context, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(context.directory, name), text);
}

function get(context: Context, name: string): string | undefined {
  const file = path.join(context.directory, name);
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
}

function resources(part: Init<LinuxResources>): LinuxResources {
  return decode(LinuxResources, encode(LinuxResources, part));
}

cgroups('paths stay below the root and never are it', () => {
  assert.is(cgroupPath('/default/x', 'id'), '/default/x');
  assert.is(cgroupPath('', 'id'), '/kata/id');
  assert.is(cgroupPath('/', 'id'), '/kata/id');
  assert.is(cgroupPath('../../x/./y', 'id'), '/x/y');
  assert.is(cgroupPath('kubepods.slice:cri-containerd:abc', 'id'), '/kubepods.slice/cri-containerd-abc.scope');
});

cgroups('shares become weights', () => {
  assert.equal([0, 2, 1024, 262144, 1e9].map(weightOf), [1, 1, 39, 10000, 10000]);
});

cgroups('limits are written where they are named, lifted by -1, left alone by 0', (context) => {
  put(context, { 'memory.swap.max': 'max', 'cpu.max': '20000 50000', 'hugetlb.2MB.max': 'max', 'io.max': '' });
  const wanted = resources({
    Memory: { Limit: 1000, Swap: 1500, Reservation: 500 },
    CPU: { Shares: 1024, Quota: 30000 },
    Pids: { Limit: -1 },
    HugepageLimits: [
      { Pagesize: '2MB', Limit: 4096 },
      { Pagesize: '1GB', Limit: 0 },
      { Pagesize: '../../x', Limit: 1 },
    ],
  });
  context.cgroup.update(wanted);
  context.cgroup.updateOptional(wanted);
  const written = [
    'memory.max',
    'memory.low',
    'memory.swap.max',
    'cpu.weight',
    'cpu.max',
    'pids.max',
    'hugetlb.2MB.max',
  ];
  assert.equal(
    written.map((name) => get(context, name)),
    ['1000', '500', '500', '39', '30000 50000', 'max', '4096'],
  );
  assert.is(get(context, 'cpuset.cpus'), undefined);
  assert.is(get(context, 'hugetlb.1GB.max'), undefined);
  context.cgroup.update(
    resources({ Memory: { Limit: -1, Swap: -1 }, CPU: { Quota: -1, Period: 10000, Cpus: '0-1', Mems: '0' } }),
  );
  assert.equal(
    ['memory.max', 'memory.swap.max', 'cpu.max', 'cpuset.cpus', 'cpuset.mems', 'memory.low'].map((name) =>
      get(context, name),
    ),
    ['max', 'max', 'max 10000', '0-1', '0', '500'],
  );
});

cgroups('a controller that is not there is named', async ({ loop }) => {
  const gone = new Cgroup(sys, loop, '/nowhere/cgroup');
  await refused(() => gone.update(resources({ Pids: { Limit: 5 } })), 'internal', /5 to pids\.max.*no such controller/);
  assert.is(await gone.remove(), true);
  gone.kill();
});

cgroups('freezing that does not happen is given up and taken back', async (context) => {
  put(context, { 'cgroup.events': 'populated 1\nfrozen 0\n' });
  await refused(() => context.cgroup.freeze(true), 'deadline_exceeded', /frozen 1/);
  assert.is(get(context, 'cgroup.freeze'), '0');
  put(context, { 'cgroup.events': 'populated 1\nfrozen 1\n' });
  await context.cgroup.freeze(true);
  assert.is(get(context, 'cgroup.freeze'), '1');
});

cgroups('statistics of every controller', (context) => {
  put(context, {
    'cpu.stat': 'usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n',
    'memory.current': '4096\n',
    'memory.peak': '8192\n',
    'memory.max': 'max\n',
    'memory.stat': 'anon 10\nfile 20\ninactive_file 5\nkernel 30\npgfault 40\n',
    'memory.events': 'low 0\nmax 3\noom 1\noom_kill 1\n',
    'memory.pressure': 'some avg10=12.34 avg60=0.00 avg300=0.00 total=99\nfull avg10=0.00 total=9\n',
    'memory.swap.current': '1\n',
    'pids.current': '4\n',
    'pids.max': '100\n',
    'io.stat': '8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:1 rbytes=7\n',
    'hugetlb.2MB.current': '2097152\n',
    'hugetlb.2MB.events': 'max 9\n',
  });
  // Through the codec: what cannot be encoded is no answer.
  const stats = decode(CgroupStats, encode(CgroupStats, cgroupStats(sys, context.cgroup)));
  assert.equal(stats.cpu_stats?.cpu_usage, {
    total_usage: 3_000_000,
    percpu_usage: [],
    usage_in_kernelmode: 1_000_000,
    usage_in_usermode: 2_000_000,
  });
  assert.equal(stats.cpu_stats?.throttling_data, { periods: 5, throttled_periods: 2, throttled_time: 7000 });
  assert.equal(stats.memory_stats?.usage, { usage: 4096, max_usage: 8192, failcnt: 3, limit: 2n ** 64n - 1n });
  assert.is(stats.memory_stats?.kernel_usage?.usage, 30);
  assert.is(stats.memory_stats?.stats.total_inactive_file, 5);
  assert.is(stats.memory_stats?.stats.rss, 10);
  assert.is(stats.memory_stats?.stats['events.oom_kill'], 1);
  assert.is(stats.memory_stats?.stats['memory.pressure.some.avg10'], 1234);
  assert.is(stats.memory_stats?.stats['memory.pressure.full.total'], 9);
  assert.equal(stats.pids_stats, { current: 4, limit: 100 });
  assert.equal(
    stats.blkio_stats?.io_service_bytes_recursive.map(
      ({ major, minor, op, value }) => `${major}:${minor} ${op} ${value}`,
    ),
    ['8:0 Read 1', '8:0 Write 2', '8:0 Discard 5', '253:1 Read 7', '253:1 Write 0', '253:1 Discard 0'],
  );
  assert.equal(stats.hugetlb_stats['2MB'], { usage: 2097152, max_usage: 0, failcnt: 9 });
});

cgroups('a guest without any controller has zeros, and 200 days of processor time stay exact', (context) => {
  assert.is(cgroupStats(sys, context.cgroup).memory_stats?.cache, 0);
  put(context, { 'cpu.stat': 'usage_usec 17280000000001\n' });
  const stats = decode(CgroupStats, encode(CgroupStats, cgroupStats(sys, context.cgroup)));
  assert.is(stats.cpu_stats?.cpu_usage?.total_usage, 17280000000001000n);
});

cgroups('interfaces but the loopback', (context) => {
  fs.mkdirSync(path.join(context.directory, 'net'));
  const counters = '1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0';
  put(context, { 'net/dev': `Inter-|  Receive\n face |bytes\n    lo: ${counters}\n  eth0: ${counters}\n` });
  assert.equal(networkStats(sys, context.directory), [
    {
      name: 'eth0',
      rx_bytes: 1,
      rx_packets: 2,
      rx_errors: 3,
      rx_dropped: 4,
      tx_bytes: 5,
      tx_packets: 6,
      tx_errors: 7,
      tx_dropped: 8,
    },
  ]);
});

cgroups('an OOM kill reaches the one who waits, not one who has left, and is kept for later', async (context) => {
  const oom = new OomEvents(sys, context.loop);
  const kills = (count: number) => put(context, { 'memory.events': `oom 1\noom_kill ${count}\n` });
  kills(0);
  const { stop } = oom.watch('c1', context.cgroup);
  const left: Call = { gone: true };
  oom.next(left).then(() => assert.unreachable('the caller has left'));
  const waiting = oom.next();
  kills(1);
  context.loop.fire();
  assert.is(await waiting, 'c1');
  context.loop.fire();
  kills(2);
  context.loop.fire();
  assert.is(await oom.next(), 'c1');
  for (let count = 3; count < MAX_EVENTS + 10; count++) {
    kills(count);
    context.loop.fire();
  }
  stop();
  assert.is(context.loop.watches.size, 0);
  const kept = Array.from({ length: MAX_EVENTS }, () => oom.next());
  assert.is((await Promise.all(kept)).length, MAX_EVENTS);
  assert.is(await Promise.race([oom.next(), Promise.resolve('none')]), 'none');
});

cgroups('the end of a container waits until its kill was handed out', async (context) => {
  const oom = new OomEvents(sys, context.loop);
  put(context, { 'memory.events': 'oom_kill 0\n' });
  const watch = oom.watch('c1', context.cgroup);
  // Nobody asks: nobody is waited for.
  put(context, { 'memory.events': 'oom_kill 1\n' });
  await watch.settled();
  const order: string[] = [];
  const told = oom.next().then((id) => order.push(`oom ${id}`));
  await told;
  // The host is between two calls; the kernel has not told of the second kill.
  put(context, { 'memory.events': 'oom_kill 2\n' });
  context.loop.sleep = () => new Promise(() => {});
  const end = watch.settled().then(() => order.push('end'));
  await oom.next().then((id) => order.push(`oom ${id}`));
  await end;
  assert.equal(order, ['oom c1', 'oom c1', 'end']);
  watch.stop();
  await watch.settled();
  assert.is(context.loop.watches.size, 0);
});

cgroups('a lower memory limit reclaims first, and is refused where that does not suffice', async (context) => {
  put(context, { 'memory.max': '9000', 'memory.high': '8500', 'memory.current': '5000' });
  await refused(
    () => context.cgroup.update(resources({ Memory: { Limit: 4000 } })),
    'failed_precondition',
    /memory limit 4000: the container uses 5000 bytes/,
  );
  assert.equal([get(context, 'memory.max'), get(context, 'memory.high')], ['9000', '8500']);
  context.cgroup.update(resources({ Memory: { Limit: 6000 } }));
  assert.equal([get(context, 'memory.max'), get(context, 'memory.high')], ['6000', '8500']);
  context.cgroup.update(resources({ Memory: { Swap: 7000 } }));
  assert.is(get(context, 'memory.swap.max'), undefined);
  put(context, { 'memory.swap.max': 'max' });
  context.cgroup.update(resources({ Memory: { Swap: 7000 } }));
  assert.is(get(context, 'memory.swap.max'), '1000');
});

cgroups.run();
