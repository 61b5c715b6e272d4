/**
 * What would become arguments of programs, or parameters of the guest's kernel: only where the administrator lists the annotation
 * itself, and even then nothing that reaches beyond what it is for. GHSA-rr59-xxvx-96qr, CVE-2020-28914.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { annotate, CONFIG_PREFIX } from '../../../host/config/annotations.ts';
import { MAX_ARGUMENTS_LENGTH, MAX_ENTRIES } from '../../../host/config/annotations-arguments.ts';
import {
  enables,
  expressionFault,
  MAX_EXPRESSION_LENGTH,
  MAX_REPETITIONS,
} from '../../../host/config/annotations-enabled.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-annotation-arguments-'));
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const file = join(directory, 'configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const LISTED = [
  'kernel_params',
  'kernel_verity_params',
  'machine_accelerators',
  'cpu_features',
  'virtio_fs_extra_args',
];
const VALID: Record<string, string> = {
  kernel_params: 'loglevel=7',
  kernel_verity_params: `root_hash=${'a'.repeat(64)},salt=00,data_blocks=8,data_block_size=4096,hash_block_size=4096`,
  machine_accelerators: 'usb=off',
  cpu_features: 'pmu=off',
  virtio_fs_extra_args: '["--thread-pool-size=4"]',
};

const test = suite('arguments in annotations');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

const all = await load(`[hypervisor.qemu]
enable_annotations = ${JSON.stringify(LISTED)}
kernel_params = "cgroup_no_v1=all loglevel=3"
virtio_fs_extra_args = ["--no-readdirplus"]
`);

async function apply(key: string, text: string, from = all): Promise<Configuration> {
  return (await annotate(from, { [`${CONFIG_PREFIX}hypervisor.${key}`]: text })).configuration;
}

async function refusal(key: string, text: string, from = all): Promise<KataError> {
  try {
    await apply(key, text, from);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error(`accepted: ${key}=${text}`);
}

test('GHSA-rr59-xxvx-96qr: no expression opens them, only their names', async () => {
  const wide = await load(
    '[hypervisor.qemu]\nenable_annotations = [".*", "kernel.*", "kernel_param[s]", "virtio_fs_.*", "(?:cpu_features)"]\n',
  );
  for (const key of LISTED) {
    const thrown = await refusal(key, VALID[key] ?? '', wide);
    assert.is(thrown.code, 'permission_denied', key);
    assert.match(thrown.message, new RegExp(`can add "${key}" itself.*hypervisor\\.qemu\\.enable_annotations`));
  }
});

test('GHSA-rr59-xxvx-96qr: virtiofsd shares nothing else, and stays confined', async () => {
  for (const args of [
    ['-o', 'source=/'],
    ['-o', 'announce_submounts,source=/'],
    ['-osource=/'],
    ['--shared-dir=/'],
    ['--shared-dir', '/'],
    ['--sandbox=none'],
    ['--sandbox', 'none'],
    ['--seccomp=none'],
    ['-o', 'sandbox=none'],
    ['-o', 'modcaps=+sys_admin'],
    ['--modcaps=+dac_read_search'],
    ['-o', 'xattrmap=:map::user.:'],
    ['--xattrmap=:map::user.:'],
    ['--socket-path=/run/x.sock'],
    ['--fd=3'],
    ['--inode-file-handles=mandatory'],
    ['--translate-uid=map:0:0:1'],
    ['--rlimit-nofile=1'],
    ['--tag=x'],
    ['--thread-pool-size=65'],
    ['--thread-pool-size', '4'],
    ['--thread-pool-size=4 --sandbox=none'],
    ['--thread-pool-size=4\n--sandbox=none'],
    ['--writeback=x'],
    ['-o'],
    ['-o', ''],
    [''],
    ['-f'],
    ['/etc/passwd'],
    ['--__proto__'],
    ['--constructor'],
  ]) {
    const thrown = await refusal('virtio_fs_extra_args', JSON.stringify(args));
    assert.ok(['permission_denied', 'invalid_argument'].includes(thrown.code), `${args}: ${thrown.code}`);
    assert.ok(thrown.message.includes('hypervisor.virtio_fs_extra_args'), thrown.message);
  }
  const taken = ['--thread-pool-size=4', '--writeback', '-o', 'no_flock,timeout=5', '--log-level=error'];
  const { virtioFsExtraArgs } = await apply('virtio_fs_extra_args', JSON.stringify(taken));
  assert.equal(virtioFsExtraArgs, ['--no-readdirplus', ...taken]);
});

test('CVE-2020-28914: nothing a pod says adds to what is shared, or makes it writable', async () => {
  const from = await load(`[hypervisor.qemu]
enable_annotations = [".*", "virtio_fs_extra_args"]
[runtime]
sandbox_bind_mounts = ["${directory}"]
`);
  for (const annotations of [
    { 'runtime.sandbox_bind_mounts': '/etc:rw' },
    { 'runtime.sandbox_bind_mounts': `${directory}:rw` },
    { 'hypervisor.virtio_fs_extra_args': '["--shared-dir=/"]' },
    { 'hypervisor.shared_fs': 'virtio-9p' },
  ]) {
    const named = Object.fromEntries(Object.entries(annotations).map(([name, text]) => [CONFIG_PREFIX + name, text]));
    const thrown = await annotate(from, named).catch((error: KataError) => error);
    assert.instance(thrown, KataError, JSON.stringify(annotations));
  }
  const { configuration } = await annotate(from, { [`${CONFIG_PREFIX}hypervisor.virtio_fs_cache`]: 'always' });
  assert.equal(configuration.sandboxBindMounts, from.sandboxBindMounts);
  assert.equal(
    configuration.sandboxBindMounts.map(({ readOnly }) => readOnly),
    [true],
  );
});

test('CVE-2026-24834: no disk is memory that a guest could write', async () => {
  const from = await load('[hypervisor.qemu]\nenable_annotations = [".*"]\n');
  for (const driver of ['nvdimm', 'virtio-pmem']) {
    assert.is((await refusal('block_device_driver', driver, from)).code, 'invalid_argument', driver);
  }
  // Said, and of no effect: an image is a read-only disk.
  const name = `${CONFIG_PREFIX}hypervisor.disable_image_nvdimm`;
  assert.equal(
    (await annotate(from, { [name]: 'false' })).ignored.map((each) => each.name),
    [name],
  );
});

test('virtio_fs_extra_args is a JSON list of strings', async () => {
  for (const text of [
    '',
    '--writeback',
    '{}',
    '"--writeback"',
    '[1]',
    '[["--writeback"]]',
    '[null]',
    '["--writeback"',
    'null',
  ]) {
    assert.is((await refusal('virtio_fs_extra_args', text)).code, 'invalid_argument', text);
  }
  const many = (count: number) => JSON.stringify(Array.from({ length: count }, () => '--flock'));
  assert.is((await apply('virtio_fs_extra_args', many(MAX_ENTRIES))).virtioFsExtraArgs.length, MAX_ENTRIES + 1);
  assert.is((await refusal('virtio_fs_extra_args', many(MAX_ENTRIES + 1))).code, 'invalid_argument');
  const long = `[${' '.repeat(MAX_ARGUMENTS_LENGTH)}"--flock"]`;
  assert.is((await refusal('virtio_fs_extra_args', long)).code, 'invalid_argument');
});

test('GHSA-rr59-xxvx-96qr: kernel parameters open no console and choose no init', async () => {
  for (const text of [
    'agent.debug_console',
    'agent.debug_console_vport=1026',
    'agent.log=trace',
    'agent.server_addr=vsock://-1:9',
    'agent.policy_file=/x',
    'debug_console',
    'init=/bin/sh',
    'rdinit=/bin/sh',
    'root=/dev/vdb',
    'rootflags=rw',
    'rootfstype=ext4',
    'rw',
    'initrd=/x',
    'systemd.unit=emergency.target',
    'systemd.debug_shell',
    'systemd.debug-shell=1',
    'systemd.run=/bin/sh',
    'systemd.setenv=A=b',
    'rd.break',
    'rd.shell',
    'single',
    'emergency',
    '1',
    '-- /bin/sh',
    '--',
    '-',
    'console=ttyS1',
    'kgdboc=ttyS0',
    'dm-mod.create="x"',
    'dm_mod.create=x',
    'lsm=landlock',
    'selinux=0',
    'security=none',
    'module.sig_enforce=0',
    'sysctl.kernel.core_pattern=|/bin/sh',
    'ip=dhcp',
    'ok=1 agent.debug_console',
    'ok=1\tagent.debug_console',
    'ok=1\nagent.debug_console',
    'ok=1\u00a0agent.debug_console',
    'ok="x agent.debug_console"',
    "ok='x'",
    'LD_PRELOAD=/run/x.so',
    'KATA_AGENT_SERVER_ADDR=x',
    'PATH=/tmp',
    'ok=\\x20',
    'ok=$(id)',
    'ok=a;b',
    'ok=\0',
    'AGENT.debug_console',
    'kata.extension.x.verity_params=y',
    'netconsole.x=y',
  ]) {
    const thrown = await refusal('kernel_params', text);
    assert.ok(['permission_denied', 'invalid_argument'].includes(thrown.code), `${text}: ${thrown.code}`);
    assert.ok(thrown.message.includes('hypervisor.kernel_params'), thrown.message);
  }
});

test('kernel parameters replace those of their name, as in Kata, or follow', async () => {
  assert.is(
    (await apply('kernel_params', 'loglevel=7 mitigations=off')).kernelParams,
    'cgroup_no_v1=all loglevel=7 mitigations=off',
  );
  assert.is((await apply('kernel_params', '')).kernelParams, 'cgroup_no_v1=all loglevel=3');
  const unified = 'systemd.unified_cgroup_hierarchy=1 net.ifnames=0 hugepagesz=2M default_hugepagesz=2M';
  assert.ok((await apply('kernel_params', unified)).kernelParams.endsWith(unified));
  assert.is((await refusal('kernel_params', 'x'.repeat(MAX_ARGUMENTS_LENGTH + 1))).code, 'invalid_argument');
  const many = (count: number) => Array.from({ length: count }, (_, i) => `p${i}=1`).join(' ');
  await apply('kernel_params', many(MAX_ENTRIES));
  assert.is((await refusal('kernel_params', many(MAX_ENTRIES + 1))).code, 'invalid_argument');
});

test('features of the CPU stay features', async () => {
  assert.is(
    (await apply('cpu_features', 'pmu=off,+avx2,-sse4.1,hv_relaxed')).cpuFeatures,
    'pmu=off,+avx2,-sse4.1,hv_relaxed',
  );
  for (const text of [
    'pmu=off -chardev x',
    'pmu=off\n-monitor',
    'pmu="x"',
    'a=/etc/passwd',
    '=x',
    'a=b=c',
    '--x',
    'a b',
    'a=\0',
    'ä=1',
  ]) {
    assert.is((await refusal('cpu_features', text)).code, 'invalid_argument', text);
  }
});

test('options of the machine stay within the machine', async () => {
  assert.is(
    (await apply('machine_accelerators', 'usb=off,kernel_irqchip=split')).machineAccelerators,
    'usb=off,kernel_irqchip=split',
  );
  for (const text of [
    'firmware=/etc/shadow',
    'dtb=/etc/shadow',
    'dumpdtb=/etc/cron.d/x',
    'kernel=/etc/shadow',
    'initrd=/x',
    'append=init=/bin/sh',
    'memory-backend=x',
    'pflash0=x',
    'memory-encryption=x',
    'usb=off -monitor stdio',
    'usb=off,,x',
    'usb',
    'usb=/x',
    'usb=a"b',
    'shm=1',
    'type=x-remote',
    'accel=tcg',
    'dump-guest-core=on',
  ]) {
    if (text === 'usb=off,,x') continue;
    assert.is((await refusal('machine_accelerators', text)).code, 'invalid_argument', text);
  }
});

test('whatever a pod writes, no argument of another kind comes of it', async () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom('-o', 'source=/', '--sandbox', 'agent.debug_console', ',', ' ', '--writeback', '=', '"', '\n'),
  );
  const text = fc.array(word, { maxLength: 5 }).map((words) => words.join(''));
  const key = fc.constantFrom('kernel_params', 'cpu_features', 'machine_accelerators', 'virtio_fs_extra_args');
  const value = fc.oneof(
    text,
    fc.array(word, { maxLength: 5 }).map((words) => JSON.stringify(words)),
  );
  await fc.assert(
    fc.asyncProperty(key, value, async (name, given) => {
      let result: Configuration;
      try {
        result = await apply(name, given);
      } catch (thrown) {
        assert.ok(['invalid_argument', 'permission_denied'].includes((thrown as KataError).code), String(thrown));
        return;
      }
      assert.is(result.debugging.debugConsole, false);
      assert.match(result.kernelParams, /^[A-Za-z0-9_.,:/@+*%= -]*$/);
      assert.not.match(result.kernelParams, /(^| )(agent\.|init=|root=|-)/);
      assert.match(`${result.cpuFeatures}${result.machineAccelerators}`, /^[A-Za-z0-9._=,+-]*$/);
      assert.not.match(result.virtioFsExtraArgs.join(' '), /source|sandbox|seccomp|shared|socket|modcaps|xattrmap/);
    }),
    { numRuns: 500 },
  );
});

test('expressions of enable_annotations that could take for ever are refused in the file', async () => {
  for (const expression of [
    '(a+)+',
    '(.*)*',
    '(\\w+)+!',
    '(a|a)*',
    '([a-z]+_?)+',
    '(?:x{1,9}){1,9}',
    '(.?){33}x',
    '(?:a?b?)+',
    '.*'.repeat(MAX_REPETITIONS + 1),
  ]) {
    assert.match(expressionFault(expression) ?? '', /for ever/, expression);
    try {
      await load(`[hypervisor.qemu]\nenable_annotations = ['${expression}']\n`);
      assert.unreachable(expression);
    } catch (thrown) {
      assert.ok((thrown as KataError).message.includes('enable_annotations'), String(thrown));
    }
  }
  for (const expression of [
    '.*',
    'default_(vcpus|memory)',
    'block_device_.*',
    '[*+]',
    '\\(a+\\)+',
    'kernel(_hash)?',
    '(?:default_(?:vcpus|memory))?',
    'a+?b',
    'x'.repeat(MAX_EXPRESSION_LENGTH),
  ]) {
    assert.is(expressionFault(expression), undefined, expression);
  }
  assert.match(expressionFault('x'.repeat(MAX_EXPRESSION_LENGTH + 1)) ?? '', /257 characters/);
  assert.match(expressionFault('(') ?? '', /no regular expression/);
});

test('an alternative does not break out of the anchors', () => {
  assert.not.ok(enables(['image|kernel'], ['image_hash']));
  assert.not.ok(enables(['x|'], ['path']));
  assert.ok(enables(['image|kernel'], ['kernel']));
});

test.run();
