/** Annotations of the hypervisor, by the rest of their names behind `io.katacontainers.config.hypervisor.` */
import * as args from './annotations-arguments.ts';
import { allowedGuestPath, allowedPath, type PathKind } from './annotations-paths.ts';
import {
  type Ask,
  type HashedAsset,
  placeOf,
  type Row,
  type Rows,
  refuses,
  same,
  schemaOf,
  sets,
} from './annotations-row.ts';
import { BOOLEAN, choice, cpus, memory, refused, sectorSize, text, tightening, whole } from './annotations-values.ts';
import type { Configuration } from './configuration.ts';
import { MAX_GPUS } from './remote.ts';
import { MIN_MEMORY_MIB } from './sizes.ts';
import { QEMU } from './values.ts';

/** Longest name of a machine type, an image or a GPU, and longest initdata (base64), characters. */
export const MAX_WORD_LENGTH = 1024;
export const MAX_INITDATA_LENGTH = 1024 * 1024;
/** Most NUMA nodes of a guest. */
export const MAX_NUMA_NODES = 64;
/** Most threads that serve disks. */
const MAX_IOTHREADS = 50;

const ASSETS = 'edge.valid_asset_paths';
const JAILER = 'a jailer belongs to Firecracker; QEMU is confined by seccomp, namespaces and cgroups, and is always';

/** Of both hypervisors. */
const SIZES: Rows = {
  default_vcpus: sets(
    'hypervisor.default_vcpus',
    cpus(/^[0-9]{1,4}(\.[0-9]{1,3})?$/, 0.001, 'a number above 0, may be a fraction'),
  ),
  // As Kata spells it, with one more underscore than the key.
  default_max_vcpus: sets('hypervisor.default_maxvcpus', cpus(/^[0-9]{1,4}$/, 1, 'a whole number from 1')),
  default_memory: sets('hypervisor.default_memory', memory(MIN_MEMORY_MIB)),
};

const FILES: Rows = {
  path: hostPath('path', 'program', 'hypervisor.qemu.valid_hypervisor_paths'),
  kernel: hostPath('kernel', 'file', ASSETS),
  // A guest has one of the two: naming one takes the place of the other.
  image: hostPath('image', 'file', ASSETS, ({ set }) => set('hypervisor.initrd', '')),
  initrd: hostPath('initrd', 'file', ASSETS, ({ set }) => set('hypervisor.image', '')),
  firmware: hostPath('firmware', 'file', ASSETS),
  firmware_volume: hostPath('firmware_volume', 'file', ASSETS),
  virtio_fs_daemon: hostPath('virtio_fs_daemon', 'program', 'hypervisor.qemu.valid_virtio_fs_daemon_paths'),
  entropy_source: hostPath('entropy_source', 'device', 'hypervisor.qemu.valid_entropy_sources'),
  vhost_user_store_path: hostPath('vhost_user_store_path', 'directory', 'hypervisor.qemu.valid_vhost_user_store_paths'),
  'prefetch_files.list': refuses('files of the host are not read ahead for a guest', 'A list of files to read ahead.'),
  jailer_path: refuses(JAILER, 'The program that confines the hypervisor.'),
  guest_hook_path: {
    ...sets('hypervisor.guest_hook_path', text(MAX_WORD_LENGTH)),
    limits: 'an absolute path of the guest that a pattern of `edge.valid_guest_hook_paths` matches',
    apply: ({ name, text: path, configuration, set }) => {
      set(
        'hypervisor.guest_hook_path',
        allowedGuestPath(name, path, listOf(configuration, 'edge.valid_guest_hook_paths')),
      );
    },
  },
};

const HASHES: Rows = {
  hypervisor_hash: hash('hypervisor', 'the QEMU program'),
  path_hash: hash('hypervisor', 'the QEMU program, as runtime-rs spells it'),
  kernel_hash: hash('kernel', "the guest's kernel"),
  image_hash: hash('image', "the guest's image"),
  initrd_hash: hash('initrd', "the guest's initrd"),
  firmware_hash: hash('firmware', 'the firmware'),
  firmware_volume_hash: hash('firmware_volume', "the firmware's variables"),
  jailer_hash: refuses(JAILER, 'SHA-512 of the jailer.'),
  asset_hash_type: hashType(),
};

