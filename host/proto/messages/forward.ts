// Generated from proto/forward.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Empty as google_Empty } from './google.ts';

export interface OpenRequest {
  exec_id: string;
  port: number;
}
export const OpenRequest: MessageType<OpenRequest> = /* @__PURE__ */ message<OpenRequest>('kata.edge.OpenRequest', () => [
  [1, 'exec_id', 'string'],
  [2, 'port', 'uint32'],
]);

export interface CloseRequest {
  exec_id: string;
}
export const CloseRequest: MessageType<CloseRequest> = /* @__PURE__ */ message<CloseRequest>('kata.edge.CloseRequest', () => [
  [1, 'exec_id', 'string'],
]);

/** Methods of kata.edge.Forward: request and response. */
export const ForwardService = {
  Open: [OpenRequest, google_Empty],
  Close: [CloseRequest, google_Empty],
} as const;
export const ForwardServiceName = 'kata.edge.Forward';
