// Generated from proto/ttrpc.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';
import { Status as rpc_status_Status } from './rpc_status.ts';

export interface Request {
  service: string;
  method: string;
  payload: Uint8Array;
  timeout_nano: Int64;
  metadata: KeyValue[];
}
export const Request: MessageType<Request> = /* @__PURE__ */ message<Request>('ttrpc.Request', () => [
  [1, 'service', 'string'],
  [2, 'method', 'string'],
  [3, 'payload', 'bytes'],
  [4, 'timeout_nano', 'int64'],
  [5, 'metadata', KeyValue, 'repeated'],
]);

export interface Response {
  status: rpc_status_Status | undefined;
  payload: Uint8Array;
}
export const Response: MessageType<Response> = /* @__PURE__ */ message<Response>('ttrpc.Response', () => [
  [1, 'status', rpc_status_Status],
  [2, 'payload', 'bytes'],
]);

export interface KeyValue {
  key: string;
  value: string;
}
export const KeyValue: MessageType<KeyValue> = /* @__PURE__ */ message<KeyValue>('ttrpc.KeyValue', () => [
  [1, 'key', 'string'],
  [2, 'value', 'string'],
]);