/** What ends up among arguments: the administrator has to name each. */
const ARGUMENTS: Rows = {
  kernel_params: {
    ...listed('kernel_params'),
    limits:
      'parameters by space, in small letters; none that decides what the guest runs, whom it trusts or who may look into it',
    apply: ({ name, text: value, configuration, set }) =>
      set('hypervisor.kernel_params', args.kernelParams(value, name, configuration.kernelParams)),
  },
  kernel_verity_params: {
    ...listed('kernel_verity_params'),
    limits: '`root_hash=…,salt=…,data_blocks=…,data_block_size=…,hash_block_size=…`',
    relied: true,
    apply: ({ name, text: value, set }) => set('hypervisor.kernel_verity_params', args.verityParams(value, name)),
  },
  machine_accelerators: {
    ...listed('machine_accelerators'),
    limits: '`name=value` by comma; of properties those that name no file and confine no less',
    apply: ({ name, text: value, set }) =>
      set('hypervisor.machine_accelerators', args.machineAccelerators(value, name)),
  },
  cpu_features: {
    ...listed('cpu_features'),
    limits: '`name=value`, `+name` or `-name` by comma',
    apply: ({ name, text: value, set }) => set('hypervisor.cpu_features', args.cpuFeatures(value, name)),
  },
  virtio_fs_extra_args: {
    ...listed('virtio_fs_extra_args'),
    limits: 'a JSON list of options about speed and consistency, which follow those configured',
    apply: ({ name, text: value, configuration, set }) =>
      set('hypervisor.virtio_fs_extra_args', [
        ...configuration.virtioFsExtraArgs,
        ...args.virtiofsdArguments(value, name),
      ]),
  },
};

const DEVICES: Rows = {
  machine_type: sets('hypervisor.machine_type', {
    limits: '`q35` or `microvm`, on arm64 `virt`',
    read: (value, name, { machine }) =>
      choice(...(machine.arch === 'arm64' ? ['virt'] : ['q35', 'microvm'])).read(value, name, {} as Configuration),
  }),
  memory_slots: same('hypervisor.memory_slots'),
  memory_offset: same('hypervisor.memory_offset'),
  enable_virtio_mem: same('hypervisor.enable_virtio_mem'),
  enable_mem_prealloc: same('hypervisor.enable_mem_prealloc'),
  reclaim_guest_freed_memory: same('hypervisor.reclaim_guest_freed_memory'),
  enable_hugepages: same('hypervisor.enable_hugepages'),
  hugepage_type: same('hypervisor.hugepage_type'),
  enable_guest_swap: same('hypervisor.enable_guest_swap'),
  numa_mapping: sets('hypervisor.numa_mapping', {
    limits: `NUMA nodes of the host by space, one for each of the guest, at most ${MAX_NUMA_NODES}`,
    read: (value, name) => {
      const nodes = value.split(' ').filter((node) => node !== '');
      if (nodes.length <= MAX_NUMA_NODES && nodes.every((node) => /^[0-9][0-9,-]{0,31}$/.test(node))) return nodes;
      throw refused(name, value, `must be at most ${MAX_NUMA_NODES} numbers, or ranges of them, by space`);
    },
  }),
  // A pod that asks for a hypervisor without root's rights must not get one with them.
  rootless: sets(
    'hypervisor.rootless',
    tightening(true, ({ values }) => values.boolean(QEMU, 'rootless', false)),
    { relied: true },
  ),
  enable_iommu: same('hypervisor.enable_iommu'),
  enable_iommu_platform: same('hypervisor.enable_iommu_platform'),
  cold_plug_vfio: same('hypervisor.cold_plug_vfio', { apply: (ask) => plug(ask, 'cold', 'hot') }),
  hot_plug_vfio: same('hypervisor.hot_plug_vfio', { apply: (ask) => plug(ask, 'hot', 'cold') }),
  pcie_root_port: same('hypervisor.pcie_root_port'),
  pcie_switch_port: same('hypervisor.pcie_switch_port'),
  disable_image_nvdimm: same('hypervisor.disable_image_nvdimm'),
  use_legacy_serial: same('hypervisor.use_legacy_serial'),
  disable_vhost_net: same('hypervisor.disable_vhost_net'),
  network_queues: same('hypervisor.network_queues'),
  rx_rate_limiter_max_rate: sets('hypervisor.rx_rate_limiter_max_rate', whole(0, 1e15, 'bit/s')),
  tx_rate_limiter_max_rate: sets('hypervisor.tx_rate_limiter_max_rate', whole(0, 1e15, 'bit/s')),
  enable_vhost_user_store: same('hypervisor.enable_vhost_user_store'),
  vhost_user_reconnect_timeout_sec: same('hypervisor.vhost_user_reconnect_timeout_sec'),
  default_gpus: refuses('only a remote hypervisor is told of GPUs', 'GPUs of a machine.'),
  default_gpu_model: refuses('only a remote hypervisor is told of GPUs', 'Kind of GPU.'),
  cc_init_data: refuses(
    'initdata is for confidential guests, and QEMU runs none here',
    'Initialization data of a confidential guest.',
  ),
};

