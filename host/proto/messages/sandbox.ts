// Generated from proto/sandbox.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';
import { Metric as containerd_types_Metric } from './containerd_types.ts';
import { Mount as containerd_types_Mount } from './containerd_types.ts';
import { Platform as containerd_types_Platform } from './containerd_types.ts';
import { Timestamp as google_Timestamp } from './google.ts';

export interface CreateSandboxRequest {
  sandbox_id: string;
  bundle_path: string;
  rootfs: containerd_types_Mount[];
  options: google_Any | undefined;
  netns_path: string;
  annotations: Record<string, string>;
}
export const CreateSandboxRequest: MessageType<CreateSandboxRequest> = /* @__PURE__ */ message<CreateSandboxRequest>('containerd.runtime.sandbox.v1.CreateSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'bundle_path', 'string'],
  [3, 'rootfs', containerd_types_Mount, 'repeated'],
  [4, 'options', google_Any],
  [5, 'netns_path', 'string'],
  [6, 'annotations', 'string', 'map', 'string'],
]);

export type CreateSandboxResponse = Record<string, never>;
export const CreateSandboxResponse: MessageType<CreateSandboxResponse> = /* @__PURE__ */ message<CreateSandboxResponse>('containerd.runtime.sandbox.v1.CreateSandboxResponse', () => []);

export interface StartSandboxRequest {
  sandbox_id: string;
}
export const StartSandboxRequest: MessageType<StartSandboxRequest> = /* @__PURE__ */ message<StartSandboxRequest>('containerd.runtime.sandbox.v1.StartSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface StartSandboxResponse {
  pid: number;
  created_at: google_Timestamp | undefined;
  spec: google_Any | undefined;
}
export const StartSandboxResponse: MessageType<StartSandboxResponse> = /* @__PURE__ */ message<StartSandboxResponse>('containerd.runtime.sandbox.v1.StartSandboxResponse', () => [
  [1, 'pid', 'uint32'],
  [2, 'created_at', google_Timestamp],
  [3, 'spec', google_Any],
]);

export interface PlatformRequest {
  sandbox_id: string;
}
export const PlatformRequest: MessageType<PlatformRequest> = /* @__PURE__ */ message<PlatformRequest>('containerd.runtime.sandbox.v1.PlatformRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface PlatformResponse {
  platform: containerd_types_Platform | undefined;
}
export const PlatformResponse: MessageType<PlatformResponse> = /* @__PURE__ */ message<PlatformResponse>('containerd.runtime.sandbox.v1.PlatformResponse', () => [
  [1, 'platform', containerd_types_Platform],
]);

export interface StopSandboxRequest {
  sandbox_id: string;
  timeout_secs: number;
}
export const StopSandboxRequest: MessageType<StopSandboxRequest> = /* @__PURE__ */ message<StopSandboxRequest>('containerd.runtime.sandbox.v1.StopSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'timeout_secs', 'uint32'],
]);

export type StopSandboxResponse = Record<string, never>;
export const StopSandboxResponse: MessageType<StopSandboxResponse> = /* @__PURE__ */ message<StopSandboxResponse>('containerd.runtime.sandbox.v1.StopSandboxResponse', () => []);

export interface UpdateSandboxRequest {
  sandbox_id: string;
  resources: google_Any | undefined;
  annotations: Record<string, string>;
}
export const UpdateSandboxRequest: MessageType<UpdateSandboxRequest> = /* @__PURE__ */ message<UpdateSandboxRequest>('containerd.runtime.sandbox.v1.UpdateSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'resources', google_Any],
  [3, 'annotations', 'string', 'map', 'string'],
]);

