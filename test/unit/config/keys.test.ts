/** Each key by itself: what it is without a file, what it is when set, and which values are refused. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_EXPRESSION_LENGTH } from '../../../host/config/annotations-enabled.ts';
import { type Configuration, loadConfiguration, MAX_TIMEOUT_S } from '../../../host/config/configuration.ts';
import { SCHEMA } from '../../../host/config/schema/schema.ts';
import { MAX_QUEUE_SIZE, MAX_SANDBOX_BIND_MOUNTS } from '../../../host/config/sharing.ts';
import { MAX_MEMORY_MIB, MAX_OVERHEAD_VCPUS } from '../../../host/config/sizes.ts';
import type { KataError } from '../../../host/error.ts';

const QEMU = 'hypervisor.qemu';
const HOST_MIB = 8192;

const directory = mkdtempSync(join(tmpdir(), 'kata-keys-'));
const file = join(directory, 'configuration.toml');
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
mkdirSync(join(directory, 'shared'));
mkdirSync(join(directory, 'more', 'shared'), { recursive: true });
symlinkSync(join(directory, 'shared'), join(directory, 'link'));

function load(table: string, lines: string): Promise<Configuration> {
  writeFileSync(file, `[${table}]\n${lines}\n`);
  return loadConfiguration(file, { arch: 'x64', guest: directory, cpus: 4, memoryMib: HOST_MIB });
}

async function refusal(table: string, lines: string): Promise<KataError> {
  try {
    await load(table, lines);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error(`accepted: ${lines}`);
}

const test = suite('configuration keys');
test.after(() => rmSync(directory, { recursive: true }));

/** Table, key, property, default, then pairs of TOML and value, then TOML that is refused. */
const CASES: readonly [string, string, keyof Configuration, unknown, [string, unknown][], string[]][] = [
  [
    'runtime',
    'internetworking_model',
    'networkModel',
    'tcfilter',
    [
      ['"macvtap"', 'macvtap'],
      ['"none"', 'none'],
      ['""', 'tcfilter'],
    ],
    ['"bridged"', '"l3forwarding"', '1'],
  ],
  ['runtime', 'sandbox_cgroup_only', 'sandboxCgroupOnly', true, [['false', false]], ['0', '"true"']],
  ['runtime', 'static_sandbox_resource_mgmt', 'staticSizing', true, [['false', false]], ['"no"']],
  ['runtime', 'disable_guest_empty_dir', 'emptyDirInGuest', false, [['false', true]], ['[]']],
  ['runtime', 'kubelet_root_dir', 'kubeletRoot', '/var/lib/kubelet', [['"/data"', '/data']], ['"data"', '1']],
  ['runtime', 'disable_guest_seccomp', 'disableGuestSeccomp', true, [['false', false]], ['1']],
  [QEMU, 'shared_fs', 'sharedFs', 'virtio-fs', [['"none"', 'none']], ['"virtio-9p"', '"virtio-fs-nydus"', 'true']],
  [
    QEMU,
    'virtio_fs_cache',
    'virtioFsCache',
    'auto',
    ['never', 'metadata', 'auto', 'always'].map((mode) => [`"${mode}"`, mode]),
    ['"sometimes"', '0'],
  ],
  [
    QEMU,
    'virtio_fs_queue_size',
    'virtioFsQueueSize',
    1024,
    [
      ['0', 1024],
      ['128', 128],
      ['2', 2],
    ],
    ['1', '100', `${MAX_QUEUE_SIZE * 2}`, '-2', '"128"'],
  ],
  [QEMU, 'virtio_fs_daemon', 'virtiofsd', '', [['"/bin/sh"', '/bin/sh']], ['"v"', '1']],
  [QEMU, 'virtio_fs_extra_args', 'virtioFsExtraArgs', [], [['["-a"]', ['-a']]], ['"-a"', '[1]', '["\\u0000"]']],
  [QEMU, 'disable_block_device_use', 'blockDevices', true, [['true', false]], ['"true"']],
  [QEMU, 'default_memory', 'memoryMib', 256, [['64', 64]], ['63', '-1', '1.5', `${MAX_MEMORY_MIB + 1}`]],
  [
    QEMU,
    'default_maxmemory',
    'maxMemoryMib',
    HOST_MIB,
    [
      ['0', HOST_MIB],
      ['4096', 4096],
      ['99999', HOST_MIB],
    ],
    ['"4G"', `${MAX_MEMORY_MIB + 1}`],
  ],
  [
    QEMU,
    'default_vcpus',
    'vcpus',
    1,
    [
      ['0.5', 0.5],
      ['0', 1],
      ['-1', 4],
      ['99', 4],
    ],
    ['"1"', 'nan', 'inf'],
  ],
  [
    QEMU,
    'default_maxvcpus',
    'maxVcpus',
    4,
    [
      ['2', 2],
      ['0', 4],
      ['99', 4],
    ],
    ['-1', '1.5'],
  ],
  [QEMU, 'overhead_vcpus', 'overheadVcpus', 0, [['0.2', 0.2]], ['-0.1', `${MAX_OVERHEAD_VCPUS + 1}`, '"1"']],
  [QEMU, 'overhead_memory', 'overheadMemoryMib', 128, [['32', 32]], ['-1', `${MAX_MEMORY_MIB + 1}`]],
  [
    QEMU,
    'rootfs_type',
    'rootfsType',
    'ext4',
    [
      ['"xfs"', 'xfs'],
      ['"erofs"', 'erofs'],
    ],
    ['"btrfs"', '1'],
  ],
  [
    QEMU,
    'machine_type',
    'machineType',
    'q35',
    [
      ['"pc"', 'pc'],
      ['""', 'q35'],
    ],
    ['1'],
  ],
  [
    QEMU,
    'enable_annotations',
    'enableAnnotations',
    [],
    [['["default_.*"]', ['default_.*']]],
    ['["("]', '"all"', `["${'a'.repeat(MAX_EXPRESSION_LENGTH + 1)}"]`],
  ],
  [
    'agent.kata',
    'dial_timeout',
    'bootTimeoutMs',
    45_000,
    [
      ['7', 7000],
      [`${MAX_TIMEOUT_S}`, MAX_TIMEOUT_S * 1000],
    ],
    [`${MAX_TIMEOUT_S + 1}`, '-1', '"7"'],
  ],
  ['runtime', 'create_container_timeout', 'createContainerTimeoutMs', 60_000, [['9', 9000]], ['1.5']],
];

