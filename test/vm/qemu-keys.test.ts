/**
 * Keys of [hypervisor.qemu] in real machines: what the guest sees of them, and what QEMU says. One boot shows those of a machine,
 * one each of Kata's shipped files that a pod starts with them. The machine runs without root, a pod with its share too.
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FIRST_UID } from '../../host/hypervisor/qemu/rootless.ts';
import { createNetwork } from '../../host/network/create.ts';
import { encode } from '../../host/proto/codec.ts';
import { Options } from '../../host/proto/messages/runtimeoptions.ts';
import { parseList, VcpuPinning } from '../../host/resources/pinning.ts';
import { BUILD } from '../../setup/paths.ts';
import { IS_KATA } from '../harness/containerd.ts';
import { until } from '../harness/containers.ts';
import { ShellGuest } from '../harness/shell-guest.ts';
import { ShimPlace } from '../harness/shim.ts';
import { kataFile } from '../unit/config/fixture.ts';
import { Namespaces } from '../unit/network/namespaces.ts';

const ARM64 = process.arch === 'arm64';
const MIB = 1024 * 1024;
/** What the guest fills and frees. */
const FILLED_MIB = 128;
const KIB_PER_MIB = 1024;

const machine = suite('a configured machine');

machine('disks, NIC, vCPUs, memory, random numbers, IOMMU, monitor, and the memory of its panic', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-keys-'));
  const disk = join(directory, 'disk.img');
  writeFileSync(disk, '');
  truncateSync(disk, 16 * MIB);
  const dumps = join(directory, 'dumps');
  const namespaces = new Namespaces();
  namespaces.veth('eth0', '02:00:ca:fe:00:01', '10.88.0.9/16');
  const guest = new ShellGuest(directory, {
    networkNamespace: namespaces.path,
    debug: true,
    cpuFeatures: 'pmu=off',
    vcpus: 2,
    maxVcpus: 2,
    block: {
      driver: 'virtio-scsi',
      aio: 'io_uring',
      cache: { direct: false, noFlush: false },
      logicalSectorBytes: 4096,
      physicalSectorBytes: 8192,
      ioThreads: 2,
      queueSize: 64,
      queues: 2,
    },
    memory: { prealloc: false, hugePages: undefined, reclaim: true },
    devices: {
      entropySource: '/dev/urandom',
      vhostNet: false,
      iommu: !ARM64,
      iommuPlatform: !ARM64,
      monitor: 'hmp',
      legacySerial: false,
      firmware: undefined,
      pflashes: [],
      dump: { directory: dumps, paging: false },
      verity: undefined,
      rootless: true,
      rootPorts: 0,
      vfioPort: 'no-port',
    },
  });
  try {
    // Where everybody may read the guest's files.
    for (const path of [directory, guest.directory]) chmodSync(path, 0o711);
    await guest.boot();
    assert.match(await guest.run('cat /sys/class/misc/hw_random/rng_available'), /virtio_rng/);
    if (!ARM64) assert.is((await guest.run('ls /sys/class/iommu')).trim(), 'dmar0');

    const path = await guest.vm.plugBlock('d', disk, false);
    const slot = path.split('/').at(-1);
    await until('the guest has the disk', async () => (await guest.run('ls /sys/block')).includes('vda'));
    const blocks = '/sys/block/vda';
    assert.match(await guest.run(`readlink -f ${blocks}`), new RegExp(`:${slot}\\.0/virtio`));
    const sizes = await guest.run(`cat ${blocks}/queue/logical_block_size ${blocks}/queue/physical_block_size`);
    assert.is(sizes, '4096\n8192\n');
    assert.is((await guest.run(`ls ${blocks}/mq | wc -l`)).trim(), '2');
    await guest.run('echo written by the guest | dd of=/dev/vda bs=4096 conv=sync,fsync 2>/dev/null');
    assert.is(readFileSync(disk).subarray(0, 20).toString(), 'written by the guest');

    const monitor = join(guest.directory, 'extra-monitor.sock');
    assert.is(statSync(monitor).mode & 0o777, 0o600);
    const threads = await askMonitor(monitor, 'info iothreads');
    for (const name of ['iothread-0:', 'iothread-1:']) assert.ok(threads.includes(name), threads);
    const tree = await askMonitor(monitor, 'info qtree');
    for (const property of ['queue-size = 64 ', 'num-queues = 2 ', 'free-page-reporting = true']) {
      assert.ok(tree.includes(property), property);
    }

    const warnings: string[] = [];
    const log = { info: () => {}, warn: (message: string) => void warnings.push(message) };
    const network = createNetwork('tcfilter', {
      namespace: { path: namespaces.path, own: false },
      hypervisor: guest.vm,
      log,
      wishes: { rxRate: 8_000_000, txRate: 8_000_000, networkQueues: 2 },
    });
    await network.prepare();
    await network.attach();
    await until('the guest has the NIC', async () => (await guest.run('ls /sys/class/net')).includes('eth0'));
    assert.is((await guest.run('ls -d /sys/class/net/eth0/queues/rx-* | wc -l')).trim(), '2');
    await network.close();

    const mine = parseList(allowedCpus('self')) ?? [];
    const [one = 0, other = one] = mine;
    const pinning = new VcpuPinning({ threads: () => guest.vm.vcpuThreads(), log });
    await pinning.set('a', `${one},${other}`);
    const vcpus = await guest.vm.vcpuThreads();
    assert.equal(
      vcpus.map((thread) => allowedCpus(`${guest.vm.pid}/task/${thread}`)),
      [`${one}`, `${other}`],
    );
    assert.equal(warnings, []);

    await giveBack(guest);

    guest.run('echo c > /proc/sysrq-trigger').catch(() => {});
    await guest.vm.exited;
    const [file = ''] = readdirSync(join(dumps, 'shell-guest'));
    const core = join(dumps, 'shell-guest', file);
    assert.is(readFileSync(core).subarray(0, 4).toString('latin1'), '\x7fELF');
    assert.ok(statSync(core).size > 256 * MIB);
    assert.match(guest.vm.consoleTail(), /RIP|Call [Tt]race/);
  } finally {
    await guest.stop();
    namespaces.remove();
    rmSync(directory, { recursive: true });
  }
});

