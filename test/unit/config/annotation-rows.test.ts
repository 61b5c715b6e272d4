/** Every annotation of the hypervisor: refused where it is not enabled, taken where it is, and a bad value refused by name. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Annotated, annotate, CONFIG_PREFIX, PREFIX } from '../../../host/config/annotations.ts';
import { HYPERVISOR_ROWS } from '../../../host/config/annotations-hypervisor.ts';
import { RUNTIME_ROWS } from '../../../host/config/annotations-runtime.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import { KataError } from '../../../host/error.ts';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kata-annotation-rows-')));
const at = (name: string): string => join(directory, name);
const kernel = Buffer.alloc(64);
kernel.write('\x7fELF\x02\x01', 'latin1');
kernel.writeUInt16LE(2, 16);
kernel.writeUInt16LE(62, 18);
const disk = Buffer.alloc(4096);
disk.writeUInt16BE(0x55aa, 510);
for (const [name, content] of Object.entries({ vmlinux: kernel, 'initramfs.cpio.gz': '070701x', 'kata.img': disk })) {
  writeFileSync(at(name), content);
}
writeFileSync(at('program'), '#!/bin/sh\n');
chmodSync(at('program'), 0o755);
mkdirSync(at('store'));
const file = at('configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const HASH = 'a'.repeat(128);
const BOOLEAN = ['true', 'yes'] as const;
const WHOLE = ['1', 'one'] as const;

/** A value that is taken, or `null` where nothing is, and one that is not. */
const HYPERVISOR: Readonly<Record<string, readonly [good: string | null, bad: string]>> = {
  default_vcpus: ['2', '5'],
  default_max_vcpus: ['2', '0'],
  default_memory: ['1GiB', '1'],
  path: [at('program'), '/bin/sh'],
  kernel: [at('vmlinux'), '/proc/self/exe'],
  image: [at('kata.img'), at('../kata.img')],
  initrd: [at('initramfs.cpio.gz'), 'initramfs.cpio.gz'],
  firmware: [at('kata.img'), '/etc/passwd'],
  firmware_volume: [null, '/etc/passwd'],
  virtio_fs_daemon: [at('program'), '/bin/sh'],
  entropy_source: ['/dev/urandom', '/dev/mem'],
  vhost_user_store_path: [null, '/etc'],
  'prefetch_files.list': [null, '/etc/passwd'],
  jailer_path: [null, '/bin/sh'],
  guest_hook_path: ['/usr/share/oci/hooks', '/run/kata-containers'],
  hypervisor_hash: [HASH, 'a'],
  path_hash: [HASH, 'a'],
  kernel_hash: [HASH, `${HASH}a`],
  image_hash: [null, 'a'],
  initrd_hash: [HASH, HASH.replace('a', 'g')],
  firmware_hash: [null, 'a'],
  firmware_volume_hash: [null, 'a'],
  jailer_hash: [null, 'a'],
  asset_hash_type: ['sha512', 'sha256'],
  kernel_params: ['loglevel=7', 'init=/bin/sh'],
  kernel_verity_params: [null, 'root_hash=x'],
  machine_accelerators: ['usb=off', 'firmware=/etc/shadow'],
  cpu_features: ['pmu=off', 'pmu=off -S'],
  virtio_fs_extra_args: ['["--writeback"]', '["--sandbox=none"]'],
  machine_type: ['q35', 'none'],
  memory_slots: ['10', '0'],
  memory_offset: WHOLE,
  enable_virtio_mem: BOOLEAN,
  enable_mem_prealloc: BOOLEAN,
  reclaim_guest_freed_memory: BOOLEAN,
  enable_hugepages: BOOLEAN,
  hugepage_type: ['thp', 'giant'],
  enable_guest_swap: ['false', 'yes'],
  numa_mapping: ['0 0-1', 'all'],
  rootless: ['true', 'root'],
  enable_iommu: BOOLEAN,
  enable_iommu_platform: ['false', 'yes'],
  cold_plug_vfio: ['no-port', 'port'],
  hot_plug_vfio: ['no-port', 'port'],
  pcie_root_port: WHOLE,
  pcie_switch_port: ['0', '17'],
  disable_image_nvdimm: BOOLEAN,
  use_legacy_serial: BOOLEAN,
  disable_vhost_net: BOOLEAN,
  network_queues: ['1', '257'],
  rx_rate_limiter_max_rate: ['1000000', '-1'],
  tx_rate_limiter_max_rate: ['1000000', '1e9'],
  enable_vhost_user_store: ['false', 'yes'],
  vhost_user_reconnect_timeout_sec: WHOLE,
  default_gpus: [null, 'x'],
  default_gpu_model: [null, 'x'],
  cc_init_data: [null, 'x'],
  shared_fs: ['none', 'virtio-9p'],
  virtio_fs_cache: ['never', 'none'],
  virtio_fs_cache_size: WHOLE,
  msize_9p: WHOLE,
  block_device_driver: ['virtio-blk', 'nvdimm'],
  block_device_aio: ['threads', 'sync'],
  disable_block_device_use: BOOLEAN,
  enable_iothreads: BOOLEAN,
  indep_iothreads: ['2', '51'],
  block_device_cache_set: BOOLEAN,
  block_device_cache_direct: BOOLEAN,
  block_device_cache_noflush: BOOLEAN,
  blk_logical_sector_size: ['4096', '513'],
  blk_physical_sector_size: ['4096', '1'],
  block_device_num_queues: ['2', '0'],
  block_device_queue_size: ['64', '0'],
};
/** Likewise for those that need no leave. */
const OTHERS: Readonly<Record<string, readonly [good: string | null, bad: string]>> = {
  asset_hash_type: ['sha512', 'md5'],
  enable_vcpus_pinning: BOOLEAN,
  config_path: [null, '/etc/passwd'],
  'container.resource.swappiness': ['60', ''],
  'container.resource.swap_in_bytes': ['60', ''],
  'config.runtime.disable_guest_seccomp': ['false', 'no'],
  'config.runtime.sandbox_cgroup_only': ['true', 'false'],
  'config.runtime.disable_new_netns': ['false', 'true'],
  'config.runtime.experimental_force_guest_pull': BOOLEAN,
  'config.runtime.experimental': ['force_guest_pull', 'other'],
  'config.runtime.internetworking_model': ['macvtap', 'l3forwarding'],
  'config.runtime.create_container_timeout': ['90', '0'],
  'config.runtime.enable_vcpus_pinning': BOOLEAN,
  'config.runtime.vfio_mode': ['vfio', 'none'],
  'config.runtime.guest_selinux_label': [null, 'x'],
  'config.runtime.name': ['virt_container', 'wasm_container'],
  'config.runtime.agent_name': ['kata', 'other'],
  'config.runtime.hypervisor_name': ['qemu', 'clh'],
  'config.runtime.shared_mounts': ['[]', '{}'],
  'config.runtime.sandbox_bind_mounts': [null, '/etc'],
  'config.runtime.enable_pprof': BOOLEAN,
  'config.agent.kernel_modules': ['e1000e', '--evil'],
  'config.agent.enable_tracing': BOOLEAN,
  'config.agent.container_pipe_size': ['65536', '1048577'],
  'config.agent.cdh_api_timeout': ['50', '0'],
  'config.agent.cdh_api_timeout_ms': ['50000', 'x'],
  'config.agent.policy': [null, '!'],
};

