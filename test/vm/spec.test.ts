/** What a spec asks for, in a real guest: each thing seen from inside a container. One boot serves all tests. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { BUILD } from '../../setup/paths.ts';
import { type BareGuest, startGuest } from '../harness/bare-guest.ts';
import { BareContainers } from './bare-containers.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 16 * MIB;
const DISK_MOUNT = '/run/kata-containers/sandbox/storage/disk';
const IMAGE = '/run/kata-containers/shared/containers/image';
const HOOKS = '/run/kata-containers/shared/containers/hooks';
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const EOPNOTSUPP = 95;
const RESTARTS = 12;
const PLAIN = ['mount', 'ipc', 'uts'].map((Type) => ({ Type }));
const CONTAINER_TYPE = 'io.katacontainers.pkg.oci.container_type';

const specs = suite('a spec in the guest');
let directory: string;
let guest: BareGuest;
let pod: BareContainers;

specs.before(async () => {
  assert.ok(existsSync(join(BUILD, 'share/guest/amd64/manifest.json')), 'run `npm run guest` first');
  directory = mkdtempSync(join(tmpdir(), 'spec-'));
  const disk = join(directory, 'disk.img');
  writeFileSync(disk, '');
  truncateSync(disk, DISK_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-F', disk]);
  const drive = ['-drive', `file=${disk},if=none,id=d0,format=raw`, '-device', 'virtio-blk-pci,drive=d0'];
  guest = await startGuest(['-smp', '2', ...drive]);
  pod = new BareContainers(new TtrpcClient(await guest.socket));
  await pod.call('CreateSandbox', methods.CreateSandbox, {
    sandbox_id: 'pod',
    hostname: 'the-pod',
    guest_hook_path: HOOKS,
  });
  await pod.install();
});

specs.after(async () => {
  pod?.client.close('the tests are over');
  await guest?.stop();
  rmSync(directory, { recursive: true, force: true });
});

specs('user, groups, umask, working directory, environment', async () => {
  const User = { UID: 33, GID: 34, AdditionalGids: [5, 77], Umask: 0o027 };
  const process = { User, Cwd: '/made/for/it', Env: ['PATH=/bin', 'A=b c'] };
  const out = await pod.output('id -u; id -g; id -G; umask; pwd; echo "$A"; hostname', { process });
  assert.equal(out.split('\n'), ['33', '34', '34 5 77', '0027', '/made/for/it', 'b c', 'the-pod']);
});

specs('capabilities, rlimits, no_new_privs, oom_score_adj', async () => {
  const two = ['CAP_KILL', 'CAP_CHOWN'];
  const process = {
    Capabilities: { Bounding: two, Effective: two, Permitted: two, Inheritable: [], Ambient: [] },
    Rlimits: [{ Type: 'RLIMIT_NOFILE', Hard: 321, Soft: 123 }],
    NoNewPrivileges: true,
    OOMScoreAdj: 345,
  };
  const script =
    'grep -E "^(CapBnd|CapEff|NoNewPrivs|Seccomp):" /proc/self/status; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj';
  const out = await pod.output(script, { process });
  assert.match(out, /CapEff:\s+0*21\nCapBnd:\s+0*21\nNoNewPrivs:\s+1\nSeccomp:\s+0\n123\n321\n345$/);
});

specs('seccomp is enforced, with the errno it names', async () => {
  const Seccomp = {
    DefaultAction: 'SCMP_ACT_ALLOW',
    Architectures: ['SCMP_ARCH_X86_64'],
    Syscalls: [{ Names: ['mkdir', 'mkdirat'], Action: 'SCMP_ACT_ERRNO', errnoret: EOPNOTSUPP }],
  };
  const linux = { Seccomp, Namespaces: PLAIN };
  const { out, err } = await pod.run(['sh', '-c', 'grep Seccomp: /proc/self/status; mkdir /tmp/x'], { linux });
  assert.match(out, /Seccomp:\s+2/);
  assert.match(err, /not supported/i);
  // An exec is under the same filter.
  const id = await pod.start(['sleep', '1000'], { linux });
  assert.match((await pod.exec(id, ['mkdir', '/tmp/y'])).err, /not supported/i);
  await pod.remove(id);
});

specs('read-only root, masked and read-only paths, mounts onto links, a hundred mounts', async () => {
  const many = Array.from({ length: 100 }, (_, i) => tmpfs(`/tmp/m${i}`));
  const readonly = { Path: IMAGE, Readonly: true };
  const linux = { MaskedPaths: ['/proc/kcore', '/sys/firmware'], ReadonlyPaths: ['/proc/sys'], Namespaces: PLAIN };
  const script = [
    'touch /x 2>&1',
    'cat /proc/kcore | wc -c',
    'ls /sys/firmware | wc -l',
    'echo 1 2>&1 >/proc/sys/kernel/printk',
    'grep -c " /real " /proc/mounts',
    'grep -c " /tmp/m" /proc/mounts',
  ];
  const wanted = { spec: { Root: readonly }, linux, mounts: [tmpfs('/link'), ...many] };
  await pod.output('for i in $(seq 0 99); do mkdir /tmp/m$i; done');
  const lines = (await pod.output(script.join(';'), wanted)).split('\n');
  assert.match(lines[0] ?? '', /Read-only file system/);
  assert.match(lines[3] ?? '', /Read-only file system/);
  assert.equal([lines[1], lines[2], lines[4], lines[5]], ['0', '0', '1', '100']);
});

specs('limits: pids, shares, quota, burst, processors, memory, swap, unified', async () => {
  const id = await pod.start(['sleep', '1000'], {
    resources: {
      Pids: { Limit: 32 },
      CPU: { Shares: 512, Quota: 50_000, Period: 100_000, Burst: 10_000, Cpus: '7', Mems: '3' },
      Memory: { Limit: 64 * MIB, Swap: 64 * MIB, Reservation: 32 * MIB },
      Unified: { 'memory.high': String(60 * MIB), 'memory.oom.group': '1', 'not.here': '1' },
    },
  });
  assert.equal(await cgroup(id, ['pids.max', 'cpu.weight', 'cpu.max', 'cpu.max.burst', 'cpuset.cpus']), [
    '32',
    '20',
    '50000 100000',
    '10000',
    '1',
  ]);
  assert.equal(await cgroup(id, ['memory.max', 'memory.swap.max', 'memory.low', 'memory.high', 'memory.oom.group']), [
    String(64 * MIB),
    '0',
    String(32 * MIB),
    String(60 * MIB),
    '1',
  ]);
  assert.is(await pod.sh(id, 'nproc'), '1');
  const { out, status } = await pod.exec(id, ['sh', '-c', 'for i in $(seq 64); do sleep 1000 & done; echo all']);
  assert.not.match(out, /all/);
  assert.is.not(status, 0);
  await pod.remove(id);
});

specs('limits change while it runs, and none below what is in use', async () => {
  const limit = 64 * MIB;
  // 24 MiB in a variable.
  const hold = 'a=$(dd if=/dev/zero bs=1M count=24 | tr "\\0" a); echo held; sleep 1000; true';
  const id = await pod.start(['sh', '-c', hold], { resources: { Memory: { Limit: limit, Swap: limit } } });
  await pod.call('ReadStdout', methods.ReadStdout, { container_id: id, exec_id: id, len: 100 });
  await pod.update(id, {
    CPU: { Quota: 20_000, Period: 50_000, Shares: 2048 },
    Memory: { Limit: 2 * limit, Swap: 2 * limit },
  });
  assert.equal(await cgroup(id, ['cpu.max', 'cpu.weight', 'memory.max']), ['20000 50000', '79', String(2 * limit)]);
  await pod.update(id, {
    CPU: { Quota: -1 },
    Memory: { Limit: limit, Swap: limit },
    Unified: { 'memory.high': 'max' },
  });
  assert.equal(await cgroup(id, ['cpu.max', 'memory.max']), ['max 50000', String(limit)]);
  await rejects(pod.update(id, { Memory: { Limit: 8 * MIB } }), /cannot be reclaimed/);
  await rejects(pod.update(id, { CPU: { Quota: 1, Period: 100_000 } }), /cpu\.max/);
  assert.is(await cgroup(id, ['memory.max']).then(String), String(limit));
  const { cgroup_stats: stats } = await pod.stats(id);
  assert.ok(Number(stats?.memory_stats?.usage?.usage) > 24 * MIB);
  await pod.remove(id);
});

specs('throttles hold for the guest’s disk, and its I/O is counted', async () => {
  const disk = { driver: 'blk', source: '/dev/vda', fstype: 'ext4', mount_point: DISK_MOUNT, options: [] };
  const id = await pod.start(['sleep', '1000'], {
    request: { storages: [disk] },
    mounts: [{ destination: '/disk', type: 'bind', source: DISK_MOUNT, options: ['rbind'] }],
    resources: {
      BlockIO: { Weight: 500, ThrottleWriteBpsDevice: [{ Major: 8, Minor: 0, Rate: 64 * MIB }] },
    },
  });
  const [max] = await cgroup(id, ['io.max']);
  assert.match(max ?? '', /^\d+:0 rbps=max wbps=67108864 /);
  await pod.sh(id, 'dd if=/dev/zero of=/disk/file bs=64k count=16; sync');
  const { cgroup_stats: stats } = await pod.stats(id);
  const written = stats?.blkio_stats?.io_service_bytes_recursive.find(({ op }) => op === 'Write');
  assert.ok(Number(written?.value) >= MIB, JSON.stringify(stats?.blkio_stats));
  assert.is(Number(written?.major), Number(max?.split(':')[0]));
  await pod.remove(id);
});

specs('statistics: time, memory, processes', async () => {
  const id = await pod.start([
    'sh',
    '-c',
    'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; sleep 1000; true',
  ]);
  await pod.call('ReadStdout', methods.ReadStdout, { container_id: id, exec_id: id, len: 100 });
  const { cgroup_stats: stats } = await pod.stats(id);
  const usage = stats?.cpu_stats?.cpu_usage;
  const [total, user, system] = [usage?.total_usage, usage?.usage_in_usermode, usage?.usage_in_kernelmode].map(Number);
  assert.ok((total ?? 0) > 0 && (user ?? 0) > 0);
  // A loop of the shell's own is user time.
  assert.ok((user ?? 0) > (system ?? 0), `user ${user}, system ${system}`);
  assert.is(Number(stats?.pids_stats?.current), 2);
  const memory = stats?.memory_stats?.stats ?? {};
  for (const name of ['anon', 'pgfault', 'inactive_anon', 'kernel', 'total_rss'])
    assert.ok(Number(memory[name]) > 0, name);
  for (const name of ['total_inactive_file', 'pgmajfault', 'events.oom_kill'])
    assert.is(Number(memory[name] ?? -1), 0, name);
  await pod.remove(id);
});

specs('sysctls: the network’s for all, the others in the pod’s namespaces', async () => {
  const Sysctl = {
    'net.ipv4.ip_local_port_range': '20000 30000',
    'kernel.shm_rmid_forced': '1',
    'kernel.msgmax': '9000',
    'fs.mqueue.msg_max': '99',
  };
  const files = 'net/ipv4/ip_local_port_range kernel/shm_rmid_forced kernel/msgmax fs/mqueue/msg_max';
  const script = `cd /proc/sys; for f in ${files}; do echo $(cat $f); done`;
  assert.equal((await pod.output(script, { linux: { Sysctl, Namespaces: PLAIN } })).split('\n'), [
    '20000 30000',
    '1',
    '9000',
    '99',
  ]);
  // Another container of the pod.
  assert.equal((await pod.output(script)).split('\n'), ['20000 30000', '1', '9000', '99']);
  await rejects(
    pod.create(['true'], { linux: { Sysctl: { 'kernel.panic': '1' }, Namespaces: PLAIN } }),
    /kernel\.panic/,
  );
});

specs('a user namespace with its mappings', async () => {
  const mapping = [{ ContainerID: 0, HostID: 65_536, Size: 65_536 }];
  const Namespaces = [...PLAIN, { Type: 'user' }];
  const linux = { Namespaces, UIDMappings: mapping, GIDMappings: mapping };
  const out = await pod.output(
    'id -u; echo $(cat /proc/self/uid_map); touch /tmp/mine; stat -c %u /tmp/mine; hostname',
    { linux, mounts: [tmpfs('/tmp')] },
  );
  assert.equal(out.split('\n'), ['0', '0 65536 65536', '0', 'the-pod']);
});

specs('programs that cannot be run are told in runc’s words, and leave nothing', async () => {
  const before = await census();
  await rejects(pod.create(['nope']), /^exec: "nope": executable file not found in \$PATH$/);
  await rejects(pod.create(['/nope']), /^exec: "\/nope": stat \/nope: no such file or directory$/);
  await rejects(pod.create(['/etc/passwd']), /permission denied/i);
  assert.equal(await census(), before);
  const id = await pod.start(['sleep', '1000']);
  await rejects(pod.exec(id, ['nope']), /^exec: "nope": executable file not found in \$PATH$/);
  await rejects(pod.exec(id, ['pwd'], { Cwd: '/not/there' }), /chdir/);
  await pod.remove(id);
});

specs('a kill for want of memory is told before the end', async () => {
  const order: string[] = [];
  const asked = pod
    .call('GetOOMEvent', methods.GetOOMEvent, {}, 0)
    .then((event) => order.push(`oom ${event.container_id}`));
  const resources = { Memory: { Limit: 16 * MIB, Swap: 16 * MIB } };
  const hungry = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=100M', 'count=1'];
  const first = await pod.start(hungry, { resources });
  await pod.wait(first).then((status) => order.push(`exit ${status}`));
  await asked;
  assert.equal(order, [`oom ${first}`, 'exit 137']);
  // The host is between two calls.
  const second = await pod.start(['sh', '-c', 'dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 1000'], {
    resources,
  });
  const events = (await pod.stats(second)).cgroup_stats?.memory_stats?.stats ?? {};
  assert.is.not(events['events.oom_kill'], undefined);
  const { container_id: killed } = await pod.call('GetOOMEvent', methods.GetOOMEvent, {}, 20_000);
  assert.is(killed, second);
  // Once a kill.
  await rejects(pod.call('GetOOMEvent', methods.GetOOMEvent, {}, 300), /./);
  await pod.remove(first);
  await pod.remove(second);
});

specs('a pod that shares its processes: killing one container spares the others', async () => {
  const shared = { request: { sandbox_pidns: true } };
  const pause = await pod.start(['sleep', '1001'], { spec: { Annotations: { [CONTAINER_TYPE]: 'pod_sandbox' } } });
  // This pod's first containers had namespaces of their own: who asks for sharing looks at the oldest that runs.
  const target = await pod.start(['sleep', '1002']);
  const debug = await pod.start(['sh', '-c', 'sleep 1003 & wait'], shared);
  const seen = await pod.sh(debug, 'ps');
  assert.match(seen, /sleep 1002/);
  assert.not.match(seen, /sleep 1001/);
  await pod.signal(debug, 9);
  assert.is(await pod.wait(debug), 137);
  assert.not.match(await pod.sh(target, 'ps'), /sleep 1003/);
  for (const id of [debug, target]) await pod.remove(id);
  // Nobody left to look at: the pause container's namespace.
  assert.match(await pod.output('ps', shared), /sleep 1001/);
  await pod.remove(pause);
  // Not even that: the sandbox's own, whose first process shows nothing of the guest.
  const out = await pod.output('ps; ls /proc/1/root/ 2>&1 || true', shared);
  assert.match(out, /pod-namespaces/);
  assert.match(out, /Permission denied/);
});

specs('SIGTERM ends one that shares, by default', async () => {
  const id = await pod.start(['sleep', '1000'], { request: { sandbox_pidns: true } });
  await pod.signal(id, 15);
  assert.is(await pod.wait(id), 143);
  await pod.remove(id);
});

specs('a container is restarted again and again without leaving anything', async () => {
  const before = await census();
  for (let i = 0; i < RESTARTS; i++) {
    const id = await pod.start(['sh', '-c', 'sleep 1000 & sleep 1000'], { mounts: [tmpfs('/real')] });
    if (i % 2 === 0) await pod.exec(id, ['true']);
    if (i % 3 === 0) {
      await pod.signal(id, 9);
      await pod.wait(id);
    }
    await pod.remove(id);
  }
  assert.equal(await census(), before);
});

specs('hooks of the guest run in the guest', async () => {
  for (const stage of ['prestart', 'poststart', 'poststop']) {
    const script = `#!/bin/busybox sh\n/bin/busybox cat >/dev/null\necho ${stage} >>${IMAGE}/tmp/stages\n`;
    await pod.put(`${HOOKS}/${stage}`, S_IFDIR | 0o755);
    await pod.put(`${HOOKS}/${stage}/note`, S_IFREG | 0o755, Buffer.from(script));
  }
  await pod.put(`${HOOKS}/prestart/not-executable`, S_IFREG | 0o644, Buffer.from('exit 1\n'));
  const id = await pod.start(['sleep', '1000']);
  assert.is(await pod.sh(id, 'cat /tmp/stages'), 'prestart\npoststart');
  await pod.remove(id);
  assert.match(await pod.output('cat /tmp/stages'), /^prestart\npoststart\npoststop\nprestart/);
});

/** A file each of a container's cgroup, as the container sees them. */
async function cgroup(id: string, files: readonly string[]): Promise<string[]> {
  return (await pod.sh(id, `cd /sys/fs/cgroup; for f in ${files.join(' ')}; do echo $(cat $f); done`)).split('\n');
}

