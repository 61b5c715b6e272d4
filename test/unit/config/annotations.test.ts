/** Which annotations a pod may use, and what becomes of them: the gate, the values, what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_POLICY_BYTES } from '../../../host/config/agent-params.ts';
import {
  type Annotated,
  annotate,
  CONFIG_PREFIX,
  MAX_ANNOTATIONS,
  MAX_NAME_LENGTH,
  SGX,
} from '../../../host/config/annotations.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-annotations-'));
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const file = join(directory, 'configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const plain = await loadConfiguration(undefined, MACHINE);

const test = suite('annotations');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

function enabling(...expressions: string[]): Promise<Configuration> {
  return load(`[hypervisor.qemu]\nenable_annotations = ${JSON.stringify(expressions)}\n`);
}

function apply(from: Configuration, annotations: Record<string, string>): Promise<Annotated> {
  const named = Object.entries(annotations).map(([rest, text]) => [CONFIG_PREFIX + rest, text]);
  return annotate(from, Object.fromEntries(named));
}

async function refusal(from: Configuration, annotations: Record<string, string>): Promise<KataError> {
  try {
    await apply(from, annotations);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error(`accepted: ${JSON.stringify(annotations)}`);
}

test('without any of the kind nothing changes', async () => {
  const annotations = { 'io.kubernetes.cri.sandbox-id': 'x', 'io.katacontainers.pkg.oci.container_type': 'y' };
  const result = await annotate(plain, annotations);
  assert.is(result.configuration, plain);
  assert.equal([result.ignored, result.hashes], [[], []]);
});

test('sizes, where they are enabled', async () => {
  const from = await enabling('default_vcpus', 'default_max_vcpus', 'default_memory');
  const { configuration: result } = await apply(from, {
    'hypervisor.default_vcpus': '1.5',
    'hypervisor.default_max_vcpus': '3',
    'hypervisor.default_memory': '512',
  });
  assert.equal([result.vcpus, result.maxVcpus, result.memoryMib], [1.5, 3, 512]);
  assert.equal([from.vcpus, from.maxVcpus, from.memoryMib], [1, 4, 256]);
  const all = await enabling('.*');
  assert.is((await apply(all, { 'hypervisor.default_memory': '8192' })).configuration.memoryMib, 8192);
});

test('memory may have a unit, as in runtime-rs', async () => {
  const from = await enabling('default_memory');
  for (const [text, mib] of [
    ['2GiB', 2048],
    ['2Gi', 2048],
    ['1.5 GiB', 1536],
    ['512MiB', 512],
    ['512 mib', 512],
    ['1GB', 954],
    ['1G', 954],
    ['536870912B', 512],
    ['262144Ki', 256],
  ] as const) {
    assert.is((await apply(from, { 'hypervisor.default_memory': text })).configuration.memoryMib, mib, text);
  }
});

test('what is not enabled is refused by name, with the key that would allow it and where that stands', async () => {
  for (const expressions of [[], ['default'], ['memory'], ['default_memory_'], ['xdefault_memory'], ['image']]) {
    const thrown = await refusal(await enabling(...expressions), { 'hypervisor.default_memory': '512' });
    assert.is(thrown.code, 'permission_denied');
    assert.match(
      thrown.message,
      /"io\.katacontainers\.config\.hypervisor\.default_memory" is not enabled.*add "default_memory" to /,
    );
    assert.ok(thrown.message.includes(file), thrown.message);
    assert.match(thrown.message, /hypervisor\.qemu\.enable_annotations/);
  }
  const unset = await refusal(plain, { 'hypervisor.default_memory': '512' });
  assert.match(unset.message, /"default_memory" to hypervisor\.qemu\.enable_annotations in configuration\.toml/);
});

test('an expression has to match the whole name: "image" does not enable image_hash', async () => {
  const hash = { 'hypervisor.kernel_hash': 'a'.repeat(128) };
  assert.is((await refusal(await enabling('kernel'), hash)).code, 'permission_denied');
  assert.is((await apply(await enabling('kernel.*'), hash)).hashes.length, 1);
  assert.is((await apply(await enabling('(kernel|image)_hash'), hash)).hashes.length, 1);
});

test('an unknown annotation of the hypervisor is refused, whatever is enabled', async () => {
  const all = await enabling('.*');
  for (const name of ['no_such', 'constructor', '__proto__', 'toString', '', 'default_maxvcpus']) {
    const thrown = await refusal(all, { [`hypervisor.${name}`]: '1' });
    assert.is(thrown.code, 'unimplemented', name);
    assert.match(thrown.message, /is not supported: no such annotation is known/);
  }
  const near = await refusal(all, { 'hypervisor.default_maxvcpus': '1' });
  assert.match(near.message, /did you mean io\.katacontainers\.config\.hypervisor\.default_max_vcpus\?$/);
});

test('sizes that cannot be', async () => {
  const all = await enabling('.*');
  for (const [key, texts] of Object.entries({
    default_vcpus: ['0', '-1', '4.5', '5', '1e0', 'NaN', '', '1.', ' 1', '0x1', '1\n', '٣'],
    default_max_vcpus: ['0', '5', '1.5', '-1', 'many'],
    default_memory: ['63', '8193', '512XB', '-512', '', '1e3', '999999999', '9GiB', '63MiB', '1.5', '2 Gigs', 'GiB'],
  })) {
    for (const text of texts) {
      const thrown = await refusal(all, { [`hypervisor.${key}`]: text });
      assert.is(thrown.code, 'invalid_argument', `${key}=${text}`);
      assert.ok(thrown.message.includes(`${key} is ${JSON.stringify(text)}; it must be a number from`), thrown.message);
    }
  }
});

test('what contradicts is found once all are applied', async () => {
  const all = await enabling('.*');
  const more = await refusal(all, { 'hypervisor.default_vcpus': '3', 'hypervisor.default_max_vcpus': '2' });
  assert.match(more.message, /default_vcpus is 3, and annotation .*default_maxvcpus is 2/);
  const limited = await load('[hypervisor.qemu]\ndefault_maxvcpus = 2\nenable_annotations = ["default_vcpus"]\n');
  assert.match(
    (await refusal(limited, { 'hypervisor.default_vcpus': '3' })).message,
    /default_vcpus is 3, and .*:2: .*default_maxvcpus is 2/,
  );
  const sectors = await refusal(all, {
    'hypervisor.blk_logical_sector_size': '4096',
    'hypervisor.blk_physical_sector_size': '512',
  });
  assert.is(sectors.code, 'invalid_argument');
  assert.match(sectors.message, /annotation .*blk_logical_sector_size.*4096.*512/);
});

test('two annotations about one key must not contradict each other', async () => {
  const names = ['io.katacontainers.enable_vcpus_pinning', `${CONFIG_PREFIX}runtime.enable_vcpus_pinning`] as const;
  const said = (one: string, other: string) => annotate(plain, { [names[0]]: one, [names[1]]: other });
  await said('true', '1');
  try {
    await said('true', 'false');
    assert.unreachable();
  } catch (thrown) {
    for (const name of names) assert.ok((thrown as KataError).message.includes(name), String(thrown));
  }
});

test('booleans are those of Go', async () => {
  const all = await enabling('.*');
  for (const [texts, value] of [
    [['1', 't', 'T', 'true', 'TRUE', 'True'], true],
    [['0', 'f', 'F', 'false', 'FALSE', 'False'], false],
  ] as const) {
    for (const text of texts) {
      const { configuration: result } = await apply(all, { 'hypervisor.disable_block_device_use': text });
      assert.is(result.blockDevices, !value, text);
    }
  }
  for (const text of ['', 'yes', 'no', 'on', 'tRUE', ' true', 'true ', '2', '-1']) {
    const thrown = await refusal(all, { 'hypervisor.disable_block_device_use': text });
    assert.match(thrown.message, /must be true or false/, text);
  }
});

test('what the machine cannot have is refused by the annotation that asks for it', async () => {
  const all = await enabling('.*');
  for (const [name, text, said] of [
    ['shared_fs', 'virtio-9p', /must be one of virtio-fs, none/],
    ['machine_type', 'microvm,firmware=/etc/shadow', /must be one of q35, microvm/],
    ['machine_type', 'virt', /must be one of q35, microvm/],
    ['block_device_driver', 'nvdimm', /nvdimm.*CVE-2026-24834/],
    ['block_device_aio', 'sync', /must be one of io_uring, native, threads/],
    ['indep_iothreads', '0', /from 1 to 50/],
    ['indep_iothreads', '51', /from 1 to 50/],
    ['blk_logical_sector_size', '513', /power of two/],
    ['pcie_root_port', '17', /from 0 to 16/],
    ['cold_plug_vfio', 'any-port', /must be one of no-port, bridge-port, root-port, switch-port/],
    ['numa_mapping', '0 ../1', /numbers, or ranges/],
    ['asset_hash_type', 'md5', /must be one of sha512/],
    ['network_queues', '257', /from 0 to 256/],
    ['rx_rate_limiter_max_rate', '1e9', /whole number/],
    ['virtio_fs_cache', 'none', /must be one of never, metadata, auto, always/],
  ] as const) {
    const thrown = await refusal(all, { [`hypervisor.${name}`]: text });
    assert.is(thrown.code, 'invalid_argument', name);
    assert.match(thrown.message, said);
    assert.ok(thrown.message.includes(`${CONFIG_PREFIX}hypervisor.${name}`), thrown.message);
  }
});

test('what somebody counts on, and there is none of, is refused by name', async () => {
  const all = await enabling('.*', 'kernel_verity_params');
  const verity = `root_hash=${'a'.repeat(64)},salt=00,data_blocks=8,data_block_size=4096,hash_block_size=4096`;
  for (const [name, text] of [
    ['hypervisor.kernel_verity_params', verity],
    ['hypervisor.cc_init_data', 'H4sI'],
    ['hypervisor.jailer_path', '/usr/bin/jailer'],
    ['hypervisor.jailer_hash', 'a'.repeat(128)],
    ['hypervisor.default_gpus', '1'],
    ['runtime.guest_selinux_label', 'system_u:system_r:container_t:s0'],
    ['runtime.sandbox_bind_mounts', '/etc'],
    ['runtime.name', 'linux-container'],
    ['runtime.agent_name', 'other'],
  ] as const) {
    const thrown = await refusal(all, { [name]: text });
    assert.ok(['unimplemented', 'invalid_argument'].includes(thrown.code), `${name}: ${thrown.code}`);
    assert.ok(thrown.message.includes(CONFIG_PREFIX + name), thrown.message);
  }
  for (const name of ['io.katacontainers.config_path', SGX]) {
    const thrown = await annotate(plain, { [name]: '/etc/passwd' }).catch((error: KataError) => error);
    assert.is((thrown as KataError).code, 'unimplemented', name);
  }
  try {
    await annotate(plain, { [SGX]: '64Mi' });
    assert.unreachable();
  } catch (thrown) {
    assert.match((thrown as KataError).message, /"sgx\.intel\.com\/epc" is not supported: a guest has no SGX/);
  }
});

test('a pod may tighten what protects the node, never loosen it', async () => {
  const strict = await load('[runtime]\ndisable_guest_seccomp = false\nsandbox_cgroup_only = true\n');
  const loose = await load('[runtime]\ndisable_guest_seccomp = true\nsandbox_cgroup_only = false\n');
  const tight = { 'runtime.disable_guest_seccomp': 'false', 'runtime.sandbox_cgroup_only': 'true' };
  for (const from of [strict, loose]) {
    const { configuration: result } = await apply(from, tight);
    assert.equal([result.disableGuestSeccomp, result.sandboxCgroupOnly], [false, true]);
  }
  assert.is((await refusal(strict, { 'runtime.disable_guest_seccomp': 'true' })).code, 'permission_denied');
  assert.is((await refusal(strict, { 'runtime.sandbox_cgroup_only': 'false' })).code, 'permission_denied');
  assert.is((await apply(loose, { 'runtime.sandbox_cgroup_only': 'f' })).configuration.sandboxCgroupOnly, false);
  assert.is((await refusal(strict, { 'runtime.sandbox_cgroup_only': 'yes' })).code, 'invalid_argument');
  assert.is((await refusal(plain, { 'runtime.disable_new_netns': 'true' })).code, 'permission_denied');
  const unprivileged = await load('[hypervisor.qemu]\nrootless = true\nenable_annotations = ["rootless"]\n');
  assert.is((await refusal(unprivileged, { 'hypervisor.rootless': 'false' })).code, 'permission_denied');
  const forced = await load('[runtime]\nexperimental_force_guest_pull = true\n');
  assert.is((await refusal(forced, { 'runtime.experimental_force_guest_pull': '0' })).code, 'permission_denied');
});

test('the network: a pod chooses how, but not where the node gives none', async () => {
  const model = (from: Configuration, text: string) => apply(from, { 'runtime.internetworking_model': text });
  for (const text of ['macvtap', 'tcfilter', 'none']) {
    assert.is((await model(plain, text)).configuration.networkModel, text);
  }
  const none = await load('[runtime]\ninternetworking_model = "none"\n');
  assert.is((await model(none, 'none')).configuration.networkModel, 'none');
  const thrown = await refusal(none, { 'runtime.internetworking_model': 'tcfilter' });
  assert.is(thrown.code, 'permission_denied');
  assert.match(thrown.message, /internetworking_model is "tcfilter".*no network/);
  assert.is((await refusal(plain, { 'runtime.internetworking_model': 'bridge' })).code, 'invalid_argument');
});

test('the time a container may take to be made', async () => {
  const { configuration: result } = await apply(plain, { 'runtime.create_container_timeout': '90' });
  assert.is(result.createContainerTimeoutMs, 90_000);
  // It counts wherever the configuration has its own.
  const rs = await load('[agent.kata]\ncreate_container_timeout = 30\n');
  const other = await apply(rs, { 'runtime.create_container_timeout': '90' });
  assert.is(other.configuration.createContainerTimeoutMs, 90_000);
  for (const text of ['0', '86401', '-1', 'x']) {
    assert.is((await refusal(plain, { 'runtime.create_container_timeout': text })).code, 'invalid_argument');
  }
});

test('experimental features', async () => {
  const force = await apply(plain, { 'runtime.experimental': 'force_guest_pull' });
  assert.is(force.configuration.forceGuestPull, true);
  assert.is((await apply(plain, { 'runtime.experimental': '' })).configuration.forceGuestPull, false);
  const thrown = await refusal(plain, { 'runtime.experimental': 'force_guest_pull newstore' });
  assert.match(thrown.message, /"newstore".*force_guest_pull, the one feature/);
});

test('runtime-rs names what there is, or is refused', async () => {
  const same = await apply(plain, {
    'runtime.name': 'virt-container',
    'runtime.agent_name': 'kata',
    'runtime.hypervisor_name': 'qemu',
  });
  assert.is(same.configuration, plain);
  const thrown = await refusal(plain, { 'runtime.hypervisor_name': 'remote' });
  assert.is(thrown.code, 'permission_denied');
  assert.match(thrown.message, /the hypervisor of this configuration is qemu/);
});

test('others are told with the reason, and left out', async () => {
  const { configuration: result, ignored } = await apply(plain, {
    'runtime.no_such': 'true',
    'runtime.vfio_mode': 'guest-kernel',
  });
  assert.equal(
    [result.memoryMib, ignored.map(({ name }) => name)],
    [256, [`${CONFIG_PREFIX}runtime.no_such`, `${CONFIG_PREFIX}runtime.vfio_mode`]],
  );
  for (const { why } of ignored) assert.ok(why.length > 5, why);
  const near = await apply(plain, { 'runtime.sandbox_cgroup_onyl': 'true' });
  assert.match(near.ignored[0]?.why ?? '', /did you mean .*runtime\.sandbox_cgroup_only\?$/);
  const container = await annotate(plain, { 'io.katacontainers.container.resource.swappiness': '60' });
  assert.match(container.ignored[0]?.why ?? '', /swap/);
  // Without effect, but checked: a mistake is told at once.
  assert.is((await refusal(plain, { 'runtime.vfio_mode': 'none' })).code, 'invalid_argument');
});

test('modules of the guest', async () => {
  const from = await load('[agent.kata]\nkernel_modules = ["first"]\n');
  const modules = async (text: string) =>
    (await apply(from, { 'agent.kernel_modules': text })).configuration.kernelModules;
  assert.equal(await modules('e1000e InterruptThrottleRate=3000,3000; i915 a=1 b=2'), [
    'first',
    'e1000e InterruptThrottleRate=3000,3000',
    'i915 a=1 b=2',
  ]);
  for (const text of [
    '-C /tmp/evil',
    '../../evil',
    'a; --config=/x',
    'a $(x)',
    'a b="c d"',
    'a\nb',
    '/evil.ko',
    'a \0',
  ]) {
    assert.is((await refusal(from, { 'agent.kernel_modules': text })).code, 'invalid_argument', text);
  }
});

test('a policy that the guest could not hold the pod to is refused before anything starts', async () => {
  const text = Buffer.from('package agent_policy\ndefault CreateContainerRequest := false\n').toString('base64');
  const thrown = await refusal(plain, { 'agent.policy': text });
  assert.match(thrown.message, /policy/);
  for (const bad of ['', '!!!', 'YQ', Buffer.alloc(MAX_POLICY_BYTES + 1, 'a').toString('base64')]) {
    assert.ok(['invalid_argument', 'unimplemented'].includes((await refusal(plain, { 'agent.policy': bad })).code));
  }
});

test('limits', async () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`runtime.x${i}`, '']));
  assert.is((await apply(plain, many(MAX_ANNOTATIONS))).ignored.length, MAX_ANNOTATIONS);
  assert.match(
    (await refusal(plain, many(MAX_ANNOTATIONS + 1))).message,
    new RegExp(`${MAX_ANNOTATIONS + 1} annotations`),
  );
  const name = (length: number) => ({ ['n'.repeat(length - CONFIG_PREFIX.length)]: '' });
  assert.is((await apply(plain, name(MAX_NAME_LENGTH))).ignored.length, 1);
  assert.match((await refusal(plain, name(MAX_NAME_LENGTH + 1))).message, /name is too long/);
});

test('whatever a pod writes, sizes stay within the host', async () => {
  const all = await enabling('.*');
  const keys = fc.constantFrom('hypervisor.default_vcpus', 'hypervisor.default_max_vcpus', 'hypervisor.default_memory');
  const text = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.double().map(String),
    fc.nat(9000).map((n) => `${n}MiB`),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(keys, text), async (annotations) => {
      let result: Configuration;
      try {
        result = (await apply(all, annotations)).configuration;
      } catch (thrown) {
        assert.is((thrown as KataError).code, 'invalid_argument');
        return;
      }
      assert.ok(result.vcpus > 0 && result.vcpus <= result.maxVcpus && result.maxVcpus <= MACHINE.cpus);
      assert.ok(result.memoryMib >= 64 && result.memoryMib <= MACHINE.memoryMib);
    }),
  );
});

test.run();
