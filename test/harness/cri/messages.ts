/**
 * The CRI messages that tests write and read, with the names of its protobuf definition. int64 are numbers, enums strings, bytes
 * Uint8Arrays; what a reply leaves out has its default.
 */

export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET';

export interface NamespaceOption {
  network?: NamespaceMode;
  pid?: NamespaceMode;
  ipc?: NamespaceMode;
  /** With pid TARGET: the container whose processes are seen. */
  target_id?: string;
  /** containerd 2.x: a user namespace of the pod's own. */
  userns_options?: { mode: NamespaceMode; uids: IdMapping[]; gids: IdMapping[] };
}

export interface IdMapping {
  host_id: number;
  container_id: number;
  length: number;
}

export interface Value {
  value: number;
}

export interface SecurityProfile {
  profile_type: 'RuntimeDefault' | 'Unconfined' | 'Localhost';
  localhost_ref?: string;
}

export interface LinuxResources {
  /** Microseconds. */
  cpu_period?: number;
  cpu_quota?: number;
  cpu_shares?: number;
  memory_limit_in_bytes?: number;
  memory_swap_limit_in_bytes?: number;
  oom_score_adj?: number;
  cpuset_cpus?: string;
  cpuset_mems?: string;
  hugepage_limits?: { page_size: string; limit: number }[];
  unified?: Record<string, string>;
}

