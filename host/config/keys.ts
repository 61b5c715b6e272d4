/** The keys of configuration.toml that have effect, with their types. Any other key of Kata's is accepted and reported. */

export type ValueType = 'string' | 'boolean' | 'unsigned' | 'integer' | 'number' | 'strings';

/** By table, then key. */
export const KEYS: Readonly<Record<string, Readonly<Record<string, ValueType>>>> = {
  'hypervisor.qemu': {
    path: 'string',
    /** As valid_virtio_fs_daemon_paths. */
    valid_hypervisor_paths: 'strings',
    kernel: 'string',
    image: 'string',
    initrd: 'string',
    rootfs_type: 'string',
    machine_type: 'string',
    machine_accelerators: 'string',
    cpu_features: 'string',
    kernel_params: 'string',
    seccompsandbox: 'string',
    seccomp_sandbox: 'string',
    default_vcpus: 'number',
    default_maxvcpus: 'unsigned',
    default_memory: 'unsigned',
    default_maxmemory: 'unsigned',
    overhead_vcpus: 'number',
    overhead_memory: 'unsigned',
    shared_fs: 'string',
    virtio_fs_daemon: 'string',
    /** Of annotations that name a daemon; there are none here, paths cannot be annotated. */
    valid_virtio_fs_daemon_paths: 'strings',
    virtio_fs_queue_size: 'unsigned',
    virtio_fs_cache: 'string',
    virtio_fs_extra_args: 'strings',
    disable_block_device_use: 'boolean',
    enable_annotations: 'strings',
    enable_debug: 'boolean',
    guest_hook_path: 'string',
  },
  'hypervisor.remote': {
    remote_hypervisor_socket: 'string',
    remote_hypervisor_timeout: 'unsigned',
    /** Told to the peer, which knows what they mean. */
    machine_type: 'string',
    image: 'string',
    default_gpus: 'unsigned',
    default_gpu_model: 'string',
    default_vcpus: 'number',
    default_maxvcpus: 'unsigned',
    default_memory: 'unsigned',
    default_maxmemory: 'unsigned',
    overhead_vcpus: 'number',
    overhead_memory: 'unsigned',
    shared_fs: 'string',
    enable_annotations: 'strings',
    enable_debug: 'boolean',
    guest_hook_path: 'string',
  },
  'agent.kata': {
    kernel_modules: 'strings',
    dial_timeout: 'unsigned',
    create_container_timeout: 'unsigned',
  },
  /** Ours; Kata has no such table. */
  edge: {
    agent_transport: 'string',
    agent: 'string',
  },
  runtime: {
    hypervisor_name: 'string',
    enable_debug: 'boolean',
    disable_guest_seccomp: 'boolean',
    create_container_timeout: 'unsigned',
    static_sandbox_resource_mgmt: 'boolean',
    sandbox_cgroup_only: 'boolean',
    internetworking_model: 'string',
    disable_new_netns: 'boolean',
    sandbox_bind_mounts: 'strings',
    disable_guest_empty_dir: 'boolean',
    emptydir_mode: 'string',
    kubelet_root_dir: 'string',
    experimental_force_guest_pull: 'boolean',
    experimental: 'strings',
  },
};

/** What a value has to be, in words. */
export const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  string: 'a string',
  boolean: 'true or false',
  unsigned: 'a whole number, 0 or more',
  integer: 'a whole number',
  number: 'a number',
  strings: 'a list of strings',
};

/** Whether a parsed TOML value is of a type. */
export function isOfType(type: ValueType, value: unknown): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string' && !value.includes('\0');
    case 'boolean':
      return typeof value === 'boolean';
    case 'unsigned':
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && !item.includes('\0'));
  }
}