export interface WaitSandboxRequest {
  sandbox_id: string;
}
export const WaitSandboxRequest: MessageType<WaitSandboxRequest> = /* @__PURE__ */ message<WaitSandboxRequest>('containerd.runtime.sandbox.v1.WaitSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface WaitSandboxResponse {
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const WaitSandboxResponse: MessageType<WaitSandboxResponse> = /* @__PURE__ */ message<WaitSandboxResponse>('containerd.runtime.sandbox.v1.WaitSandboxResponse', () => [
  [1, 'exit_status', 'uint32'],
  [2, 'exited_at', google_Timestamp],
]);

export type UpdateSandboxResponse = Record<string, never>;
export const UpdateSandboxResponse: MessageType<UpdateSandboxResponse> = /* @__PURE__ */ message<UpdateSandboxResponse>('containerd.runtime.sandbox.v1.UpdateSandboxResponse', () => []);

export interface SandboxStatusRequest {
  sandbox_id: string;
  verbose: boolean;
}
export const SandboxStatusRequest: MessageType<SandboxStatusRequest> = /* @__PURE__ */ message<SandboxStatusRequest>('containerd.runtime.sandbox.v1.SandboxStatusRequest', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'verbose', 'bool'],
]);

export interface SandboxStatusResponse {
  sandbox_id: string;
  pid: number;
  state: string;
  info: Record<string, string>;
  created_at: google_Timestamp | undefined;
  exited_at: google_Timestamp | undefined;
  extra: google_Any | undefined;
}
export const SandboxStatusResponse: MessageType<SandboxStatusResponse> = /* @__PURE__ */ message<SandboxStatusResponse>('containerd.runtime.sandbox.v1.SandboxStatusResponse', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'pid', 'uint32'],
  [3, 'state', 'string'],
  [4, 'info', 'string', 'map', 'string'],
  [5, 'created_at', google_Timestamp],
  [6, 'exited_at', google_Timestamp],
  [7, 'extra', google_Any],
]);

export interface PingRequest {
  sandbox_id: string;
}
export const PingRequest: MessageType<PingRequest> = /* @__PURE__ */ message<PingRequest>('containerd.runtime.sandbox.v1.PingRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export type PingResponse = Record<string, never>;
export const PingResponse: MessageType<PingResponse> = /* @__PURE__ */ message<PingResponse>('containerd.runtime.sandbox.v1.PingResponse', () => []);

export interface ShutdownSandboxRequest {
  sandbox_id: string;
}
export const ShutdownSandboxRequest: MessageType<ShutdownSandboxRequest> = /* @__PURE__ */ message<ShutdownSandboxRequest>('containerd.runtime.sandbox.v1.ShutdownSandboxRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export type ShutdownSandboxResponse = Record<string, never>;
export const ShutdownSandboxResponse: MessageType<ShutdownSandboxResponse> = /* @__PURE__ */ message<ShutdownSandboxResponse>('containerd.runtime.sandbox.v1.ShutdownSandboxResponse', () => []);

export interface SandboxMetricsRequest {
  sandbox_id: string;
}
export const SandboxMetricsRequest: MessageType<SandboxMetricsRequest> = /* @__PURE__ */ message<SandboxMetricsRequest>('containerd.runtime.sandbox.v1.SandboxMetricsRequest', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface SandboxMetricsResponse {
  metrics: containerd_types_Metric | undefined;
}
export const SandboxMetricsResponse: MessageType<SandboxMetricsResponse> = /* @__PURE__ */ message<SandboxMetricsResponse>('containerd.runtime.sandbox.v1.SandboxMetricsResponse', () => [
  [1, 'metrics', containerd_types_Metric],
]);

/** Methods of containerd.runtime.sandbox.v1.Sandbox: request and response. */
export const SandboxService = {
  CreateSandbox: [CreateSandboxRequest, CreateSandboxResponse],
  StartSandbox: [StartSandboxRequest, StartSandboxResponse],
  Platform: [PlatformRequest, PlatformResponse],
  StopSandbox: [StopSandboxRequest, StopSandboxResponse],
  WaitSandbox: [WaitSandboxRequest, WaitSandboxResponse],
  SandboxStatus: [SandboxStatusRequest, SandboxStatusResponse],
  PingSandbox: [PingRequest, PingResponse],
  ShutdownSandbox: [ShutdownSandboxRequest, ShutdownSandboxResponse],
  SandboxMetrics: [SandboxMetricsRequest, SandboxMetricsResponse],
} as const;
export const SandboxServiceName = 'containerd.runtime.sandbox.v1.Sandbox';
