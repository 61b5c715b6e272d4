/** The CRI part of containerd's configuration, in the two forms it has had: one plugin (1.6, 1.7) and three (2.x). */
import type { ContainerdVersion } from './containerd-packages.ts';

/** A runtime handler: what a RuntimeClass names. */
export interface Handler {
  readonly name: string;
  /** E.g. `io.containerd.kata.v2`. */
  readonly type: string;
  /** The shim's configuration.toml; absent: the shim looks for one itself. */
  readonly configPath?: string;
  /** Whether the shim serves the Sandbox API, without a pause container. 1.6 has no such thing. */
  readonly sandboxer?: boolean;
  /** Pods get their network from here instead of CriConfig.cniDirectory. */
  readonly cniDirectory?: string;
  /** Networks, hence interfaces, of a pod; absent: one. Only with `cniDirectory`. */
  readonly networks?: number;
}

export interface CriConfig {
  readonly version: ContainerdVersion;
  /** `overlayfs` or `native`. */
  readonly snapshotter: string;
  /** The pause container's image, which has to be imported before the first pod. */
  readonly sandboxImage: string;
  /** Directory with the CNI plugins. */
  readonly cniBin: string;
  /** Directory with the network's configuration. */
  readonly cniDirectory: string;
  /** Programs of handlers that are runc's: its path. */
  readonly runc: string;
  readonly handlers: readonly Handler[];
  /** Handler of pods that ask for none. */
  readonly defaultHandler: string;
}

/** Tables of config.toml; version 2 of the file for 1.6 and 1.7, version 3 for 2.x. */
export function criConfig(config: CriConfig): string {
  return config.version === '2.1' ? threePlugins(config) : onePlugin(config);
}

/**
 * Without CAP_SYS_RESOURCE a negative oom_score_adj is refused, hence restrict_oom_score_adj. netns_mounts_under_state_dir keeps the
 * pods' network namespaces out of /run/netns.
 */
const COMMON = `  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
`;

/** Address in the daemon's network namespace. */
const STREAM_SERVER = `  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
`;

function onePlugin(config: CriConfig): string {
  const plugin = 'plugins."io.containerd.grpc.v1.cri"';
  return `
[${plugin}]
  sandbox_image = "${config.sandboxImage}"
${STREAM_SERVER}${COMMON}  disable_hugetlb_controller = true

[${plugin}.cni]
  bin_dir = "${config.cniBin}"
  conf_dir = "${config.cniDirectory}"

[${plugin}.containerd]
  snapshotter = "${config.snapshotter}"
  disable_snapshot_annotations = true
  default_runtime_name = "${config.defaultHandler}"
${config.handlers.map((handler) => runtime(handler, `${plugin}.containerd`, config)).join('')}`;
}

function threePlugins(config: CriConfig): string {
  const plugin = 'plugins."io.containerd.cri.v1.runtime"';
  return `
[plugins."io.containerd.grpc.v1.cri"]
${STREAM_SERVER}
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "${config.snapshotter}"
  disable_snapshot_annotations = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${config.sandboxImage}"

[${plugin}]
${COMMON}
[${plugin}.cni]
  bin_dirs = ["${config.cniBin}"]
  conf_dir = "${config.cniDirectory}"

[${plugin}.containerd]
  default_runtime_name = "${config.defaultHandler}"
${config.handlers.map((handler) => runtime(handler, `${plugin}.containerd`, config)).join('')}`;
}

function runtime(handler: Handler, parent: string, config: CriConfig): string {
  // 1.6's own table for pods with the annotation io.kubernetes.cri.untrusted-workload; later ones know it as a handler.
  const untrusted = handler.name === 'untrusted' && config.version === '1.6';
  const table = untrusted ? `${parent}.untrusted_workload_runtime` : `${parent}.runtimes.${handler.name}`;
  return `
[${table}]
${settings(handler, config)
  .map(([key, value]) => `  ${key} = ${value}\n`)
  .join('')}${options(handler, table, config)}`;
}

function settings(handler: Handler, config: CriConfig): [string, string][] {
  const found: [string, string][] = [['runtime_type', `"${handler.type}"`]];
  if (!isRunc(handler)) {
    found.push(['pod_annotations', '["io.katacontainers.*"]'], ['container_annotations', '["io.katacontainers.*"]']);
    found.push(['privileged_without_host_devices', 'true']);
  }
  if (handler.sandboxer) found.push([config.version === '2.1' ? 'sandboxer' : 'sandbox_mode', '"shim"']);
  if (handler.cniDirectory !== undefined) {
    found.push(['cni_conf_dir', `"${handler.cniDirectory}"`], ['cni_max_conf_num', String(handler.networks ?? 1)]);
  }
  return found;
}

function options(handler: Handler, table: string, config: CriConfig): string {
  if (isRunc(handler)) return `  [${table}.options]\n    BinaryName = "${config.runc}"\n    SystemdCgroup = false\n`;
  return handler.configPath === undefined ? '' : `  [${table}.options]\n    ConfigPath = "${handler.configPath}"\n`;
}

function isRunc(handler: Handler): boolean {
  return handler.type.startsWith('io.containerd.runc.');
}
