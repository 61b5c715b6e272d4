/** `kata-runtime check` on machines that are described by files: what is found, what it decides, what is advised. */
import { chmodSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CHECKS } from '../../../host/cli/check/all.ts';
import { CAN_CREATE, CAPABLE, type Verdict, verdictOf, verdictText } from '../../../host/cli/check/report.ts';
import { KataError } from '../../../host/error.ts';
import { CONTAINERD, CPUINFO, configurationOf, type Fake, goodMachine, KERNEL, kernelOf } from './fake-machine.ts';

const test = suite('kata-runtime check');
const TCG = { accelerator: async () => ({ accelerator: 'tcg', reason: 'the kernel did not come far' }) as const };

function verdict(fake: Fake, more: Parameters<Fake['situation']>[0] = {}, strict = false): Promise<Verdict> {
  return verdictOf(CHECKS, fake.situation(more), strict);
}

/** `status: found` of a check. */
function of({ results }: Verdict, name: string): string {
  const found = results.filter((result) => result.name === name).map(({ status, found }) => `${status}: ${found}`);
  assert.ok(found.length > 0, `there is a check ${name}`);
  return found.join(' | ');
}

function bad({ results }: Verdict): string[] {
  return results.filter(({ status }) => status === 'failed' || status === 'warning').map(({ name }) => name);
}

for (const [name, cpuinfo, arch] of [
  ['Intel', CPUINFO.intel, 'x64'],
  ['AMD', CPUINFO.amd, 'x64'],
  ['a Raspberry Pi', CPUINFO.raspberry, 'arm64'],
] as const) {
  test(`a good machine, ${name}: both sentences, nothing else`, async () => {
    const found = await verdict(goodMachine(cpuinfo, arch), {}, true);
    // Its containerd does not run.
    assert.equal(bad(found), ['containerd']);
    assert.is(found.capable, true);
    const relaxed = await verdict(goodMachine(cpuinfo, arch));
    assert.is(relaxed.canCreate, true);
    assert.ok(verdictText(relaxed, false).endsWith(`${CAPABLE}\n${CAN_CREATE}\n`));
  });
}

test('each processor by its name', async () => {
  assert.is(
    of(await verdict(goodMachine(CPUINFO.intel)), 'cpu-virtualization'),
    'ok: VT-x (vmx) of Intel(R) Core(TM) i5-8259U CPU @ 2.30GHz',
  );
  assert.match(
    of(await verdict(goodMachine(CPUINFO.intel)), 'kvm'),
    'kvm loaded, kvm_intel loaded; virtual machines within it: yes',
  );
  assert.match(of(await verdict(goodMachine(CPUINFO.amd)), 'kvm'), 'kvm_amd loaded');
  const raspberry = goodMachine(CPUINFO.raspberry, 'arm64');
  raspberry.write('/proc/device-tree/model', 'Raspberry Pi 4 Model B Rev 1.5\0');
  assert.match(of(await verdict(raspberry), 'cpu-virtualization'), /^ok: EL2 \(Hyp mode\) of Raspberry Pi 4/);
  assert.is(of(await verdict(raspberry), 'kvm'), 'ok: built into the kernel');
});

test('vmx of "vmx flags" or of another name is none', async () => {
  const fake = goodMachine(`${CPUINFO.plain.replace('msr lm', 'msr lm novmx vmx2')}vmx flags\t: vnmi vmx\n`);
  assert.match(of(await verdict(fake), 'cpu-virtualization'), /^warning: .*neither vmx nor svm/);
});

test('without virtualization: a warning, both sentences, and with --strict neither', async () => {
  for (const [cpuinfo, advice] of [
    [CPUINFO.plain, /firmware/],
    [CPUINFO.nested, /nested/],
  ] as const) {
    const fake = goodMachine(cpuinfo);
    fake.remove('/dev/kvm');
    const found = await verdict(fake, TCG);
    assert.is(found.capable && found.canCreate, true);
    const { advice: told = '' } = found.results.find(({ name }) => name === 'cpu-virtualization') ?? {};
    assert.match(told, advice);
    const strict = await verdict(fake, TCG, true);
    assert.is(strict.capable, false);
    assert.is(strict.canCreate, false);
    assert.not.match(verdictText(strict, false), 'System');
  }
});

