/** docs/annotations.md is what the tables say, and the tables have all of Kata's annotations. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CONFIG_PREFIX } from '../../../host/config/annotations.ts';
import { HYPERVISOR_ROWS, REMOTE_ROWS } from '../../../host/config/annotations-hypervisor.ts';
import { schemaOf } from '../../../host/config/annotations-row.ts';
import { OTHER_ROWS, RUNTIME_ROWS } from '../../../host/config/annotations-runtime.ts';
import { annotationsPage } from '../../../setup/configuration/annotations-page.ts';

const PAGE = new URL('../../../docs/annotations.md', import.meta.url);
/** Of Kata 4.1, both runtimes: names only. */
const HYPERVISOR =
  `path jailer_path kernel image initrd firmware firmware_volume hypervisor_hash path_hash jailer_hash kernel_hash
image_hash initrd_hash firmware_hash firmware_volume_hash kernel_params kernel_verity_params machine_type machine_accelerators
cpu_features disable_vhost_net enable_vhost_user_store vhost_user_store_path vhost_user_reconnect_timeout_sec guest_hook_path
disable_image_nvdimm entropy_source use_legacy_serial cold_plug_vfio hot_plug_vfio pcie_root_port pcie_switch_port default_gpus
default_gpu_model default_vcpus default_max_vcpus default_memory memory_slots memory_offset enable_virtio_mem enable_mem_prealloc
reclaim_guest_freed_memory enable_hugepages enable_iommu enable_iommu_platform enable_guest_swap rootless numa_mapping msize_9p
shared_fs virtio_fs_daemon virtio_fs_cache virtio_fs_cache_size virtio_fs_extra_args block_device_driver block_device_aio
disable_block_device_use enable_iothreads indep_iothreads block_device_cache_set block_device_cache_direct block_device_cache_noflush
blk_logical_sector_size blk_physical_sector_size rx_rate_limiter_max_rate tx_rate_limiter_max_rate cc_init_data network_queues
block_device_num_queues block_device_queue_size hugepage_type prefetch_files.list asset_hash_type`.split(/\s+/);
const OTHERS =
  `config_path asset_hash_type enable_vcpus_pinning container.resource.swappiness container.resource.swap_in_bytes
config.runtime.disable_guest_seccomp config.runtime.sandbox_cgroup_only config.runtime.enable_pprof config.runtime.disable_new_netns
config.runtime.create_container_timeout config.runtime.experimental_force_guest_pull config.runtime.guest_selinux_label
config.runtime.experimental config.runtime.internetworking_model config.runtime.vfio_mode config.runtime.enable_vcpus_pinning
config.runtime.name config.runtime.hypervisor_name config.runtime.agent_name config.runtime.shared_mounts
config.runtime.sandbox_bind_mounts config.agent.kernel_modules config.agent.enable_tracing config.agent.container_pipe_size
config.agent.cdh_api_timeout config.agent.cdh_api_timeout_ms config.agent.policy`.split(/\s+/);

const test = suite('the page of annotations');

test('it is made from the tables', () => {
  assert.is(readFileSync(PAGE, 'utf8'), annotationsPage(), 'docs/annotations.md is old; run `npm run configuration`');
});

test("every one of Kata's is there", () => {
  assert.equal(Object.keys(HYPERVISOR_ROWS).sort(), [...HYPERVISOR].sort());
  assert.equal(Object.keys(RUNTIME_ROWS).sort(), [...OTHERS].sort());
  assert.equal(Object.keys(OTHER_ROWS), ['sgx.intel.com/epc']);
});

test('every key that one sets is known, of either hypervisor', () => {
  for (const row of [...Object.values(HYPERVISOR_ROWS), ...Object.values(RUNTIME_ROWS)]) {
    if (row.key !== undefined) assert.ok(schemaOf(row.key).doc.length > 0, row.key);
  }
  for (const row of Object.values(REMOTE_ROWS)) {
    assert.is(row.key === undefined ? 'used' : schemaOf(row.key, true).effect, 'used', row.key);
  }
});

test('those of the hypervisor need leave, and those that become arguments their own name', () => {
  for (const [name, row] of Object.entries({ ...HYPERVISOR_ROWS, ...REMOTE_ROWS })) {
    assert.ok(row.gate !== 'free' || row.refused !== undefined, name);
    const argument = /params|accelerators|features|args/.test(name);
    assert.is(row.gate === 'listed', argument, name);
  }
  assert.ok(CONFIG_PREFIX.startsWith('io.katacontainers.'));
});

test.run();
