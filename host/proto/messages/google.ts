// Generated from proto/google.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface Any {
  type_url: string;
  value: Uint8Array;
}
export const Any: MessageType<Any> = /* @__PURE__ */ message<Any>('google.protobuf.Any', () => [
  [1, 'type_url', 'string'],
  [2, 'value', 'bytes'],
]);

export interface Timestamp {
  seconds: Int64;
  nanos: number;
}
export const Timestamp: MessageType<Timestamp> = /* @__PURE__ */ message<Timestamp>('google.protobuf.Timestamp', () => [
  [1, 'seconds', 'int64'],
  [2, 'nanos', 'int32'],
]);

export type Empty = Record<string, never>;
export const Empty: MessageType<Empty> = /* @__PURE__ */ message<Empty>('google.protobuf.Empty', () => []);