test('a KVM that cannot run the guest is a warning with its reason', async () => {
  assert.match(of(await verdict(goodMachine(), TCG), 'accelerator'), /^warning: TCG: the kernel did not come far/);
});

test('kvm_intel that is there and not loaded, and one that is not there', async () => {
  const fake = goodMachine();
  fake.remove('/dev/kvm');
  fake.remove('/sys/module');
  fake.write(
    `/lib/modules/${KERNEL}/modules.dep`,
    'kernel/arch/x86/kvm/kvm-intel.ko.xz: kernel/arch/x86/kvm/kvm.ko.xz\nkernel/drivers/net/tun.ko:\n',
  );
  const found = await verdict(fake, TCG);
  assert.match(of(found, 'kvm'), 'kvm_intel is not loaded');
  assert.match(found.results.find(({ name }) => name === 'kvm')?.advice ?? '', 'modprobe kvm_intel');
  fake.write(`/lib/modules/${KERNEL}/modules.dep`, 'kernel/arch/x86/kvm/not_kvm_intel.ko:\n');
  assert.match(of(await verdict(fake, TCG), 'kvm'), `the kernel ${KERNEL} has no kvm_intel`);
});

test('Arm without /dev/kvm: the level at which the kernel was started, from its log', async () => {
  for (const [log, expected] of [
    ['[0.1] CPU: All CPU(s) started at EL2', /^ok: EL2/],
    ['[0.1] CPU: All CPU(s) started in HYP mode.', /^ok: EL2/],
    ['[0.1] CPU: All CPU(s) started at EL1', /^warning: the kernel was started at EL1/],
    ['[0.1] CPU: All CPU(s) started in SVC mode.', /^warning: the kernel was started at EL1/],
    ['', /^warning: there is no \/dev\/kvm.*does not say/],
  ] as const) {
    const fake = goodMachine(CPUINFO.raspberry, 'arm64');
    fake.remove('/dev/kvm');
    fake.says('dmesg', { code: 0, text: log });
    assert.match(of(await verdict(fake, TCG), 'cpu-virtualization'), expected);
  }
});

test('a Raspberry Pi is told of its own switches', async () => {
  const fake = goodMachine(CPUINFO.raspberry, 'arm64');
  fake.remove('/dev/kvm');
  fake.write('/proc/device-tree/model', 'Raspberry Pi 3 Model B\0');
  fake.write('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io pids\n');
  const { results } = await verdict(fake, TCG);
  const advice = (name: string): string => results.find((result) => result.name === name)?.advice ?? '';
  assert.match(advice('cpu-virtualization'), 'arm_64bit=1');
  assert.match(advice('cgroups'), 'cgroup_enable=memory');
});

test('what this program is not made for is not capable', async () => {
  const found = await verdict(goodMachine(CPUINFO.plain, 'arm'), { configuration: undefined });
  assert.match(of(found, 'architecture'), 'failed: this is a program for arm');
  assert.is(found.capable, false);
  assert.is(found.canCreate, false);
});

test('without root nothing is said of creating', async () => {
  const found = await verdict(goodMachine(CPUINFO.intel, 'x64', 1000));
  assert.is(found.capable, true);
  assert.is(found.canCreate, undefined);
  const text = verdictText(found, false);
  assert.match(text, CAPABLE);
  assert.not.match(text, CAN_CREATE);
  assert.match(text, 'sudo');
});