for (const [table, key, property, fallback, good, bad] of CASES) {
  test(`${table}.${key}`, async () => {
    assert.equal((await load(table, ''))[property], fallback);
    for (const [toml, value] of good) assert.equal((await load(table, `${key} = ${toml}`))[property], value, toml);
    for (const toml of bad) {
      const thrown = await refusal(table, `${key} = ${toml}`);
      assert.is(thrown.code, 'invalid_argument', toml);
      assert.ok(thrown.message.startsWith(`${file}:2: ${table}.${key} `), thrown.message);
    }
  });
}

test('programs that are named have to be there', async () => {
  for (const key of ['path', 'virtio_fs_daemon']) {
    const absent = await refusal(QEMU, `${key} = "/no/such/program"`);
    assert.is(absent.code, 'failed_precondition');
    assert.match(absent.message, /:2: .* the program \/no\/such\/program does not exist; correct the path, remove/);
    const plain = await refusal(QEMU, `${key} = "${join(directory, 'vmlinux')}"`);
    assert.match(plain.message, /may not be executed/);
    assert.match((await refusal(QEMU, `${key} = "${directory}"`)).message, /is no file/);
  }
  // Nobody starts it.
  await load(QEMU, 'virtio_fs_daemon = "/no/such/program"\nshared_fs = "none"');
});

test('arguments of virtiofsd that would open the host', async () => {
  for (const list of ['["--sandbox=none"]', '["-o", "source=/"]', '["-osandbox=chroot"]', '["--shared-dir", "/"]']) {
    const { message } = await refusal(QEMU, `virtio_fs_extra_args = ${list}`);
    assert.match(message, /:2: hypervisor\.qemu\.virtio_fs_extra_args has "-.*; what is shared.*remove it$/, list);
  }
});

test('a choice that is refused names the others', async () => {
  assert.match(
    (await refusal('runtime', 'internetworking_model = "enlightened"')).message,
    /is "enlightened"; it must be one of tcfilter, macvtap, none/,
  );
  const disk = await refusal('runtime', 'emptydir_mode = "block-encrypted"');
  assert.is(disk.code, 'unimplemented');
  assert.match(disk.message, /:2: runtime\.emptydir_mode is "block-encrypted": .*no sandbox is made/);
  assert.is((await load('runtime', 'emptydir_mode = "block-plain"')).emptyDirDisks, true);
  assert.is((await load('runtime', 'emptydir_mode = "shared-fs"')).emptyDirDisks, false);
});

test('disable_new_netns needs a guest without network', async () => {
  assert.is((await load('runtime', '')).disableNewNetns, false);
  assert.match((await refusal('runtime', 'disable_new_netns = true')).message, /"tcfilter"; .*must be "none"/);
  const without = await load('runtime', 'disable_new_netns = true\ninternetworking_model = "none"');
  assert.equal([without.disableNewNetns, without.networkModel], [true, 'none']);
});

test('sandbox_bind_mounts', async () => {
  const mounts = async (...paths: string[]) =>
    (await load('runtime', `sandbox_bind_mounts = ${JSON.stringify(paths)}`)).sandboxBindMounts;
  const wrong = async (...paths: string[]) =>
    (await refusal('runtime', `sandbox_bind_mounts = ${JSON.stringify(paths)}`)).message;
  const shared = join(directory, 'shared');
  assert.equal(await mounts(), []);
  assert.equal(await mounts(`${shared}:rw`, join(directory, 'link'), `${join(directory, 'vmlinux')}:ro`), [
    { path: shared, name: 'shared', readOnly: false },
    { path: shared, name: 'link', readOnly: true },
    { path: join(directory, 'vmlinux'), name: 'vmlinux', readOnly: true },
  ]);
  assert.match(await wrong(shared, join(directory, 'more/shared')), /two paths that end in "shared"/);
  for (const path of ['relative', '/', '/..', '', ':ro']) assert.match(await wrong(path), /absolute path/, path);
  assert.match(await wrong('/no/such/path'), /sandbox_bind_mounts: \/no\/such\/path: ENOENT/);
  assert.match(await wrong(...Array<string>(MAX_SANDBOX_BIND_MOUNTS + 1).fill('/x')), /at most 64/);
});

test('keys that only say what annotations may name are accepted, with their type', async () => {
  for (const key of ['valid_virtio_fs_daemon_paths', 'valid_hypervisor_paths']) {
    assert.equal((await load(QEMU, `${key} = ["/usr/libexec/*"]`)).unknown, []);
    assert.match((await refusal(QEMU, `${key} = "/usr"`)).message, /a list of strings/);
  }
});

test('every key that is known is checked for its type, whether or not it is read', async () => {
  for (const [table, keys] of Object.entries(SCHEMA)) {
    for (const key of Object.keys(keys)) {
      assert.match((await refusal(table, `${key} = 1979-05-27`)).message, new RegExp(`${key} is .*; it must be`));
    }
  }
});

test.run();
