// Generated from proto/remote.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';

export interface VersionRequest {
  version: string;
}
export const VersionRequest: MessageType<VersionRequest> = /* @__PURE__ */ message<VersionRequest>('hypervisor.VersionRequest', () => [
  [1, 'version', 'string'],
]);

export interface VersionResponse {
  version: string;
}
export const VersionResponse: MessageType<VersionResponse> = /* @__PURE__ */ message<VersionResponse>('hypervisor.VersionResponse', () => [
  [1, 'version', 'string'],
]);

export interface CreateVMRequest {
  id: string;
  annotations: Record<string, string>;
  networkNamespacePath: string;
}
export const CreateVMRequest: MessageType<CreateVMRequest> = /* @__PURE__ */ message<CreateVMRequest>('hypervisor.CreateVMRequest', () => [
  [1, 'id', 'string'],
  [2, 'annotations', 'string', 'map', 'string'],
  [3, 'networkNamespacePath', 'string'],
]);

export interface CreateVMResponse {
  agentSocketPath: string;
}
export const CreateVMResponse: MessageType<CreateVMResponse> = /* @__PURE__ */ message<CreateVMResponse>('hypervisor.CreateVMResponse', () => [
  [1, 'agentSocketPath', 'string'],
]);

export interface StartVMRequest {
  id: string;
}
export const StartVMRequest: MessageType<StartVMRequest> = /* @__PURE__ */ message<StartVMRequest>('hypervisor.StartVMRequest', () => [
  [1, 'id', 'string'],
]);

export type StartVMResponse = Record<string, never>;
export const StartVMResponse: MessageType<StartVMResponse> = /* @__PURE__ */ message<StartVMResponse>('hypervisor.StartVMResponse', () => []);

export interface StopVMRequest {
  id: string;
}
export const StopVMRequest: MessageType<StopVMRequest> = /* @__PURE__ */ message<StopVMRequest>('hypervisor.StopVMRequest', () => [
  [1, 'id', 'string'],
]);

export type StopVMResponse = Record<string, never>;
export const StopVMResponse: MessageType<StopVMResponse> = /* @__PURE__ */ message<StopVMResponse>('hypervisor.StopVMResponse', () => []);

/** Methods of hypervisor.Hypervisor: request and response. */
export const HypervisorService = {
  CreateVM: [CreateVMRequest, CreateVMResponse],
  StartVM: [StartVMRequest, StartVMResponse],
  StopVM: [StopVMRequest, StopVMResponse],
  Version: [VersionRequest, VersionResponse],
} as const;
export const HypervisorServiceName = 'hypervisor.Hypervisor';