const test = suite('every annotation');
test.after(() => rmSync(directory, { recursive: true }));

async function load(enabled: readonly string[]): Promise<Configuration> {
  writeFileSync(
    file,
    `[hypervisor.qemu]
enable_annotations = ${JSON.stringify(enabled)}
valid_hypervisor_paths = ["${at('*')}"]
valid_virtio_fs_daemon_paths = ["${at('*')}"]
valid_vhost_user_store_paths = ["${at('*')}"]
valid_entropy_sources = ["/dev/*random"]
[edge]
valid_asset_paths = ["${at('*')}"]
valid_guest_hook_paths = ["/usr/share/oci/*"]
`,
  );
  return loadConfiguration(file, MACHINE);
}

async function outcome(from: Configuration, name: string, text: string): Promise<Annotated | KataError> {
  return annotate(from, { [name]: text }).catch((thrown: unknown) => {
    if (thrown instanceof KataError) return thrown;
    throw thrown;
  });
}

async function refused(from: Configuration, name: string, text: string, codes: readonly string[]): Promise<KataError> {
  const thrown = await outcome(from, name, text);
  if (!(thrown instanceof KataError)) throw new Error(`accepted: ${name}=${text}`);
  assert.ok(codes.includes(thrown.code), `${name}=${text}: ${thrown.code}: ${thrown.message}`);
  assert.ok(thrown.message.includes(name), thrown.message);
  return thrown;
}

const REFUSED = ['invalid_argument', 'permission_denied', 'unimplemented', 'failed_precondition'];

const none = await load([]);
const all = await load([
  '.*',
  ...Object.keys(HYPERVISOR_ROWS).filter((name) => HYPERVISOR_ROWS[name]?.gate === 'listed'),
]);

test('the samples are of all there are', () => {
  assert.equal(Object.keys(HYPERVISOR).sort(), Object.keys(HYPERVISOR_ROWS).sort());
  assert.equal(Object.keys(OTHERS).sort(), Object.keys(RUNTIME_ROWS).sort());
});

for (const [rest, [good, bad]] of Object.entries(HYPERVISOR)) {
  test(`hypervisor.${rest}`, async () => {
    const name = `${CONFIG_PREFIX}hypervisor.${rest}`;
    const row = HYPERVISOR_ROWS[rest];
    if (row?.refused === undefined) {
      // One that nothing supports is not worth asking the administrator for.
      const thrown = await refused(none, name, good ?? bad, ['permission_denied']);
      assert.ok(thrown.message.includes(`add "${rest}"`), thrown.message);
    }
    await refused(all, name, bad, REFUSED);
    if (good === null) return;
    const done = await outcome(all, name, good);
    if (done instanceof KataError) throw new Error(`${name}=${good}: ${done.message}`);
    assert.ok(done.ignored.length <= 1);
  });
}

for (const [rest, [good, bad]] of Object.entries(OTHERS)) {
  test(rest, async () => {
    const name = PREFIX + rest;
    // Without effect, whatever it says.
    if (RUNTIME_ROWS[rest]?.ignored === undefined) await refused(none, name, bad, REFUSED);
    if (good === null) return;
    const done = await outcome(none, name, good);
    if (done instanceof KataError) throw new Error(`${name}=${good}: ${done.message}`);
  });
}

test.run();