/** CPUs that a process or thread may run on. */
function allowedCpus(name: string): string {
  return /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1] ?? '';
}

/** Memory that the guest has filled and freed is the host's again. */
async function giveBack(guest: ShellGuest): Promise<void> {
  const resident = (): number => {
    const status = readFileSync(`/proc/${guest.vm.pid}/status`, 'utf8');
    return Math.floor(Number(/^RssShmem:\s+([0-9]+) kB$/m.exec(status)?.[1]) / KIB_PER_MIB);
  };
  const before = resident();
  await guest.run('mkdir -p /fill; mount -t tmpfs -o size=160M fill /fill');
  await guest.run(`dd if=/dev/zero of=/fill/file bs=1M count=${FILLED_MIB} 2>/dev/null`);
  const full = resident();
  assert.ok(full > before + FILLED_MIB / 2, `${before} MiB, then ${full} MiB`);
  await guest.run('rm /fill/file');
  // The guest tells of large free pieces, two seconds after they are free.
  await until(
    () => `${full} MiB of memory fall: ${resident()} MiB`,
    () => resident() < full - FILLED_MIB / 2,
  );
}

/** What a monitor for humans answers. */
function askMonitor(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path);
    socket.on('data', (chunk) => {
      text += chunk;
      // The last echo of the command, its answer, and the next prompt.
      if (text.includes(`${command}\u001b[K\r\n`) && text.endsWith('\n(qemu) ')) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.write(`${command}\n`);
  });
}

const shipped = suite('what Kata ships');

const GUEST = `${BUILD}/share/guest/${ARM64 ? 'arm64' : 'amd64'}`;

/** Kata 4.1's file for QEMU, but for the guest, which is ours, and firmware that is not here. */
function shippedFile(runtime: 'go' | 'rs'): string {
  return kataFile(runtime, ARM64 ? 'arm64' : 'x64', {
    'hypervisor.qemu.kernel': `"${GUEST}/${ARM64 ? 'Image' : 'vmlinux'}"`,
    'hypervisor.qemu.image': undefined,
    'hypervisor.qemu.initrd': `"${GUEST}/initramfs.cpio.gz"`,
    'hypervisor.qemu.firmware': '""',
    'hypervisor.qemu.firmware_volume': '""',
  });
}

/** A pod with a configuration of its own; `look` is given QEMU's pid. */
async function withPod(text: string, look: (pid: number) => void): Promise<void> {
  const place = new ShimPlace();
  try {
    const file = join(place.directory, 'kata', 'configuration.toml');
    mkdirSync(join(place.directory, 'kata'));
    writeFileSync(file, text);
    const id = `keys-${process.pid}`;
    const task = await place.start(id, place.bundle(id));
    const value = encode(Options, { config_path: file, type_url: 'io.containerd.kata.v2.options' });
    await task.create({ options: { type_url: 'runtimeoptions.v1.Options', value } });
    const { pid } = await task.call('Start');
    look(pid);
    await task.end();
  } finally {
    await place.remove();
  }
}

for (const [whose, text] of [
  ['the Go runtime', shippedFile('go')],
  ['runtime-rs', shippedFile('rs')],
] as const) {
  shipped(`for ${whose} starts a pod`, () =>
    withPod(text, (pid) => {
      const qemu = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const after = (option: string): string => qemu[qemu.indexOf(option) + 1] ?? '';
      assert.match(after('-append'), /cgroup_no_v1=all systemd\.unified_cgroup_hierarchy=1/);
      assert.is(after('-m'), 'size=2048M');
      assert.match(after('-cpu'), /pmu=off/);
      assert.ok(qemu.includes('rng-random,id=rng0,filename=/dev/urandom'));
    }),
  );
}

shipped('with rootless = true starts a pod whose QEMU is nobody', () =>
  withPod(`[hypervisor.qemu]\nrootless = true\n`, (pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [uid = 0, ...others] = (/^Uid:\s+(.*)$/m.exec(status)?.[1] ?? '').split(/\s+/).map(Number);
    assert.ok(uid >= FIRST_UID);
    assert.equal(others, [uid, uid, uid]);
    assert.match(status, new RegExp(`^Gid:\\s+${uid}\\s`, 'm'));
    assert.match(status, /^CapBnd:\s+0+$/m);
    assert.not.match(status, /^Groups:.*\b0\b/m);
  }),
);

if (IS_KATA) {
  machine.run();
  shipped.run();
}
