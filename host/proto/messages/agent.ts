// Generated from proto/agent.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';
import { ARPNeighbor as types_ARPNeighbor } from './types.ts';
import { Empty as google_Empty } from './google.ts';
import { Interface as types_Interface } from './types.ts';
import { LinuxResources as oci_LinuxResources } from './oci.ts';
import { Process as oci_Process } from './oci.ts';
import { Route as types_Route } from './types.ts';
import { Spec as oci_Spec } from './oci.ts';
import { VolumeStatsResponse as csi_VolumeStatsResponse } from './csi.ts';

export interface CreateContainerRequest {
  container_id: string;
  exec_id: string;
  string_user: StringUser | undefined;
  devices: Device[];
  storages: Storage[];
  OCI: oci_Spec | undefined;
  sandbox_pidns: boolean;
  shared_mounts: SharedMount[];
  stdin_port: number;
  stdout_port: number;
  stderr_port: number;
}
export const CreateContainerRequest: MessageType<CreateContainerRequest> = /* @__PURE__ */ message<CreateContainerRequest>('grpc.CreateContainerRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'string_user', StringUser],
  [4, 'devices', Device, 'repeated'],
  [5, 'storages', Storage, 'repeated'],
  [6, 'OCI', oci_Spec],
  [7, 'sandbox_pidns', 'bool'],
  [8, 'shared_mounts', SharedMount, 'repeated'],
  [9, 'stdin_port', 'uint32'],
  [10, 'stdout_port', 'uint32'],
  [11, 'stderr_port', 'uint32'],
]);

export interface StartContainerRequest {
  container_id: string;
}
export const StartContainerRequest: MessageType<StartContainerRequest> = /* @__PURE__ */ message<StartContainerRequest>('grpc.StartContainerRequest', () => [
  [1, 'container_id', 'string'],
]);

export interface RemoveContainerRequest {
  container_id: string;
  timeout: number;
}
export const RemoveContainerRequest: MessageType<RemoveContainerRequest> = /* @__PURE__ */ message<RemoveContainerRequest>('grpc.RemoveContainerRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'timeout', 'uint32'],
]);

export interface ExecProcessRequest {
  container_id: string;
  exec_id: string;
  string_user: StringUser | undefined;
  process: oci_Process | undefined;
  stdin_port: number;
  stdout_port: number;
  stderr_port: number;
}
export const ExecProcessRequest: MessageType<ExecProcessRequest> = /* @__PURE__ */ message<ExecProcessRequest>('grpc.ExecProcessRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'string_user', StringUser],
  [4, 'process', oci_Process],
  [5, 'stdin_port', 'uint32'],
  [6, 'stdout_port', 'uint32'],
  [7, 'stderr_port', 'uint32'],
]);

export interface SignalProcessRequest {
  container_id: string;
  exec_id: string;
  signal: number;
}
export const SignalProcessRequest: MessageType<SignalProcessRequest> = /* @__PURE__ */ message<SignalProcessRequest>('grpc.SignalProcessRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'signal', 'uint32'],
]);

export interface WaitProcessRequest {
  container_id: string;
  exec_id: string;
}
export const WaitProcessRequest: MessageType<WaitProcessRequest> = /* @__PURE__ */ message<WaitProcessRequest>('grpc.WaitProcessRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface WaitProcessResponse {
  status: number;
}
export const WaitProcessResponse: MessageType<WaitProcessResponse> = /* @__PURE__ */ message<WaitProcessResponse>('grpc.WaitProcessResponse', () => [
  [1, 'status', 'int32'],
]);

export interface UpdateContainerRequest {
  container_id: string;
  resources: oci_LinuxResources | undefined;
}
export const UpdateContainerRequest: MessageType<UpdateContainerRequest> = /* @__PURE__ */ message<UpdateContainerRequest>('grpc.UpdateContainerRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'resources', oci_LinuxResources],
]);

export interface StatsContainerRequest {
  container_id: string;
}
export const StatsContainerRequest: MessageType<StatsContainerRequest> = /* @__PURE__ */ message<StatsContainerRequest>('grpc.StatsContainerRequest', () => [
  [1, 'container_id', 'string'],
]);

export interface PauseContainerRequest {
  container_id: string;
}
export const PauseContainerRequest: MessageType<PauseContainerRequest> = /* @__PURE__ */ message<PauseContainerRequest>('grpc.PauseContainerRequest', () => [
  [1, 'container_id', 'string'],
]);