// [name of the check, what is done to a good machine, what is found, whether it stays capable, and can create]
const FAULTS: readonly (readonly [string, (fake: Fake) => void, RegExp, boolean, boolean])[] = [
  ['tun', (fake) => fake.remove('/dev/net/tun'), /^failed: the module tun is not loaded/, true, false],
  [
    'tun',
    (fake) => {
      fake.remove('/dev/net/tun');
      fake.write(`/lib/modules/${KERNEL}/modules.dep`, 'kernel/x.ko:\n');
    },
    /^failed: the kernel 6.1.0-test has no tun/,
    false,
    false,
  ],
  [
    'network',
    (fake) =>
      fake.write(
        `/lib/modules/${KERNEL}/modules.builtin`,
        'kernel/net/sched/sch_ingress.ko\nkernel/net/sched/cls_u32.ko\n',
      ),
    /has no act_mirred/,
    false,
    false,
  ],
  ['namespaces', (fake) => fake.remove('/proc/self/ns/net'), /^failed: the kernel lacks namespaces: net/, false, false],
  ['namespaces', (fake) => fake.remove('/proc/sys/kernel/seccomp'), /no seccomp/, false, false],
  ['programs', (fake) => fake.remove('/usr/bin/setpriv'), /^failed: not in PATH: setpriv/, true, false],
  [
    'programs',
    (fake) => chmodSync(`${fake.machine.root}/usr/bin/unshare`, 0o644),
    /^failed: not in PATH: unshare/,
    true,
    false,
  ],
  [
    'qemu',
    (fake) => fake.remove('/usr/bin/qemu-system-x86_64'),
    /^failed: \/usr\/bin\/qemu-system-x86_64 does not exist/,
    true,
    false,
  ],
  [
    'qemu',
    (fake) =>
      fake.says('/usr/bin/qemu-system-x86_64 --version', {
        code: 127,
        text: 'error while loading shared libraries: libpixman\n',
      }),
    /^failed: .*libpixman/,
    true,
    false,
  ],
  [
    'qemu',
    (fake) => fake.says('/usr/bin/qemu-system-x86_64 --version', { code: 0, text: 'QEMU emulator version 5.2.0\n' }),
    /^warning: .*older/,
    true,
    true,
  ],
  [
    'qemu',
    (fake) => fake.says('/usr/bin/qemu-system-x86_64 -machine help', { code: 0, text: 'pc-q35  x\n' }),
    /lacks machine q35/,
    true,
    false,
  ],
  [
    'qemu',
    (fake) => fake.says('/usr/bin/qemu-system-x86_64 -device help', { code: 0, text: 'name "virtio-blk-pci"\n' }),
    /lacks device virtio-net-pci, device pci-bridge/,
    true,
    false,
  ],
  [
    'qemu',
    (fake) => fake.says('/usr/bin/qemu-system-x86_64 -accel help', { code: 0, text: 'tcg\n' }),
    /lacks accelerator kvm/,
    true,
    false,
  ],
  ['virtiofsd', (fake) => fake.remove('/usr/libexec/virtiofsd'), /^failed: there is no virtiofsd/, true, false],
  [
    'virtiofsd',
    (fake) => fake.says('/usr/libexec/virtiofsd --version', { code: -1, text: 'killed' }),
    /^failed: .*--version failed: killed/,
    true,
    false,
  ],
  ['guest-kernel', (fake) => fake.remove('/guest/vmlinux'), /^failed: \/guest\/vmlinux cannot be read/, true, false],
  ['guest-kernel', (fake) => fake.write('/guest/vmlinux', ''), /^failed: \/guest\/vmlinux is empty/, true, false],
  ['guest-kernel', (fake) => fake.write('/guest/vmlinux', kernelOf(183)), /^failed: .*arm64/, true, false],
  ['guest-kernel', (fake) => fake.write('/guest/vmlinux', 'text'), /^failed: .*no Linux kernel/, true, false],
  ['guest-image', (fake) => fake.remove('/guest/initramfs.cpio.gz'), /^failed: .*cannot be read/, true, false],
  ['guest-image', (fake) => fake.write('/guest/initramfs.cpio.gz', '#!/bin/sh'), /^failed/, true, false],
  [
    'guest-image',
    (fake) => fake.write('/guest/manifest.json', '{"arch":"arm64"}'),
    /^failed: .*for arm64, and this machine is amd64/,
    true,
    false,
  ],
  ['guest-image', (fake) => fake.write('/guest/manifest.json', '{"arch":'), /^ok/, true, true],
  [
    'memory',
    (fake) => fake.write('/proc/meminfo', 'MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n'),
    /^failed: .*97 MiB are available now/,
    true,
    false,
  ],
  [
    'memory',
    (fake) => fake.write('/proc/meminfo', 'MemTotal: 300000 kB\nMemAvailable: 100000 kB\n'),
    /^failed: .*292 MiB in all/,
    false,
    false,
  ],
  ['memory', (fake) => fake.remove('/proc/meminfo'), /^failed: \/proc\/meminfo cannot be read/, true, false],
  ['cgroups', (fake) => fake.write('/proc/self/mountinfo', ''), /^warning: no cgroups/, true, true],
  [
    'cgroups',
    (fake) => fake.write('/sys/fs/cgroup/cgroup.controllers', 'cpu pids\n'),
    /^warning: version 2 without memory, cpuset/,
    true,
    true,
  ],
  [
    'runtime-directory',
    (fake) => chmodSync(`${fake.machine.root}/run/kata-containers`, 0o777),
    /^failed: others than root may write/,
    true,
    false,
  ],
  [
    'runtime-directory',
    (fake) => {
      fake.remove('/run/kata-containers');
      fake.write('/run/kata-containers', '');
    },
    /^failed: .*is no directory/,
    true,
    false,
  ],
  [
    'runtime-directory',
    (fake) => fake.remove('/run/kata-containers'),
    /^ok: .*is made with the first sandbox/,
    true,
    true,
  ],
  ['vhost-net', (fake) => fake.remove('/dev/vhost-net'), /^warning: there is no vhost_net/, true, true],
  [
    'shim',
    (fake) => fake.remove('/usr/bin/containerd-shim-kata-v2'),
    /^warning: .*in no directory of PATH/,
    true,
    true,
  ],
  ['containerd', (fake) => fake.remove('/etc/containerd'), /^warning: no containerd/, true, true],
  [
    'containerd',
    (fake) => fake.write('/etc/containerd/config.toml', CONTAINERD.replace('kata.v2', 'runc.v2')),
    /no runtime of type/,
    true,
    true,
  ],
  [
    'containerd',
    (fake) =>
      fake.write('/etc/containerd/config.toml', CONTAINERD.replace('privileged_without_host_devices = true', '')),
    /privileged pods of kata/,
    true,
    true,
  ],
];
for (const [name, spoil, expected, capable, canCreate] of FAULTS) {
  test(`${name}: ${expected.source}`, async () => {
    const fake = goodMachine();
    spoil(fake);
    const found = await verdict(fake);
    assert.match(of(found, name), expected);
    assert.is(found.capable, capable);
    assert.is(found.canCreate, canCreate);
    for (const { status, advice, name: failing } of found.results) {
      if (status === 'failed' || status === 'warning') assert.ok(advice !== '', `${failing} says what to do`);
    }
  });
}

