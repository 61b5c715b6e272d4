// Generated from proto/csi.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface VolumeStatsResponse {
  usage: VolumeUsage[];
  volume_condition: VolumeCondition | undefined;
}
export const VolumeStatsResponse: MessageType<VolumeStatsResponse> = /* @__PURE__ */ message<VolumeStatsResponse>('grpc.VolumeStatsResponse', () => [
  [1, 'usage', VolumeUsage, 'repeated'],
  [2, 'volume_condition', VolumeCondition],
]);

export interface VolumeUsage {
  available: Int64;
  total: Int64;
  used: Int64;
  unit: number;
}
export const VolumeUsage: MessageType<VolumeUsage> = /* @__PURE__ */ message<VolumeUsage>('grpc.VolumeUsage', () => [
  [1, 'available', 'uint64'],
  [2, 'total', 'uint64'],
  [3, 'used', 'uint64'],
  [4, 'unit', 'int32'],
]);

export const VolumeUsage_Unit = {
  UNKNOWN: 0,
  BYTES: 1,
  INODES: 2,
} as const;

export interface VolumeCondition {
  abnormal: boolean;
  message: string;
}
export const VolumeCondition: MessageType<VolumeCondition> = /* @__PURE__ */ message<VolumeCondition>('grpc.VolumeCondition', () => [
  [1, 'abnormal', 'bool'],
  [2, 'message', 'string'],
]);