export interface ResumeContainerRequest {
  container_id: string;
}
export const ResumeContainerRequest: MessageType<ResumeContainerRequest> = /* @__PURE__ */ message<ResumeContainerRequest>('grpc.ResumeContainerRequest', () => [
  [1, 'container_id', 'string'],
]);

export interface CpuUsage {
  total_usage: Int64;
  percpu_usage: Int64[];
  usage_in_kernelmode: Int64;
  usage_in_usermode: Int64;
}
export const CpuUsage: MessageType<CpuUsage> = /* @__PURE__ */ message<CpuUsage>('grpc.CpuUsage', () => [
  [1, 'total_usage', 'uint64'],
  [2, 'percpu_usage', 'uint64', 'repeated'],
  [3, 'usage_in_kernelmode', 'uint64'],
  [4, 'usage_in_usermode', 'uint64'],
]);

export interface ThrottlingData {
  periods: Int64;
  throttled_periods: Int64;
  throttled_time: Int64;
}
export const ThrottlingData: MessageType<ThrottlingData> = /* @__PURE__ */ message<ThrottlingData>('grpc.ThrottlingData', () => [
  [1, 'periods', 'uint64'],
  [2, 'throttled_periods', 'uint64'],
  [3, 'throttled_time', 'uint64'],
]);

export interface CpuStats {
  cpu_usage: CpuUsage | undefined;
  throttling_data: ThrottlingData | undefined;
}
export const CpuStats: MessageType<CpuStats> = /* @__PURE__ */ message<CpuStats>('grpc.CpuStats', () => [
  [1, 'cpu_usage', CpuUsage],
  [2, 'throttling_data', ThrottlingData],
]);

export interface PidsStats {
  current: Int64;
  limit: Int64;
}
export const PidsStats: MessageType<PidsStats> = /* @__PURE__ */ message<PidsStats>('grpc.PidsStats', () => [
  [1, 'current', 'uint64'],
  [2, 'limit', 'uint64'],
]);

export interface MemoryData {
  usage: Int64;
  max_usage: Int64;
  failcnt: Int64;
  limit: Int64;
}
export const MemoryData: MessageType<MemoryData> = /* @__PURE__ */ message<MemoryData>('grpc.MemoryData', () => [
  [1, 'usage', 'uint64'],
  [2, 'max_usage', 'uint64'],
  [3, 'failcnt', 'uint64'],
  [4, 'limit', 'uint64'],
]);

export interface MemoryStats {
  cache: Int64;
  usage: MemoryData | undefined;
  swap_usage: MemoryData | undefined;
  kernel_usage: MemoryData | undefined;
  use_hierarchy: boolean;
  stats: Record<string, Int64>;
}
export const MemoryStats: MessageType<MemoryStats> = /* @__PURE__ */ message<MemoryStats>('grpc.MemoryStats', () => [
  [1, 'cache', 'uint64'],
  [2, 'usage', MemoryData],
  [3, 'swap_usage', MemoryData],
  [4, 'kernel_usage', MemoryData],
  [5, 'use_hierarchy', 'bool'],
  [6, 'stats', 'uint64', 'map', 'string'],
]);

export interface BlkioStatsEntry {
  major: Int64;
  minor: Int64;
  op: string;
  value: Int64;
}
export const BlkioStatsEntry: MessageType<BlkioStatsEntry> = /* @__PURE__ */ message<BlkioStatsEntry>('grpc.BlkioStatsEntry', () => [
  [1, 'major', 'uint64'],
  [2, 'minor', 'uint64'],
  [3, 'op', 'string'],
  [4, 'value', 'uint64'],
]);