test('vsock is needed for a Kata guest only', async () => {
  const fake = goodMachine();
  fake.remove('/dev/vhost-vsock');
  assert.match(of(await verdict(fake), 'vhost-vsock'), /^skipped/);
  const kata = configurationOf('x64', { image: '/guest/kata.img', kernel: '/guest/vmlinux' });
  const found = await verdict(fake, { configuration: kata });
  assert.match(of(found, 'vhost-vsock'), /^failed: there is no \/dev\/vhost-vsock/);
  assert.match(found.results.find(({ name }) => name === 'vhost-vsock')?.advice ?? '', 'modprobe vhost_vsock');
  assert.is(found.canCreate, false);
});

test('huge pages, where they are configured', async () => {
  const fake = goodMachine();
  const configuration = configurationOf('x64', { enable_hugepages: true });
  assert.match(of(await verdict(fake, { configuration }), 'huge-pages'), /^failed: .*0 MiB of huge pages are free/);
  fake.write(
    '/proc/meminfo',
    'MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\nHugePages_Free:      128\nHugepagesize:       2048 kB\n',
  );
  assert.is(of(await verdict(fake, { configuration }), 'huge-pages'), 'ok: 128 pages of 2048 KiB are free');
});

test('mke2fs and no virtiofsd where nothing is shared', async () => {
  const fake = goodMachine();
  const configuration = configurationOf('x64', { shared_fs: 'none' });
  fake.remove('/usr/libexec/virtiofsd');
  assert.is((await verdict(fake, { configuration })).canCreate, true);
  fake.remove('/usr/bin/mke2fs');
  assert.match(of(await verdict(fake, { configuration }), 'mke2fs'), /^failed/);
});

