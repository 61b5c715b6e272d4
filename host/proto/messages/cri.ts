// Generated from proto/cri.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface PodSandboxConfig {
  metadata: PodSandboxMetadata | undefined;
  hostname: string;
  log_directory: string;
  dns_config: DNSConfig | undefined;
  port_mappings: PortMapping[];
  labels: Record<string, string>;
  annotations: Record<string, string>;
  linux: LinuxPodSandboxConfig | undefined;
}
export const PodSandboxConfig: MessageType<PodSandboxConfig> = /* @__PURE__ */ message<PodSandboxConfig>('runtime.v1.PodSandboxConfig', () => [
  [1, 'metadata', PodSandboxMetadata],
  [2, 'hostname', 'string'],
  [3, 'log_directory', 'string'],
  [4, 'dns_config', DNSConfig],
  [5, 'port_mappings', PortMapping, 'repeated'],
  [6, 'labels', 'string', 'map', 'string'],
  [7, 'annotations', 'string', 'map', 'string'],
  [8, 'linux', LinuxPodSandboxConfig],
]);

export interface PodSandboxMetadata {
  name: string;
  uid: string;
  namespace: string;
  attempt: number;
}
export const PodSandboxMetadata: MessageType<PodSandboxMetadata> = /* @__PURE__ */ message<PodSandboxMetadata>('runtime.v1.PodSandboxMetadata', () => [
  [1, 'name', 'string'],
  [2, 'uid', 'string'],
  [3, 'namespace', 'string'],
  [4, 'attempt', 'uint32'],
]);

export interface DNSConfig {
  servers: string[];
  searches: string[];
  options: string[];
}
export const DNSConfig: MessageType<DNSConfig> = /* @__PURE__ */ message<DNSConfig>('runtime.v1.DNSConfig', () => [
  [1, 'servers', 'string', 'repeated'],
  [2, 'searches', 'string', 'repeated'],
  [3, 'options', 'string', 'repeated'],
]);

export interface PortMapping {
  protocol: number;
  container_port: number;
  host_port: number;
  host_ip: string;
}
export const PortMapping: MessageType<PortMapping> = /* @__PURE__ */ message<PortMapping>('runtime.v1.PortMapping', () => [
  [1, 'protocol', 'int32'],
  [2, 'container_port', 'int32'],
  [3, 'host_port', 'int32'],
  [4, 'host_ip', 'string'],
]);

export interface LinuxPodSandboxConfig {
  cgroup_parent: string;
  security_context: LinuxSandboxSecurityContext | undefined;
  sysctls: Record<string, string>;
  overhead: LinuxContainerResources | undefined;
  resources: LinuxContainerResources | undefined;
}
export const LinuxPodSandboxConfig: MessageType<LinuxPodSandboxConfig> = /* @__PURE__ */ message<LinuxPodSandboxConfig>('runtime.v1.LinuxPodSandboxConfig', () => [
  [1, 'cgroup_parent', 'string'],
  [2, 'security_context', LinuxSandboxSecurityContext],
  [3, 'sysctls', 'string', 'map', 'string'],
  [4, 'overhead', LinuxContainerResources],
  [5, 'resources', LinuxContainerResources],
]);

export interface LinuxSandboxSecurityContext {
  namespace_options: NamespaceOption | undefined;
}
export const LinuxSandboxSecurityContext: MessageType<LinuxSandboxSecurityContext> = /* @__PURE__ */ message<LinuxSandboxSecurityContext>('runtime.v1.LinuxSandboxSecurityContext', () => [
  [1, 'namespace_options', NamespaceOption],
]);

export interface NamespaceOption {
  network: number;
  pid: number;
  ipc: number;
}
export const NamespaceOption: MessageType<NamespaceOption> = /* @__PURE__ */ message<NamespaceOption>('runtime.v1.NamespaceOption', () => [
  [1, 'network', 'int32'],
  [2, 'pid', 'int32'],
  [3, 'ipc', 'int32'],
]);

export const NamespaceMode = {
  POD: 0,
  CONTAINER: 1,
  NODE: 2,
  TARGET: 3,
} as const;

export interface LinuxContainerResources {
  cpu_period: Int64;
  cpu_quota: Int64;
  cpu_shares: Int64;
  memory_limit_in_bytes: Int64;
}
export const LinuxContainerResources: MessageType<LinuxContainerResources> = /* @__PURE__ */ message<LinuxContainerResources>('runtime.v1.LinuxContainerResources', () => [
  [1, 'cpu_period', 'int64'],
  [2, 'cpu_quota', 'int64'],
  [3, 'cpu_shares', 'int64'],
  [4, 'memory_limit_in_bytes', 'int64'],
]);