export interface BlkioStats {
  io_service_bytes_recursive: BlkioStatsEntry[];
  io_serviced_recursive: BlkioStatsEntry[];
  io_queued_recursive: BlkioStatsEntry[];
  io_service_time_recursive: BlkioStatsEntry[];
  io_wait_time_recursive: BlkioStatsEntry[];
  io_merged_recursive: BlkioStatsEntry[];
  io_time_recursive: BlkioStatsEntry[];
  sectors_recursive: BlkioStatsEntry[];
}
export const BlkioStats: MessageType<BlkioStats> = /* @__PURE__ */ message<BlkioStats>('grpc.BlkioStats', () => [
  [1, 'io_service_bytes_recursive', BlkioStatsEntry, 'repeated'],
  [2, 'io_serviced_recursive', BlkioStatsEntry, 'repeated'],
  [3, 'io_queued_recursive', BlkioStatsEntry, 'repeated'],
  [4, 'io_service_time_recursive', BlkioStatsEntry, 'repeated'],
  [5, 'io_wait_time_recursive', BlkioStatsEntry, 'repeated'],
  [6, 'io_merged_recursive', BlkioStatsEntry, 'repeated'],
  [7, 'io_time_recursive', BlkioStatsEntry, 'repeated'],
  [8, 'sectors_recursive', BlkioStatsEntry, 'repeated'],
]);

export interface HugetlbStats {
  usage: Int64;
  max_usage: Int64;
  failcnt: Int64;
}
export const HugetlbStats: MessageType<HugetlbStats> = /* @__PURE__ */ message<HugetlbStats>('grpc.HugetlbStats', () => [
  [1, 'usage', 'uint64'],
  [2, 'max_usage', 'uint64'],
  [3, 'failcnt', 'uint64'],
]);

export interface CgroupStats {
  cpu_stats: CpuStats | undefined;
  memory_stats: MemoryStats | undefined;
  pids_stats: PidsStats | undefined;
  blkio_stats: BlkioStats | undefined;
  hugetlb_stats: Record<string, HugetlbStats>;
}
export const CgroupStats: MessageType<CgroupStats> = /* @__PURE__ */ message<CgroupStats>('grpc.CgroupStats', () => [
  [1, 'cpu_stats', CpuStats],
  [2, 'memory_stats', MemoryStats],
  [3, 'pids_stats', PidsStats],
  [4, 'blkio_stats', BlkioStats],
  [5, 'hugetlb_stats', HugetlbStats, 'map', 'string'],
]);

export interface NetworkStats {
  name: string;
  rx_bytes: Int64;
  rx_packets: Int64;
  rx_errors: Int64;
  rx_dropped: Int64;
  tx_bytes: Int64;
  tx_packets: Int64;
  tx_errors: Int64;
  tx_dropped: Int64;
}
export const NetworkStats: MessageType<NetworkStats> = /* @__PURE__ */ message<NetworkStats>('grpc.NetworkStats', () => [
  [1, 'name', 'string'],
  [2, 'rx_bytes', 'uint64'],
  [3, 'rx_packets', 'uint64'],
  [4, 'rx_errors', 'uint64'],
  [5, 'rx_dropped', 'uint64'],
  [6, 'tx_bytes', 'uint64'],
  [7, 'tx_packets', 'uint64'],
  [8, 'tx_errors', 'uint64'],
  [9, 'tx_dropped', 'uint64'],
]);

export interface StatsContainerResponse {
  cgroup_stats: CgroupStats | undefined;
  network_stats: NetworkStats[];
}
export const StatsContainerResponse: MessageType<StatsContainerResponse> = /* @__PURE__ */ message<StatsContainerResponse>('grpc.StatsContainerResponse', () => [
  [1, 'cgroup_stats', CgroupStats],
  [2, 'network_stats', NetworkStats, 'repeated'],
]);

export interface WriteStreamRequest {
  container_id: string;
  exec_id: string;
  data: Uint8Array;
}
export const WriteStreamRequest: MessageType<WriteStreamRequest> = /* @__PURE__ */ message<WriteStreamRequest>('grpc.WriteStreamRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'data', 'bytes'],
]);

export interface WriteStreamResponse {
  len: number;
}
export const WriteStreamResponse: MessageType<WriteStreamResponse> = /* @__PURE__ */ message<WriteStreamResponse>('grpc.WriteStreamResponse', () => [
  [1, 'len', 'uint32'],
]);

export interface ReadStreamRequest {
  container_id: string;
  exec_id: string;
  len: number;
}
export const ReadStreamRequest: MessageType<ReadStreamRequest> = /* @__PURE__ */ message<ReadStreamRequest>('grpc.ReadStreamRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'len', 'uint32'],
]);

export interface ReadStreamResponse {
  data: Uint8Array;
}
export const ReadStreamResponse: MessageType<ReadStreamResponse> = /* @__PURE__ */ message<ReadStreamResponse>('grpc.ReadStreamResponse', () => [
  [1, 'data', 'bytes'],
]);

