// Generated from proto/events.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Mount as containerd_types_Mount } from './containerd_types.ts';
import { Timestamp as google_Timestamp } from './google.ts';

export interface TaskCreate {
  container_id: string;
  bundle: string;
  rootfs: containerd_types_Mount[];
  io: TaskIO | undefined;
  checkpoint: string;
  pid: number;
}
export const TaskCreate: MessageType<TaskCreate> = /* @__PURE__ */ message<TaskCreate>('containerd.events.TaskCreate', () => [
  [1, 'container_id', 'string'],
  [2, 'bundle', 'string'],
  [3, 'rootfs', containerd_types_Mount, 'repeated'],
  [4, 'io', TaskIO],
  [5, 'checkpoint', 'string'],
  [6, 'pid', 'uint32'],
]);

export interface TaskStart {
  container_id: string;
  pid: number;
}
export const TaskStart: MessageType<TaskStart> = /* @__PURE__ */ message<TaskStart>('containerd.events.TaskStart', () => [
  [1, 'container_id', 'string'],
  [2, 'pid', 'uint32'],
]);

export interface TaskDelete {
  container_id: string;
  pid: number;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
  id: string;
}
export const TaskDelete: MessageType<TaskDelete> = /* @__PURE__ */ message<TaskDelete>('containerd.events.TaskDelete', () => [
  [1, 'container_id', 'string'],
  [2, 'pid', 'uint32'],
  [3, 'exit_status', 'uint32'],
  [4, 'exited_at', google_Timestamp],
  [5, 'id', 'string'],
]);

export interface TaskIO {
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
}
export const TaskIO: MessageType<TaskIO> = /* @__PURE__ */ message<TaskIO>('containerd.events.TaskIO', () => [
  [1, 'stdin', 'string'],
  [2, 'stdout', 'string'],
  [3, 'stderr', 'string'],
  [4, 'terminal', 'bool'],
]);

export interface TaskExit {
  container_id: string;
  id: string;
  pid: number;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const TaskExit: MessageType<TaskExit> = /* @__PURE__ */ message<TaskExit>('containerd.events.TaskExit', () => [
  [1, 'container_id', 'string'],
  [2, 'id', 'string'],
  [3, 'pid', 'uint32'],
  [4, 'exit_status', 'uint32'],
  [5, 'exited_at', google_Timestamp],
]);

export interface TaskOOM {
  container_id: string;
}
export const TaskOOM: MessageType<TaskOOM> = /* @__PURE__ */ message<TaskOOM>('containerd.events.TaskOOM', () => [
  [1, 'container_id', 'string'],
]);

export interface TaskExecAdded {
  container_id: string;
  exec_id: string;
}
export const TaskExecAdded: MessageType<TaskExecAdded> = /* @__PURE__ */ message<TaskExecAdded>('containerd.events.TaskExecAdded', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface TaskExecStarted {
  container_id: string;
  exec_id: string;
  pid: number;
}
export const TaskExecStarted: MessageType<TaskExecStarted> = /* @__PURE__ */ message<TaskExecStarted>('containerd.events.TaskExecStarted', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'pid', 'uint32'],
]);

export interface TaskPaused {
  container_id: string;
}
export const TaskPaused: MessageType<TaskPaused> = /* @__PURE__ */ message<TaskPaused>('containerd.events.TaskPaused', () => [
  [1, 'container_id', 'string'],
]);

export interface TaskResumed {
  container_id: string;
}
export const TaskResumed: MessageType<TaskResumed> = /* @__PURE__ */ message<TaskResumed>('containerd.events.TaskResumed', () => [
  [1, 'container_id', 'string'],
]);

export interface TaskCheckpointed {
  container_id: string;
  checkpoint: string;
}
export const TaskCheckpointed: MessageType<TaskCheckpointed> = /* @__PURE__ */ message<TaskCheckpointed>('containerd.events.TaskCheckpointed', () => [
  [1, 'container_id', 'string'],
  [2, 'checkpoint', 'string'],
]);

export interface SandboxCreate {
  sandbox_id: string;
}
export const SandboxCreate: MessageType<SandboxCreate> = /* @__PURE__ */ message<SandboxCreate>('containerd.events.SandboxCreate', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface SandboxStart {
  sandbox_id: string;
}
export const SandboxStart: MessageType<SandboxStart> = /* @__PURE__ */ message<SandboxStart>('containerd.events.SandboxStart', () => [
  [1, 'sandbox_id', 'string'],
]);

export interface SandboxExit {
  sandbox_id: string;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const SandboxExit: MessageType<SandboxExit> = /* @__PURE__ */ message<SandboxExit>('containerd.events.SandboxExit', () => [
  [1, 'sandbox_id', 'string'],
  [2, 'exit_status', 'uint32'],
  [3, 'exited_at', google_Timestamp],
]);
