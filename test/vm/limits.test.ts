/** Limits, statistics and kills for want of memory, in a real guest. One boot serves all tests. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import { type BareContainers, bootPod, rejects } from './bare-containers.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 16 * MIB;
const DISK_MOUNT = '/run/kata-containers/sandbox/storage/disk';

const limits = suite('limits in the guest');
let directory: string;
let pod: BareContainers;

limits.before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'limits-'));
  const disk = join(directory, 'disk.img');
  writeFileSync(disk, '');
  truncateSync(disk, DISK_BYTES);
  execFileSync('mkfs.ext4', ['-q', '-F', disk]);
  pod = await bootPod(['-drive', `file=${disk},if=none,id=d0,format=raw`, '-device', 'virtio-blk-pci,drive=d0']);
});

limits.after(async () => {
  await pod?.close();
  rmSync(directory, { recursive: true, force: true });
});

limits('limits: pids, shares, quota, burst, processors, memory, swap, unified', async () => {
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

limits('limits change while it runs, and none below what is in use', async () => {
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

limits('throttles hold for the guest’s disk, and its I/O is counted', async () => {
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

limits('statistics: time, memory, processes', async () => {
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

limits('a kill for want of memory is told before the end', async () => {
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

/** A file each of a container's cgroup, as the container sees them. */
async function cgroup(id: string, files: readonly string[]): Promise<string[]> {
  return (await pod.sh(id, `cd /sys/fs/cgroup; for f in ${files.join(' ')}; do echo $(cat $f); done`)).split('\n');
}

limits.run();