export interface CloseStdinRequest {
  container_id: string;
  exec_id: string;
}
export const CloseStdinRequest: MessageType<CloseStdinRequest> = /* @__PURE__ */ message<CloseStdinRequest>('grpc.CloseStdinRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface TtyWinResizeRequest {
  container_id: string;
  exec_id: string;
  row: number;
  column: number;
}
export const TtyWinResizeRequest: MessageType<TtyWinResizeRequest> = /* @__PURE__ */ message<TtyWinResizeRequest>('grpc.TtyWinResizeRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'row', 'uint32'],
  [4, 'column', 'uint32'],
]);

export interface KernelModule {
  name: string;
  parameters: string[];
}
export const KernelModule: MessageType<KernelModule> = /* @__PURE__ */ message<KernelModule>('grpc.KernelModule', () => [
  [1, 'name', 'string'],
  [2, 'parameters', 'string', 'repeated'],
]);

export interface CreateSandboxRequest {
  hostname: string;
  dns: string[];
  storages: Storage[];
  sandbox_pidns: boolean;
  sandbox_id: string;
  guest_hook_path: string;
  kernel_modules: KernelModule[];
}
export const CreateSandboxRequest: MessageType<CreateSandboxRequest> = /* @__PURE__ */ message<CreateSandboxRequest>('grpc.CreateSandboxRequest', () => [
  [1, 'hostname', 'string'],
  [2, 'dns', 'string', 'repeated'],
  [3, 'storages', Storage, 'repeated'],
  [4, 'sandbox_pidns', 'bool'],
  [5, 'sandbox_id', 'string'],
  [6, 'guest_hook_path', 'string'],
  [7, 'kernel_modules', KernelModule, 'repeated'],
]);

export type DestroySandboxRequest = Record<string, never>;
export const DestroySandboxRequest: MessageType<DestroySandboxRequest> = /* @__PURE__ */ message<DestroySandboxRequest>('grpc.DestroySandboxRequest', () => []);

export type RemoveStaleVirtiofsShareMountsRequest = Record<string, never>;
export const RemoveStaleVirtiofsShareMountsRequest: MessageType<RemoveStaleVirtiofsShareMountsRequest> = /* @__PURE__ */ message<RemoveStaleVirtiofsShareMountsRequest>('grpc.RemoveStaleVirtiofsShareMountsRequest', () => []);

export interface Interfaces {
  Interfaces: types_Interface[];
}
export const Interfaces: MessageType<Interfaces> = /* @__PURE__ */ message<Interfaces>('grpc.Interfaces', () => [
  [1, 'Interfaces', types_Interface, 'repeated'],
]);

export interface Routes {
  Routes: types_Route[];
}
export const Routes: MessageType<Routes> = /* @__PURE__ */ message<Routes>('grpc.Routes', () => [
  [1, 'Routes', types_Route, 'repeated'],
]);

export interface UpdateInterfaceRequest {
  interface: types_Interface | undefined;
}
export const UpdateInterfaceRequest: MessageType<UpdateInterfaceRequest> = /* @__PURE__ */ message<UpdateInterfaceRequest>('grpc.UpdateInterfaceRequest', () => [
  [1, 'interface', types_Interface],
]);

export interface UpdateRoutesRequest {
  routes: Routes | undefined;
}
export const UpdateRoutesRequest: MessageType<UpdateRoutesRequest> = /* @__PURE__ */ message<UpdateRoutesRequest>('grpc.UpdateRoutesRequest', () => [
  [1, 'routes', Routes],
]);

export interface UpdateEphemeralMountsRequest {
  storages: Storage[];
}
export const UpdateEphemeralMountsRequest: MessageType<UpdateEphemeralMountsRequest> = /* @__PURE__ */ message<UpdateEphemeralMountsRequest>('grpc.UpdateEphemeralMountsRequest', () => [
  [1, 'storages', Storage, 'repeated'],
]);

export type ListInterfacesRequest = Record<string, never>;
export const ListInterfacesRequest: MessageType<ListInterfacesRequest> = /* @__PURE__ */ message<ListInterfacesRequest>('grpc.ListInterfacesRequest', () => []);