export interface PodSandboxConfig {
  metadata: { name: string; uid: string; namespace: string; attempt?: number };
  hostname?: string;
  log_directory?: string;
  dns_config?: { servers?: string[]; searches?: string[]; options?: string[] };
  port_mappings?: { protocol?: 'TCP' | 'UDP'; container_port: number; host_port: number; host_ip?: string }[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  linux?: {
    cgroup_parent?: string;
    sysctls?: Record<string, string>;
    overhead?: LinuxResources;
    resources?: LinuxResources;
    security_context?: {
      namespace_options?: NamespaceOption;
      run_as_user?: Value;
      run_as_group?: Value;
      readonly_rootfs?: boolean;
      supplemental_groups?: number[];
      privileged?: boolean;
      seccomp?: SecurityProfile;
    };
  };
}

export interface Mount {
  container_path: string;
  host_path: string;
  readonly?: boolean;
  propagation?: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL';
}

export interface ContainerSecurityContext {
  capabilities?: { add_capabilities?: string[]; drop_capabilities?: string[] };
  privileged?: boolean;
  namespace_options?: NamespaceOption;
  run_as_user?: Value;
  run_as_group?: Value;
  run_as_username?: string;
  readonly_rootfs?: boolean;
  supplemental_groups?: number[];
  no_new_privs?: boolean;
  masked_paths?: string[];
  readonly_paths?: string[];
  seccomp?: SecurityProfile;
}

export interface ContainerConfig {
  metadata: { name: string; attempt?: number };
  image: { image: string };
  command?: string[];
  args?: string[];
  working_dir?: string;
  envs?: { key: string; value: Uint8Array }[];
  mounts?: Mount[];
  devices?: { container_path: string; host_path: string; permissions: string }[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  /** Relative to the pod's log_directory. */
  log_path?: string;
  stdin?: boolean;
  stdin_once?: boolean;
  tty?: boolean;
  linux?: { resources?: LinuxResources; security_context?: ContainerSecurityContext };
}

export interface PodStatus {
  id: string;
  state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY';
  created_at: number;
  network: { ip: string; additional_ips: { ip: string }[] } | null;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  runtime_handler: string;
}

export interface ContainerStatus {
  id: string;
  metadata: { name: string; attempt: number };
  state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';
  /** Nanoseconds since 1970; 0: not yet. */
  created_at: number;
  started_at: number;
  finished_at: number;
  exit_code: number;
  /** `Completed`, `Error`, `OOMKilled`, `StartError`… */
  reason: string;
  message: string;
  mounts: Mount[];
  log_path: string;
  resources: { linux: LinuxResources | null } | null;
}

export interface CpuUsage {
  timestamp: number;
  usage_core_nano_seconds: Value | null;
  usage_nano_cores: Value | null;
}

export interface MemoryUsage {
  timestamp: number;
  working_set_bytes: Value | null;
  available_bytes: Value | null;
  usage_bytes: Value | null;
  rss_bytes: Value | null;
  page_faults: Value | null;
  major_page_faults: Value | null;
}

export interface ContainerStats {
  attributes: { id: string; metadata: { name: string } };
  cpu: CpuUsage | null;
  memory: MemoryUsage | null;
  writable_layer: { used_bytes: Value | null; inodes_used: Value | null } | null;
}

export interface InterfaceUsage {
  name: string;
  rx_bytes: Value | null;
  tx_bytes: Value | null;
}

export interface PodStats {
  attributes: { id: string; metadata: { name: string } };
  linux: {
    cpu: CpuUsage | null;
    memory: MemoryUsage | null;
    network: { default_interface: InterfaceUsage | null; interfaces: InterfaceUsage[] } | null;
    process: { process_count: Value | null } | null;
    containers: ContainerStats[];
  } | null;
}

type Empty = Record<string, never>;
type Url = { url: string };
type Untyped = Record<string, unknown>;

interface ExecOptions {
  container_id: string;
  tty?: boolean;
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
}

/** Every call that has one request and one reply: [request, reply]. */
export interface Calls {
  Version: [{ version?: string }, { runtime_name: string; runtime_version: string; runtime_api_version: string }];
  Status: [{ verbose?: boolean }, { status: { conditions: { type: string; status: boolean; message: string }[] } }];
  RunPodSandbox: [{ config: PodSandboxConfig; runtime_handler?: string }, { pod_sandbox_id: string }];
  StopPodSandbox: [{ pod_sandbox_id: string }, Empty];
  RemovePodSandbox: [{ pod_sandbox_id: string }, Empty];
  PodSandboxStatus: [
    { pod_sandbox_id: string; verbose?: boolean },
    { status: PodStatus; info: Record<string, string> },
  ];
  ListPodSandbox: [{ filter?: Untyped }, { items: { id: string; state: PodStatus['state'] }[] }];
  CreateContainer: [
    { pod_sandbox_id: string; config: ContainerConfig; sandbox_config: PodSandboxConfig },
    { container_id: string },
  ];
  StartContainer: [{ container_id: string }, Empty];
  /** timeout: seconds between SIGTERM and SIGKILL. */
  StopContainer: [{ container_id: string; timeout: number }, Empty];
  RemoveContainer: [{ container_id: string }, Empty];
  ListContainers: [
    { filter?: Untyped },
    { containers: { id: string; pod_sandbox_id: string; state: ContainerStatus['state'] }[] },
  ];
  ContainerStatus: [
    { container_id: string; verbose?: boolean },
    { status: ContainerStatus; info: Record<string, string> },
  ];
  UpdateContainerResources: [{ container_id: string; linux: LinuxResources }, Empty];
  ReopenContainerLog: [{ container_id: string }, Empty];
  /** timeout: seconds, 0 is none. */
  ExecSync: [
    { container_id: string; cmd: string[]; timeout?: number },
    { stdout: Uint8Array; stderr: Uint8Array; exit_code: number },
  ];
  Exec: [ExecOptions & { cmd: string[] }, Url];
  Attach: [ExecOptions, Url];
  PortForward: [{ pod_sandbox_id: string; port: number[] }, Url];
  ContainerStats: [{ container_id: string }, { stats: ContainerStats }];
  ListContainerStats: [{ filter?: Untyped }, { stats: ContainerStats[] }];
  PodSandboxStats: [{ pod_sandbox_id: string }, { stats: PodStats }];
  ListPodSandboxStats: [{ filter?: Untyped }, { stats: PodStats[] }];
  UpdateRuntimeConfig: [Untyped, Empty];
  CheckpointContainer: [{ container_id: string; location: string; timeout?: number }, Empty];
  ListMetricDescriptors: [Empty, Untyped];
  ListPodSandboxMetrics: [Empty, Untyped];
  RuntimeConfig: [Empty, Untyped];
  UpdatePodSandboxResources: [{ pod_sandbox_id: string; overhead?: LinuxResources; resources?: LinuxResources }, Empty];
  ListImages: [{ filter?: Untyped }, { images: { id: string; repo_tags: string[] }[] }];
  ImageStatus: [{ image: { image: string }; verbose?: boolean }, { image: { id: string } | null }];
  PullImage: [{ image: { image: string } }, { image_ref: string }];
  RemoveImage: [{ image: { image: string } }, Empty];
  ImageFsInfo: [Empty, Untyped];
}
