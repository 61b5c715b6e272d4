import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { annotate, CONFIG_PREFIX, MAX_ANNOTATIONS, MAX_NAME_LENGTH } from '../../../host/config/annotations.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-annotations-'));
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const plain = await loadConfiguration(undefined, MACHINE);

const test = suite('annotations');
test.after(() => rmSync(directory, { recursive: true }));

function configuration(...enableAnnotations: string[]): Configuration {
  return { ...plain, enableAnnotations };
}

function apply(from: Configuration, annotations: Record<string, string>) {
  return annotate(
    from,
    Object.fromEntries(Object.entries(annotations).map(([rest, text]) => [CONFIG_PREFIX + rest, text])),
  );
}

function refusal(from: Configuration, annotations: Record<string, string>): KataError {
  try {
    apply(from, annotations);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('accepted');
}

test('without any of the kind nothing changes', () => {
  const annotations = { 'io.kubernetes.cri.sandbox-id': 'x', 'io.katacontainers.pkg.oci.container_type': 'y' };
  assert.equal(annotate(plain, annotations), { configuration: plain, ignored: [] });
});

test('sizes, where they are enabled', () => {
  const { configuration: result } = apply(configuration('default_vcpus', 'default_max_vcpus', 'default_memory'), {
    'hypervisor.default_vcpus': '1.5',
    'hypervisor.default_max_vcpus': '3',
    'hypervisor.default_memory': '512',
  });
  assert.equal([result.vcpus, result.maxVcpus, result.memoryMib], [1.5, 3, 512]);
  assert.equal([plain.vcpus, plain.maxVcpus, plain.memoryMib], [1, 4, 256]);
  assert.is(apply(configuration('.*'), { 'hypervisor.default_memory': '8192' }).configuration.memoryMib, 8192);
});

test('what is not enabled is refused by name, with the key that would allow it', () => {
  for (const enabled of [[], ['default'], ['memory'], ['default_memory_'], ['xdefault_memory']]) {
    const thrown = refusal(configuration(...enabled), { 'hypervisor.default_memory': '512' });
    assert.is(thrown.code, 'permission_denied');
    assert.match(
      thrown.message,
      /"io\.katacontainers\.config\.hypervisor\.default_memory" is not enabled.*"default_memory" to hypervisor\.qemu\.enable_annotations/,
    );
  }
});

test('paths, arguments and kernel parameters are not for annotations, enabled or not', () => {
  for (const key of [
    'path',
    'kernel',
    'kernel_params',
    'virtio_fs_extra_args',
    'virtio_fs_daemon',
    'cc_init_data',
    'constructor',
  ]) {
    assert.is(refusal(configuration('.*'), { [`hypervisor.${key}`]: '/x' }).code, 'unimplemented', key);
  }
  assert.is(refusal(plain, { 'agent.policy': 'x' }).code, 'unimplemented');
});

test('values', () => {
  const all = configuration('.*');
  for (const [key, texts] of Object.entries({
    default_vcpus: ['0', '-1', '4.5', '5', '1e0', 'NaN', '', '1.', ' 1', '0x1', '1\n'],
    default_max_vcpus: ['0', '5', '1.5', '-1', 'many'],
    default_memory: ['63', '8193', '512MiB', '-512', '', '1e3', '999999999'],
  })) {
    for (const text of texts) {
      const thrown = refusal(all, { [`hypervisor.${key}`]: text });
      assert.is(thrown.code, 'invalid_argument', `${key}=${text}`);
      assert.ok(thrown.message.includes(`${key} is ${JSON.stringify(text)}; it must be a number from`), thrown.message);
    }
  }
  const more = refusal(all, { 'hypervisor.default_vcpus': '3', 'hypervisor.default_max_vcpus': '2' });
  assert.match(more.message, /3 CPUs are more than the 2/);
});

test('a pod may tighten what protects the node, never loosen it', () => {
  const strict = { ...plain, disableGuestSeccomp: false, sandboxCgroupOnly: true };
  const loose = { ...plain, disableGuestSeccomp: true, sandboxCgroupOnly: false };
  const tight = { 'runtime.disable_guest_seccomp': 'false', 'runtime.sandbox_cgroup_only': 'true' };
  for (const from of [strict, loose]) {
    const { configuration: result } = apply(from, tight);
    assert.equal([result.disableGuestSeccomp, result.sandboxCgroupOnly], [false, true]);
  }
  assert.is(refusal(strict, { 'runtime.disable_guest_seccomp': 'true' }).code, 'permission_denied');
  assert.is(refusal(strict, { 'runtime.sandbox_cgroup_only': 'false' }).code, 'permission_denied');
  assert.is(apply(loose, { 'runtime.sandbox_cgroup_only': 'false' }).configuration.sandboxCgroupOnly, false);
  assert.is(refusal(strict, { 'runtime.sandbox_cgroup_only': '1' }).code, 'invalid_argument');
});

test('the time a container may take to be made', () => {
  assert.is(apply(plain, { 'runtime.create_container_timeout': '90' }).configuration.createContainerTimeoutMs, 90_000);
  for (const text of ['0', '86401', '-1', 'x']) {
    assert.is(refusal(plain, { 'runtime.create_container_timeout': text }).code, 'invalid_argument');
  }
});

test('others are told and left out', () => {
  const { configuration: result, ignored } = apply(plain, {
    'runtime.enable_pprof': 'true',
    'agent.enable_tracing': 'x',
  });
  assert.equal(result, plain);
  assert.equal(ignored, [`${CONFIG_PREFIX}agent.enable_tracing`, `${CONFIG_PREFIX}runtime.enable_pprof`]);
});

test('limits', () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`runtime.x${i}`, '']));
  assert.is(apply(plain, many(MAX_ANNOTATIONS)).ignored.length, MAX_ANNOTATIONS);
  assert.match(refusal(plain, many(MAX_ANNOTATIONS + 1)).message, /65 annotations/);
  const name = (length: number) => ({ ['n'.repeat(length - CONFIG_PREFIX.length)]: '' });
  assert.is(apply(plain, name(MAX_NAME_LENGTH)).ignored.length, 1);
  assert.match(refusal(plain, name(MAX_NAME_LENGTH + 1)).message, /name is too long/);
});

test('whatever a pod writes, sizes stay within the host', () => {
  const keys = fc.constantFrom('hypervisor.default_vcpus', 'hypervisor.default_max_vcpus', 'hypervisor.default_memory');
  const text = fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String));
  fc.assert(
    fc.property(fc.dictionary(keys, text), (annotations) => {
      let result: Configuration;
      try {
        result = apply(configuration('.*'), annotations).configuration;
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