export type ListRoutesRequest = Record<string, never>;
export const ListRoutesRequest: MessageType<ListRoutesRequest> = /* @__PURE__ */ message<ListRoutesRequest>('grpc.ListRoutesRequest', () => []);

export interface ARPNeighbors {
  ARPNeighbors: types_ARPNeighbor[];
}
export const ARPNeighbors: MessageType<ARPNeighbors> = /* @__PURE__ */ message<ARPNeighbors>('grpc.ARPNeighbors', () => [
  [1, 'ARPNeighbors', types_ARPNeighbor, 'repeated'],
]);

export interface AddARPNeighborsRequest {
  neighbors: ARPNeighbors | undefined;
}
export const AddARPNeighborsRequest: MessageType<AddARPNeighborsRequest> = /* @__PURE__ */ message<AddARPNeighborsRequest>('grpc.AddARPNeighborsRequest', () => [
  [1, 'neighbors', ARPNeighbors],
]);

export interface GetIPTablesRequest {
  is_ipv6: boolean;
}
export const GetIPTablesRequest: MessageType<GetIPTablesRequest> = /* @__PURE__ */ message<GetIPTablesRequest>('grpc.GetIPTablesRequest', () => [
  [1, 'is_ipv6', 'bool'],
]);

export interface GetIPTablesResponse {
  data: Uint8Array;
}
export const GetIPTablesResponse: MessageType<GetIPTablesResponse> = /* @__PURE__ */ message<GetIPTablesResponse>('grpc.GetIPTablesResponse', () => [
  [1, 'data', 'bytes'],
]);

export interface SetIPTablesRequest {
  is_ipv6: boolean;
  data: Uint8Array;
}
export const SetIPTablesRequest: MessageType<SetIPTablesRequest> = /* @__PURE__ */ message<SetIPTablesRequest>('grpc.SetIPTablesRequest', () => [
  [1, 'is_ipv6', 'bool'],
  [2, 'data', 'bytes'],
]);

export interface SetIPTablesResponse {
  data: Uint8Array;
}
export const SetIPTablesResponse: MessageType<SetIPTablesResponse> = /* @__PURE__ */ message<SetIPTablesResponse>('grpc.SetIPTablesResponse', () => [
  [1, 'data', 'bytes'],
]);

export interface OnlineCPUMemRequest {
  wait: boolean;
  nb_cpus: number;
  cpu_only: boolean;
}
export const OnlineCPUMemRequest: MessageType<OnlineCPUMemRequest> = /* @__PURE__ */ message<OnlineCPUMemRequest>('grpc.OnlineCPUMemRequest', () => [
  [1, 'wait', 'bool'],
  [2, 'nb_cpus', 'uint32'],
  [3, 'cpu_only', 'bool'],
]);

export interface ReseedRandomDevRequest {
  data: Uint8Array;
}
export const ReseedRandomDevRequest: MessageType<ReseedRandomDevRequest> = /* @__PURE__ */ message<ReseedRandomDevRequest>('grpc.ReseedRandomDevRequest', () => [
  [2, 'data', 'bytes'],
]);

export interface AgentDetails {
  version: string;
  init_daemon: boolean;
  device_handlers: string[];
  storage_handlers: string[];
  supports_seccomp: boolean;
  extra_features: string[];
}
export const AgentDetails: MessageType<AgentDetails> = /* @__PURE__ */ message<AgentDetails>('grpc.AgentDetails', () => [
  [1, 'version', 'string'],
  [2, 'init_daemon', 'bool'],
  [3, 'device_handlers', 'string', 'repeated'],
  [4, 'storage_handlers', 'string', 'repeated'],
  [5, 'supports_seccomp', 'bool'],
  [6, 'extra_features', 'string', 'repeated'],
]);

export interface GuestDetailsRequest {
  mem_block_size: boolean;
  mem_hotplug_probe: boolean;
}
export const GuestDetailsRequest: MessageType<GuestDetailsRequest> = /* @__PURE__ */ message<GuestDetailsRequest>('grpc.GuestDetailsRequest', () => [
  [1, 'mem_block_size', 'bool'],
  [2, 'mem_hotplug_probe', 'bool'],
]);

