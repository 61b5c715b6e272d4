// Generated from proto/containerd_types.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';
import { Timestamp as google_Timestamp } from './google.ts';

export interface Mount {
  type: string;
  source: string;
  target: string;
  options: string[];
}
export const Mount: MessageType<Mount> = /* @__PURE__ */ message<Mount>('containerd.types.Mount', () => [
  [1, 'type', 'string'],
  [2, 'source', 'string'],
  [3, 'target', 'string'],
  [4, 'options', 'string', 'repeated'],
]);

export interface ActiveMount {
  mount: Mount | undefined;
  mounted_at: google_Timestamp | undefined;
  mount_point: string;
  data: Record<string, string>;
}
export const ActiveMount: MessageType<ActiveMount> = /* @__PURE__ */ message<ActiveMount>('containerd.types.ActiveMount', () => [
  [1, 'mount', Mount],
  [2, 'mounted_at', google_Timestamp],
  [3, 'mount_point', 'string'],
  [4, 'data', 'string', 'map', 'string'],
]);

export interface ActivationInfo {
  name: string;
  active: ActiveMount[];
  system: Mount[];
  labels: Record<string, string>;
}
export const ActivationInfo: MessageType<ActivationInfo> = /* @__PURE__ */ message<ActivationInfo>('containerd.types.ActivationInfo', () => [
  [1, 'name', 'string'],
  [2, 'active', ActiveMount, 'repeated'],
  [3, 'system', Mount, 'repeated'],
  [4, 'labels', 'string', 'map', 'string'],
]);

export interface Platform {
  os: string;
  architecture: string;
  variant: string;
  os_version: string;
  os_features: string[];
}
export const Platform: MessageType<Platform> = /* @__PURE__ */ message<Platform>('containerd.types.Platform', () => [
  [1, 'os', 'string'],
  [2, 'architecture', 'string'],
  [3, 'variant', 'string'],
  [4, 'os_version', 'string'],
  [5, 'os_features', 'string', 'repeated'],
]);

export interface Metric {
  timestamp: google_Timestamp | undefined;
  id: string;
  data: google_Any | undefined;
}
export const Metric: MessageType<Metric> = /* @__PURE__ */ message<Metric>('containerd.types.Metric', () => [
  [1, 'timestamp', google_Timestamp],
  [2, 'id', 'string'],
  [3, 'data', google_Any],
]);

export interface RuntimeRequest {
  runtime_path: string;
  options: google_Any | undefined;
}
export const RuntimeRequest: MessageType<RuntimeRequest> = /* @__PURE__ */ message<RuntimeRequest>('containerd.types.RuntimeRequest', () => [
  [1, 'runtime_path', 'string'],
  [2, 'options', google_Any],
]);

export interface RuntimeVersion {
  version: string;
  revision: string;
}
export const RuntimeVersion: MessageType<RuntimeVersion> = /* @__PURE__ */ message<RuntimeVersion>('containerd.types.RuntimeVersion', () => [
  [1, 'version', 'string'],
  [2, 'revision', 'string'],
]);

export interface RuntimeInfo {
  name: string;
  version: RuntimeVersion | undefined;
  options: google_Any | undefined;
  features: google_Any | undefined;
  annotations: Record<string, string>;
}
export const RuntimeInfo: MessageType<RuntimeInfo> = /* @__PURE__ */ message<RuntimeInfo>('containerd.types.RuntimeInfo', () => [
  [1, 'name', 'string'],
  [2, 'version', RuntimeVersion],
  [3, 'options', google_Any],
  [4, 'features', google_Any],
  [5, 'annotations', 'string', 'map', 'string'],
]);

export interface Envelope {
  timestamp: google_Timestamp | undefined;
  namespace: string;
  topic: string;
  event: google_Any | undefined;
}
export const Envelope: MessageType<Envelope> = /* @__PURE__ */ message<Envelope>('containerd.types.Envelope', () => [
  [1, 'timestamp', google_Timestamp],
  [2, 'namespace', 'string'],
  [3, 'topic', 'string'],
  [4, 'event', google_Any],
]);