/** What the guest holds: descriptors of the agent, mounts, cgroups, files of containers. */
async function census(): Promise<string> {
  const bind = (source: string, destination: string) => ({
    source,
    destination,
    type: 'bind',
    options: ['rbind', 'ro'],
  });
  const mounts = [bind('/proc', '/real/proc'), bind('/run', '/real/run'), bind('/sys', '/real/sys')];
  const script = [
    'echo fds $(ls /real/proc/1/fd | wc -l)',
    'echo mounts $(cat /real/proc/1/mounts | wc -l)',
    'echo groups $(ls -R /real/sys/fs/cgroup | grep -c cgroup.procs)',
    'echo bundles $(ls -A /real/run/kata-containers | wc -l) $(ls -A /real/run/crun | wc -l)',
    'echo processes $(ls -d /real/proc/[0-9]* | wc -l)',
  ];
  const { out } = await pod.run(['sh', '-c', script.join(';')], { mounts });
  return out;
}

function tmpfs(destination: string) {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', 'size=64k'] };
}

async function rejects(promise: Promise<unknown>, text: RegExp): Promise<void> {
  const message = await promise.then(
    () => undefined,
    (error: Error) => error.message,
  );
  assert.ok(text.test(message ?? ''), `${text}: ${message ?? 'it did not fail'}`);
}

specs.run();