export interface GuestDetailsResponse {
  mem_block_size_bytes: Int64;
  agent_details: AgentDetails | undefined;
  support_mem_hotplug_probe: boolean;
}
export const GuestDetailsResponse: MessageType<GuestDetailsResponse> = /* @__PURE__ */ message<GuestDetailsResponse>('grpc.GuestDetailsResponse', () => [
  [1, 'mem_block_size_bytes', 'uint64'],
  [2, 'agent_details', AgentDetails],
  [3, 'support_mem_hotplug_probe', 'bool'],
]);

export interface MemHotplugByProbeRequest {
  memHotplugProbeAddr: Int64[];
}
export const MemHotplugByProbeRequest: MessageType<MemHotplugByProbeRequest> = /* @__PURE__ */ message<MemHotplugByProbeRequest>('grpc.MemHotplugByProbeRequest', () => [
  [1, 'memHotplugProbeAddr', 'uint64', 'repeated'],
]);

export interface SetGuestDateTimeRequest {
  Sec: Int64;
  Usec: Int64;
}
export const SetGuestDateTimeRequest: MessageType<SetGuestDateTimeRequest> = /* @__PURE__ */ message<SetGuestDateTimeRequest>('grpc.SetGuestDateTimeRequest', () => [
  [1, 'Sec', 'int64'],
  [2, 'Usec', 'int64'],
]);

export interface FSGroup {
  group_id: number;
  group_change_policy: number;
}
export const FSGroup: MessageType<FSGroup> = /* @__PURE__ */ message<FSGroup>('grpc.FSGroup', () => [
  [2, 'group_id', 'uint32'],
  [3, 'group_change_policy', 'int32'],
]);

export interface SharedMount {
  name: string;
  src_ctr: string;
  src_path: string;
  dst_ctr: string;
  dst_path: string;
}
export const SharedMount: MessageType<SharedMount> = /* @__PURE__ */ message<SharedMount>('grpc.SharedMount', () => [
  [1, 'name', 'string'],
  [2, 'src_ctr', 'string'],
  [3, 'src_path', 'string'],
  [4, 'dst_ctr', 'string'],
  [5, 'dst_path', 'string'],
]);

export interface Storage {
  driver: string;
  driver_options: string[];
  source: string;
  fstype: string;
  options: string[];
  mount_point: string;
  fs_group: FSGroup | undefined;
  shared: boolean;
}
export const Storage: MessageType<Storage> = /* @__PURE__ */ message<Storage>('grpc.Storage', () => [
  [1, 'driver', 'string'],
  [2, 'driver_options', 'string', 'repeated'],
  [3, 'source', 'string'],
  [4, 'fstype', 'string'],
  [5, 'options', 'string', 'repeated'],
  [6, 'mount_point', 'string'],
  [7, 'fs_group', FSGroup],
  [8, 'shared', 'bool'],
]);

export interface Device {
  id: string;
  type: string;
  vm_path: string;
  container_path: string;
  options: string[];
}
export const Device: MessageType<Device> = /* @__PURE__ */ message<Device>('grpc.Device', () => [
  [1, 'id', 'string'],
  [2, 'type', 'string'],
  [3, 'vm_path', 'string'],
  [4, 'container_path', 'string'],
  [5, 'options', 'string', 'repeated'],
]);

export interface StringUser {
  uid: string;
  gid: string;
  additionalGids: string[];
}
export const StringUser: MessageType<StringUser> = /* @__PURE__ */ message<StringUser>('grpc.StringUser', () => [
  [1, 'uid', 'string'],
  [2, 'gid', 'string'],
  [3, 'additionalGids', 'string', 'repeated'],
]);

export interface CopyFileRequest {
  path: string;
  file_size: Int64;
  file_mode: number;
  dir_mode: number;
  uid: number;
  gid: number;
  offset: Int64;
  data: Uint8Array;
}
export const CopyFileRequest: MessageType<CopyFileRequest> = /* @__PURE__ */ message<CopyFileRequest>('grpc.CopyFileRequest', () => [
  [1, 'path', 'string'],
  [2, 'file_size', 'int64'],
  [3, 'file_mode', 'uint32'],
  [4, 'dir_mode', 'uint32'],
  [5, 'uid', 'int32'],
  [6, 'gid', 'int32'],
  [7, 'offset', 'int64'],
  [8, 'data', 'bytes'],
]);

