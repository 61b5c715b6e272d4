// Generated from proto/console.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Empty as google_Empty } from './google.ts';

export interface ConsoleOpenRequest {
  exec_id: string;
  args: string[];
  terminal: boolean;
  rows: number;
  columns: number;
  term: string;
}
export const ConsoleOpenRequest: MessageType<ConsoleOpenRequest> = /* @__PURE__ */ message<ConsoleOpenRequest>('kata.edge.ConsoleOpenRequest', () => [
  [1, 'exec_id', 'string'],
  [2, 'args', 'string', 'repeated'],
  [3, 'terminal', 'bool'],
  [4, 'rows', 'uint32'],
  [5, 'columns', 'uint32'],
  [6, 'term', 'string'],
]);

export interface ConsoleResizeRequest {
  exec_id: string;
  rows: number;
  columns: number;
}
export const ConsoleResizeRequest: MessageType<ConsoleResizeRequest> = /* @__PURE__ */ message<ConsoleResizeRequest>('kata.edge.ConsoleResizeRequest', () => [
  [1, 'exec_id', 'string'],
  [2, 'rows', 'uint32'],
  [3, 'columns', 'uint32'],
]);

export interface ConsoleRequest {
  exec_id: string;
}
export const ConsoleRequest: MessageType<ConsoleRequest> = /* @__PURE__ */ message<ConsoleRequest>('kata.edge.ConsoleRequest', () => [
  [1, 'exec_id', 'string'],
]);

export interface ConsoleWaitResponse {
  status: number;
}
export const ConsoleWaitResponse: MessageType<ConsoleWaitResponse> = /* @__PURE__ */ message<ConsoleWaitResponse>('kata.edge.ConsoleWaitResponse', () => [
  [1, 'status', 'int32'],
]);

/** Methods of kata.edge.Console: request and response. */
export const ConsoleService = {
  Open: [ConsoleOpenRequest, google_Empty],
  Resize: [ConsoleResizeRequest, google_Empty],
  Wait: [ConsoleRequest, ConsoleWaitResponse],
  Close: [ConsoleRequest, google_Empty],
} as const;
export const ConsoleServiceName = 'kata.edge.Console';