test('mistakes of the configuration are all told, and the machine is checked all the same', async () => {
  const inspection = {
    file: '/etc/x.toml',
    errors: [new KataError('invalid_argument', 'x.toml:1: one'), new KataError('invalid_argument', 'x.toml:2: two')],
    ignored: [{ table: 'runtime', key: 'a', file: 'x.toml', line: 3, why: 'because', harmless: false }],
    unknown: [{ table: 'runtime', key: 'b', file: 'x.toml', line: 4, suggestion: 'did you mean c?' }],
  };
  const found = await verdict(goodMachine(), { configuration: undefined, inspection });
  assert.is(
    of(found, 'configuration'),
    'failed: x.toml:1: one | failed: x.toml:2: two | ' +
      'warning: x.toml:4: runtime.b (did you mean c?) is not known, and has no effect | warning: x.toml:3: runtime.a (because) has no effect',
  );
  assert.match(of(found, 'qemu'), /^ok/);
  assert.is(found.canCreate, false);
});

test('an addon that does not load', async () => {
  const loadAddon = () => {
    throw new Error('kata.node: wrong ELF class');
  };
  assert.match(of(await verdict(goodMachine(), { loadAddon }), 'addon'), 'failed: kata.node: wrong ELF class');
});

test('what the configuration names wrongly is told with its file', async () => {
  const configuration = configurationOf('x64', { path: '/no/qemu', kernel: '/no/kernel' });
  const found = await verdict(goodMachine(), { configuration });
  assert.is(of(found, 'qemu'), 'failed: test.toml: hypervisor.qemu.path: /no/qemu does not exist');
  assert.match(of(found, 'guest-kernel'), 'failed: test.toml: hypervisor.qemu.kernel: /no/kernel cannot be read');
});

test('what a check throws is its failure, and the others are made', async () => {
  const broken = {
    name: 'broken',
    summary: '',
    decides: 'nothing' as const,
    run: () => {
      throw new Error('no');
    },
  };
  const { results } = await verdictOf([broken, ...CHECKS], goodMachine().situation(), false);
  assert.is(of({ results, capable: true, canCreate: true }, 'broken'), 'failed: no');
  assert.is(new Set(results.map(({ name }) => name)).size, CHECKS.length + 1);
});

test('what a program says cannot steer a terminal', async () => {
  const fake = goodMachine();
  fake.says('/usr/bin/qemu-system-x86_64 --version', { code: 1, text: '\x1b[2J\x07evil\u202e\nsecond line' });
  const text = verdictText(await verdict(fake), true);
  assert.not.match(text, /[^\P{C}\n]/u);
  assert.match(text, 'x1b[2J');
});

test('cgroups of version 1, one of them missing', async () => {
  const fake = goodMachine();
  const mounts = (names: readonly string[]): string =>
    names.map((name, at) => `${30 + at} 23 0:26 / /sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}\n`).join('');
  for (const name of ['cpu', 'memory', 'cpuset']) fake.write(`/sys/fs/cgroup/${name}/tasks`, '');
  fake.write('/proc/self/cgroup', '3:cpu:/\n2:memory:/\n1:cpuset:/\n');
  fake.write('/proc/self/mountinfo', mounts(['cpu', 'memory', 'cpuset']));
  assert.is(of(await verdict(fake), 'cgroups'), 'ok: version 1: cpu, memory, cpuset');
  fake.write('/proc/self/mountinfo', mounts(['cpu', 'cpuset']));
  assert.is(of(await verdict(fake), 'cgroups'), 'warning: version 1 without memory');
});

test('a configured kernel that no file tells of is not denied', async () => {
  const fake = goodMachine();
  fake.remove('/lib/modules');
  assert.match(of(await verdict(fake), 'network'), /^skipped: .*nothing here tells/);
});

test('every check has a name of its own and a summary', () => {
  assert.is(new Set(CHECKS.map(({ name }) => name)).size, CHECKS.length);
  for (const { name, summary } of CHECKS) assert.ok(/^[a-z0-9-]+$/.test(name) && summary !== '', name);
});

test.run();