export type GetOOMEventRequest = Record<string, never>;
export const GetOOMEventRequest: MessageType<GetOOMEventRequest> = /* @__PURE__ */ message<GetOOMEventRequest>('grpc.GetOOMEventRequest', () => []);

export interface OOMEvent {
  container_id: string;
}
export const OOMEvent: MessageType<OOMEvent> = /* @__PURE__ */ message<OOMEvent>('grpc.OOMEvent', () => [
  [1, 'container_id', 'string'],
]);

export interface AddSwapRequest {
  PCIPath: number[];
}
export const AddSwapRequest: MessageType<AddSwapRequest> = /* @__PURE__ */ message<AddSwapRequest>('grpc.AddSwapRequest', () => [
  [1, 'PCIPath', 'uint32', 'repeated'],
]);

export interface AddSwapPathRequest {
  path: string;
}
export const AddSwapPathRequest: MessageType<AddSwapPathRequest> = /* @__PURE__ */ message<AddSwapPathRequest>('grpc.AddSwapPathRequest', () => [
  [1, 'path', 'string'],
]);

export type GetMetricsRequest = Record<string, never>;
export const GetMetricsRequest: MessageType<GetMetricsRequest> = /* @__PURE__ */ message<GetMetricsRequest>('grpc.GetMetricsRequest', () => []);

export interface Metrics {
  metrics: string;
}
export const Metrics: MessageType<Metrics> = /* @__PURE__ */ message<Metrics>('grpc.Metrics', () => [
  [1, 'metrics', 'string'],
]);

export interface VolumeStatsRequest {
  volume_guest_path: string;
}
export const VolumeStatsRequest: MessageType<VolumeStatsRequest> = /* @__PURE__ */ message<VolumeStatsRequest>('grpc.VolumeStatsRequest', () => [
  [1, 'volume_guest_path', 'string'],
]);

export interface ResizeVolumeRequest {
  volume_guest_path: string;
  size: Int64;
}
export const ResizeVolumeRequest: MessageType<ResizeVolumeRequest> = /* @__PURE__ */ message<ResizeVolumeRequest>('grpc.ResizeVolumeRequest', () => [
  [1, 'volume_guest_path', 'string'],
  [2, 'size', 'uint64'],
]);

export interface SetPolicyRequest {
  policy: string;
}
export const SetPolicyRequest: MessageType<SetPolicyRequest> = /* @__PURE__ */ message<SetPolicyRequest>('grpc.SetPolicyRequest', () => [
  [1, 'policy', 'string'],
]);

export interface GetDiagnosticDataRequest {
  log_type: string;
  container_id: string;
}
export const GetDiagnosticDataRequest: MessageType<GetDiagnosticDataRequest> = /* @__PURE__ */ message<GetDiagnosticDataRequest>('grpc.GetDiagnosticDataRequest', () => [
  [1, 'log_type', 'string'],
  [2, 'container_id', 'string'],
]);

export interface GetDiagnosticDataResponse {
  data: string;
}
export const GetDiagnosticDataResponse: MessageType<GetDiagnosticDataResponse> = /* @__PURE__ */ message<GetDiagnosticDataResponse>('grpc.GetDiagnosticDataResponse', () => [
  [1, 'data', 'string'],
]);

export interface MemAgentMemcgConfig {
  disabled: boolean | undefined;
  swap: boolean | undefined;
  swappiness_max: number | undefined;
  period_secs: Int64 | undefined;
  period_psi_percent_limit: number | undefined;
  eviction_psi_percent_limit: number | undefined;
  eviction_run_aging_count_min: Int64 | undefined;
}
export const MemAgentMemcgConfig: MessageType<MemAgentMemcgConfig> = /* @__PURE__ */ message<MemAgentMemcgConfig>('grpc.MemAgentMemcgConfig', () => [
  [1, 'disabled', 'bool', 'optional'],
  [2, 'swap', 'bool', 'optional'],
  [3, 'swappiness_max', 'uint32', 'optional'],
  [4, 'period_secs', 'uint64', 'optional'],
  [5, 'period_psi_percent_limit', 'uint32', 'optional'],
  [6, 'eviction_psi_percent_limit', 'uint32', 'optional'],
  [7, 'eviction_run_aging_count_min', 'uint64', 'optional'],
]);

