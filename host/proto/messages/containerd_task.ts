// Generated from proto/containerd_task.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';
import { Timestamp as google_Timestamp } from './google.ts';

export interface Process {
  container_id: string;
  id: string;
  pid: number;
  status: number;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const Process: MessageType<Process> = /* @__PURE__ */ message<Process>('containerd.v1.types.Process', () => [
  [1, 'container_id', 'string'],
  [2, 'id', 'string'],
  [3, 'pid', 'uint32'],
  [4, 'status', 'int32'],
  [5, 'stdin', 'string'],
  [6, 'stdout', 'string'],
  [7, 'stderr', 'string'],
  [8, 'terminal', 'bool'],
  [9, 'exit_status', 'uint32'],
  [10, 'exited_at', google_Timestamp],
]);

export interface ProcessInfo {
  pid: number;
  info: google_Any | undefined;
}
export const ProcessInfo: MessageType<ProcessInfo> = /* @__PURE__ */ message<ProcessInfo>('containerd.v1.types.ProcessInfo', () => [
  [1, 'pid', 'uint32'],
  [2, 'info', google_Any],
]);

export const Status = {
  UNKNOWN: 0,
  CREATED: 1,
  RUNNING: 2,
  STOPPED: 3,
  PAUSED: 4,
  PAUSING: 5,
} as const;
