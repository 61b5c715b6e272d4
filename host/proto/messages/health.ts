// Generated from proto/health.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';

export interface CheckRequest {
  service: string;
}
export const CheckRequest: MessageType<CheckRequest> = /* @__PURE__ */ message<CheckRequest>('grpc.CheckRequest', () => [
  [1, 'service', 'string'],
]);

export interface HealthCheckResponse {
  status: number;
}
export const HealthCheckResponse: MessageType<HealthCheckResponse> = /* @__PURE__ */ message<HealthCheckResponse>('grpc.HealthCheckResponse', () => [
  [1, 'status', 'int32'],
]);

export const HealthCheckResponse_ServingStatus = {
  UNKNOWN: 0,
  SERVING: 1,
  NOT_SERVING: 2,
} as const;

export interface VersionCheckResponse {
  grpc_version: string;
  agent_version: string;
}
export const VersionCheckResponse: MessageType<VersionCheckResponse> = /* @__PURE__ */ message<VersionCheckResponse>('grpc.VersionCheckResponse', () => [
  [1, 'grpc_version', 'string'],
  [2, 'agent_version', 'string'],
]);

/** Methods of grpc.Health: request and response. */
export const HealthService = {
  Check: [CheckRequest, HealthCheckResponse],
  Version: [CheckRequest, VersionCheckResponse],
} as const;
export const HealthServiceName = 'grpc.Health';