export interface MemAgentCompactConfig {
  disabled: boolean | undefined;
  period_secs: Int64 | undefined;
  period_psi_percent_limit: number | undefined;
  compact_psi_percent_limit: number | undefined;
  compact_sec_max: Int64 | undefined;
  compact_order: number | undefined;
  compact_threshold: Int64 | undefined;
  compact_force_times: Int64 | undefined;
}
export const MemAgentCompactConfig: MessageType<MemAgentCompactConfig> = /* @__PURE__ */ message<MemAgentCompactConfig>('grpc.MemAgentCompactConfig', () => [
  [1, 'disabled', 'bool', 'optional'],
  [2, 'period_secs', 'uint64', 'optional'],
  [3, 'period_psi_percent_limit', 'uint32', 'optional'],
  [4, 'compact_psi_percent_limit', 'uint32', 'optional'],
  [5, 'compact_sec_max', 'int64', 'optional'],
  [6, 'compact_order', 'uint32', 'optional'],
  [7, 'compact_threshold', 'uint64', 'optional'],
  [8, 'compact_force_times', 'uint64', 'optional'],
]);

/** Methods of grpc.AgentService: request and response. */
export const AgentServiceService = {
  CreateContainer: [CreateContainerRequest, google_Empty],
  StartContainer: [StartContainerRequest, google_Empty],
  RemoveContainer: [RemoveContainerRequest, google_Empty],
  ExecProcess: [ExecProcessRequest, google_Empty],
  SignalProcess: [SignalProcessRequest, google_Empty],
  WaitProcess: [WaitProcessRequest, WaitProcessResponse],
  UpdateContainer: [UpdateContainerRequest, google_Empty],
  UpdateEphemeralMounts: [UpdateEphemeralMountsRequest, google_Empty],
  StatsContainer: [StatsContainerRequest, StatsContainerResponse],
  PauseContainer: [PauseContainerRequest, google_Empty],
  ResumeContainer: [ResumeContainerRequest, google_Empty],
  RemoveStaleVirtiofsShareMounts: [RemoveStaleVirtiofsShareMountsRequest, google_Empty],
  GetDiagnosticData: [GetDiagnosticDataRequest, GetDiagnosticDataResponse],
  WriteStdin: [WriteStreamRequest, WriteStreamResponse],
  ReadStdout: [ReadStreamRequest, ReadStreamResponse],
  ReadStderr: [ReadStreamRequest, ReadStreamResponse],
  CloseStdin: [CloseStdinRequest, google_Empty],
  TtyWinResize: [TtyWinResizeRequest, google_Empty],
  UpdateInterface: [UpdateInterfaceRequest, types_Interface],
  UpdateRoutes: [UpdateRoutesRequest, Routes],
  ListInterfaces: [ListInterfacesRequest, Interfaces],
  ListRoutes: [ListRoutesRequest, Routes],
  AddARPNeighbors: [AddARPNeighborsRequest, google_Empty],
  GetIPTables: [GetIPTablesRequest, GetIPTablesResponse],
  SetIPTables: [SetIPTablesRequest, SetIPTablesResponse],
  GetMetrics: [GetMetricsRequest, Metrics],
  MemAgentMemcgSet: [MemAgentMemcgConfig, google_Empty],
  MemAgentCompactSet: [MemAgentCompactConfig, google_Empty],
  CreateSandbox: [CreateSandboxRequest, google_Empty],
  DestroySandbox: [DestroySandboxRequest, google_Empty],
  OnlineCPUMem: [OnlineCPUMemRequest, google_Empty],
  ReseedRandomDev: [ReseedRandomDevRequest, google_Empty],
  GetGuestDetails: [GuestDetailsRequest, GuestDetailsResponse],
  MemHotplugByProbe: [MemHotplugByProbeRequest, google_Empty],
  SetGuestDateTime: [SetGuestDateTimeRequest, google_Empty],
  CopyFile: [CopyFileRequest, google_Empty],
  GetOOMEvent: [GetOOMEventRequest, OOMEvent],
  AddSwap: [AddSwapRequest, google_Empty],
  AddSwapPath: [AddSwapPathRequest, google_Empty],
  GetVolumeStats: [VolumeStatsRequest, csi_VolumeStatsResponse],
  ResizeVolume: [ResizeVolumeRequest, google_Empty],
  SetPolicy: [SetPolicyRequest, google_Empty],
} as const;
export const AgentServiceServiceName = 'grpc.AgentService';