const STORAGE: Rows = {
  shared_fs: same('hypervisor.shared_fs'),
  virtio_fs_cache: same('hypervisor.virtio_fs_cache'),
  virtio_fs_cache_size: same('hypervisor.virtio_fs_cache_size'),
  msize_9p: same('hypervisor.msize_9p'),
  block_device_driver: same('hypervisor.block_device_driver'),
  block_device_aio: same('hypervisor.block_device_aio'),
  disable_block_device_use: sets('hypervisor.disable_block_device_use', BOOLEAN),
  enable_iothreads: same('hypervisor.enable_iothreads'),
  indep_iothreads: sets('hypervisor.indep_iothreads', whole(1, MAX_IOTHREADS)),
  block_device_cache_set: same('hypervisor.block_device_cache_set'),
  block_device_cache_direct: same('hypervisor.block_device_cache_direct'),
  block_device_cache_noflush: same('hypervisor.block_device_cache_noflush'),
  blk_logical_sector_size: sets('hypervisor.block_device_logical_sector_size', sectorSize()),
  blk_physical_sector_size: sets('hypervisor.block_device_physical_sector_size', sectorSize()),
  block_device_num_queues: sets('hypervisor.num_queues', whole(1, 256)),
  block_device_queue_size: sets('hypervisor.queue_size', whole(1, 1024)),
};

/** With QEMU. */
export const HYPERVISOR_ROWS: Rows = { ...SIZES, ...FILES, ...HASHES, ...ARGUMENTS, ...DEVICES, ...STORAGE };

/** With a remote hypervisor: the peer judges the values. */
export const REMOTE_ROWS: Rows = {
  ...SIZES,
  machine_type: sets('hypervisor.machine_type', text(MAX_WORD_LENGTH)),
  image: sets('hypervisor.image', text(MAX_WORD_LENGTH)),
  default_gpus: sets('hypervisor.default_gpus', whole(0, MAX_GPUS, 'GPUs')),
  // As Kata's shipped file spells it, where expressions need not match the whole name.
  default_gpu_model: sets('hypervisor.default_gpu_model', text(MAX_WORD_LENGTH), { alsoEnabledBy: 'gpu_model' }),
  cc_init_data: sets('hypervisor.initdata', text(MAX_INITDATA_LENGTH)),
};

/** The list that a path has to be in. */
function listOf(configuration: Configuration, key: string) {
  const dot = key.lastIndexOf('.');
  const [table, last] = [key.slice(0, dot), key.slice(dot + 1)];
  return { key: placeOf(configuration, table, last), patterns: configuration.values.strings(table, last) };
}

function hostPath(key: string, kind: PathKind, list: string, also: (ask: Ask) => void = () => {}): Row {
  return {
    ...same(`hypervisor.${key}`),
    limits: `the path of a ${kind === 'file' ? 'regular file' : kind} that a pattern of \`${list}\` matches, links followed`,
    relied: true,
    apply: (ask) => {
      const path = allowedPath(ask.name, ask.text, listOf(ask.configuration, list), kind);
      ask.set(`hypervisor.${key}`, path);
      also(ask);
    },
  };
}

function hash(asset: HashedAsset, what: string): Row {
  return {
    gate: 'enabled',
    limits: 'a SHA-512, 128 hexadecimal digits',
    doc: `Compared with the file before the virtual machine starts: ${what}.`,
    apply: ({ name, text: digest, compare }) => {
      if (!/^[0-9a-fA-F]{128}$/.test(digest)) throw refused(name, digest, 'must be a SHA-512, 128 hexadecimal digits');
      compare(asset, digest.toLowerCase());
    },
  };
}

/** Also without `config.hypervisor.`, as Kata's Go runtime has it. */
export function hashType(gate: Row['gate'] = 'enabled'): Row {
  const kind = choice('sha512');
  return {
    gate,
    limits: kind.limits,
    doc: 'How the digests of files are made.',
    apply: ({ name, text: value, configuration }) => void kind.read(value, name, configuration),
  };
}

function listed(key: string): Omit<Row, 'limits' | 'apply'> {
  const path = `hypervisor.${key}`;
  return { gate: 'listed', key: path, doc: schemaOf(path).doc };
}

/** A device is there from the start, or comes later. */
function plug({ name, text: value, configuration, set }: Ask, one: string, other: string): void {
  const ports = schemaOf(`hypervisor.${one}_plug_vfio`).choices ?? [];
  set(`hypervisor.${one}_plug_vfio`, choice(...ports).read(value, name, configuration));
  set(`hypervisor.${other}_plug_vfio`, 'no-port');
}
