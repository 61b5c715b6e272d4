// Generated from proto/bootstrap.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';

export interface BootstrapParams {
  instance_id: string;
  namespace: string;
  log_level: number;
  containerd_version: string;
  containerd_ttrpc_address: string;
  containerd_grpc_address: string;
  containerd_binary: string;
  extensions: Extension[];
  socket_dir: string | undefined;
}
export const BootstrapParams: MessageType<BootstrapParams> = /* @__PURE__ */ message<BootstrapParams>('containerd.runtime.bootstrap.v1.BootstrapParams', () => [
  [1, 'instance_id', 'string'],
  [2, 'namespace', 'string'],
  [3, 'log_level', 'int32'],
  [4, 'containerd_version', 'string'],
  [5, 'containerd_ttrpc_address', 'string'],
  [6, 'containerd_grpc_address', 'string'],
  [7, 'containerd_binary', 'string'],
  [8, 'extensions', Extension, 'repeated'],
  [9, 'socket_dir', 'string', 'optional'],
]);

export interface Extension {
  value: google_Any | undefined;
}
export const Extension: MessageType<Extension> = /* @__PURE__ */ message<Extension>('containerd.runtime.bootstrap.v1.Extension', () => [
  [1, 'value', google_Any],
]);

export interface BootstrapResult {
  version: number;
  address: string;
  protocol: string;
  capabilities: number[];
  metadata: Record<string, string>;
}
export const BootstrapResult: MessageType<BootstrapResult> = /* @__PURE__ */ message<BootstrapResult>('containerd.runtime.bootstrap.v1.BootstrapResult', () => [
  [1, 'version', 'int32'],
  [2, 'address', 'string'],
  [3, 'protocol', 'string'],
  [4, 'capabilities', 'int32', 'repeated'],
  [5, 'metadata', 'string', 'map', 'string'],
]);

export const LogLevel = {
  LOG_LEVEL_INFO: 0,
  LOG_LEVEL_TRACE: -8,
  LOG_LEVEL_DEBUG: -4,
  LOG_LEVEL_WARN: 4,
  LOG_LEVEL_ERROR: 8,
  LOG_LEVEL_FATAL: 10,
  LOG_LEVEL_PANIC: 12,
} as const;

export const Capability = {
  CAPABILITY_UNSPECIFIED: 0,
} as const;
