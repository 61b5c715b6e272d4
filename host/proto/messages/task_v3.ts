// Generated from proto/task_v3.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';
import { Empty as google_Empty } from './google.ts';
import { Mount as containerd_types_Mount } from './containerd_types.ts';
import { ProcessInfo as containerd_task_ProcessInfo } from './containerd_task.ts';
import { Timestamp as google_Timestamp } from './google.ts';

export interface CreateTaskRequest {
  id: string;
  bundle: string;
  rootfs: containerd_types_Mount[];
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  checkpoint: string;
  parent_checkpoint: string;
  options: google_Any | undefined;
}
export const CreateTaskRequest: MessageType<CreateTaskRequest> = /* @__PURE__ */ message<CreateTaskRequest>('containerd.task.v3.CreateTaskRequest', () => [
  [1, 'id', 'string'],
  [2, 'bundle', 'string'],
  [3, 'rootfs', containerd_types_Mount, 'repeated'],
  [4, 'terminal', 'bool'],
  [5, 'stdin', 'string'],
  [6, 'stdout', 'string'],
  [7, 'stderr', 'string'],
  [8, 'checkpoint', 'string'],
  [9, 'parent_checkpoint', 'string'],
  [10, 'options', google_Any],
]);

export interface CreateTaskResponse {
  pid: number;
}
export const CreateTaskResponse: MessageType<CreateTaskResponse> = /* @__PURE__ */ message<CreateTaskResponse>('containerd.task.v3.CreateTaskResponse', () => [
  [1, 'pid', 'uint32'],
]);

export interface DeleteRequest {
  id: string;
  exec_id: string;
}
export const DeleteRequest: MessageType<DeleteRequest> = /* @__PURE__ */ message<DeleteRequest>('containerd.task.v3.DeleteRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface DeleteResponse {
  pid: number;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const DeleteResponse: MessageType<DeleteResponse> = /* @__PURE__ */ message<DeleteResponse>('containerd.task.v3.DeleteResponse', () => [
  [1, 'pid', 'uint32'],
  [2, 'exit_status', 'uint32'],
  [3, 'exited_at', google_Timestamp],
]);

export interface ExecProcessRequest {
  id: string;
  exec_id: string;
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  spec: google_Any | undefined;
}
export const ExecProcessRequest: MessageType<ExecProcessRequest> = /* @__PURE__ */ message<ExecProcessRequest>('containerd.task.v3.ExecProcessRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'terminal', 'bool'],
  [4, 'stdin', 'string'],
  [5, 'stdout', 'string'],
  [6, 'stderr', 'string'],
  [7, 'spec', google_Any],
]);

export interface ResizePtyRequest {
  id: string;
  exec_id: string;
  width: number;
  height: number;
}
export const ResizePtyRequest: MessageType<ResizePtyRequest> = /* @__PURE__ */ message<ResizePtyRequest>('containerd.task.v3.ResizePtyRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'width', 'uint32'],
  [4, 'height', 'uint32'],
]);

export interface StateRequest {
  id: string;
  exec_id: string;
}
export const StateRequest: MessageType<StateRequest> = /* @__PURE__ */ message<StateRequest>('containerd.task.v3.StateRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface StateResponse {
  id: string;
  bundle: string;
  pid: number;
  status: number;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  exit_status: number;
  exited_at: google_Timestamp | undefined;
  exec_id: string;
}
export const StateResponse: MessageType<StateResponse> = /* @__PURE__ */ message<StateResponse>('containerd.task.v3.StateResponse', () => [
  [1, 'id', 'string'],
  [2, 'bundle', 'string'],
  [3, 'pid', 'uint32'],
  [4, 'status', 'int32'],
  [5, 'stdin', 'string'],
  [6, 'stdout', 'string'],
  [7, 'stderr', 'string'],
  [8, 'terminal', 'bool'],
  [9, 'exit_status', 'uint32'],
  [10, 'exited_at', google_Timestamp],
  [11, 'exec_id', 'string'],
]);

export interface KillRequest {
  id: string;
  exec_id: string;
  signal: number;
  all: boolean;
}
export const KillRequest: MessageType<KillRequest> = /* @__PURE__ */ message<KillRequest>('containerd.task.v3.KillRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'signal', 'uint32'],
  [4, 'all', 'bool'],
]);

export interface CloseIORequest {
  id: string;
  exec_id: string;
  stdin: boolean;
}
export const CloseIORequest: MessageType<CloseIORequest> = /* @__PURE__ */ message<CloseIORequest>('containerd.task.v3.CloseIORequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
  [3, 'stdin', 'bool'],
]);

export interface PidsRequest {
  id: string;
}
export const PidsRequest: MessageType<PidsRequest> = /* @__PURE__ */ message<PidsRequest>('containerd.task.v3.PidsRequest', () => [
  [1, 'id', 'string'],
]);

export interface PidsResponse {
  processes: containerd_task_ProcessInfo[];
}
export const PidsResponse: MessageType<PidsResponse> = /* @__PURE__ */ message<PidsResponse>('containerd.task.v3.PidsResponse', () => [
  [1, 'processes', containerd_task_ProcessInfo, 'repeated'],
]);

export interface CheckpointTaskRequest {
  id: string;
  path: string;
  options: google_Any | undefined;
}
export const CheckpointTaskRequest: MessageType<CheckpointTaskRequest> = /* @__PURE__ */ message<CheckpointTaskRequest>('containerd.task.v3.CheckpointTaskRequest', () => [
  [1, 'id', 'string'],
  [2, 'path', 'string'],
  [3, 'options', google_Any],
]);

export interface UpdateTaskRequest {
  id: string;
  resources: google_Any | undefined;
  annotations: Record<string, string>;
}
export const UpdateTaskRequest: MessageType<UpdateTaskRequest> = /* @__PURE__ */ message<UpdateTaskRequest>('containerd.task.v3.UpdateTaskRequest', () => [
  [1, 'id', 'string'],
  [2, 'resources', google_Any],
  [3, 'annotations', 'string', 'map', 'string'],
]);

export interface StartRequest {
  id: string;
  exec_id: string;
}
export const StartRequest: MessageType<StartRequest> = /* @__PURE__ */ message<StartRequest>('containerd.task.v3.StartRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface StartResponse {
  pid: number;
}
export const StartResponse: MessageType<StartResponse> = /* @__PURE__ */ message<StartResponse>('containerd.task.v3.StartResponse', () => [
  [1, 'pid', 'uint32'],
]);

export interface WaitRequest {
  id: string;
  exec_id: string;
}
export const WaitRequest: MessageType<WaitRequest> = /* @__PURE__ */ message<WaitRequest>('containerd.task.v3.WaitRequest', () => [
  [1, 'id', 'string'],
  [2, 'exec_id', 'string'],
]);

export interface WaitResponse {
  exit_status: number;
  exited_at: google_Timestamp | undefined;
}
export const WaitResponse: MessageType<WaitResponse> = /* @__PURE__ */ message<WaitResponse>('containerd.task.v3.WaitResponse', () => [
  [1, 'exit_status', 'uint32'],
  [2, 'exited_at', google_Timestamp],
]);

export interface StatsRequest {
  id: string;
}
export const StatsRequest: MessageType<StatsRequest> = /* @__PURE__ */ message<StatsRequest>('containerd.task.v3.StatsRequest', () => [
  [1, 'id', 'string'],
]);

export interface StatsResponse {
  stats: google_Any | undefined;
}
export const StatsResponse: MessageType<StatsResponse> = /* @__PURE__ */ message<StatsResponse>('containerd.task.v3.StatsResponse', () => [
  [1, 'stats', google_Any],
]);

export interface ConnectRequest {
  id: string;
}
export const ConnectRequest: MessageType<ConnectRequest> = /* @__PURE__ */ message<ConnectRequest>('containerd.task.v3.ConnectRequest', () => [
  [1, 'id', 'string'],
]);

export interface ConnectResponse {
  shim_pid: number;
  task_pid: number;
  version: string;
}
export const ConnectResponse: MessageType<ConnectResponse> = /* @__PURE__ */ message<ConnectResponse>('containerd.task.v3.ConnectResponse', () => [
  [1, 'shim_pid', 'uint32'],
  [2, 'task_pid', 'uint32'],
  [3, 'version', 'string'],
]);

export interface ShutdownRequest {
  id: string;
  now: boolean;
}
export const ShutdownRequest: MessageType<ShutdownRequest> = /* @__PURE__ */ message<ShutdownRequest>('containerd.task.v3.ShutdownRequest', () => [
  [1, 'id', 'string'],
  [2, 'now', 'bool'],
]);

export interface PauseRequest {
  id: string;
}
export const PauseRequest: MessageType<PauseRequest> = /* @__PURE__ */ message<PauseRequest>('containerd.task.v3.PauseRequest', () => [
  [1, 'id', 'string'],
]);

export interface ResumeRequest {
  id: string;
}
export const ResumeRequest: MessageType<ResumeRequest> = /* @__PURE__ */ message<ResumeRequest>('containerd.task.v3.ResumeRequest', () => [
  [1, 'id', 'string'],
]);

/** Methods of containerd.task.v3.Task: request and response. */
export const TaskService = {
  State: [StateRequest, StateResponse],
  Create: [CreateTaskRequest, CreateTaskResponse],
  Start: [StartRequest, StartResponse],
  Delete: [DeleteRequest, DeleteResponse],
  Pids: [PidsRequest, PidsResponse],
  Pause: [PauseRequest, google_Empty],
  Resume: [ResumeRequest, google_Empty],
  Checkpoint: [CheckpointTaskRequest, google_Empty],
  Kill: [KillRequest, google_Empty],
  Exec: [ExecProcessRequest, google_Empty],
  ResizePty: [ResizePtyRequest, google_Empty],
  CloseIO: [CloseIORequest, google_Empty],
  Update: [UpdateTaskRequest, google_Empty],
  Wait: [WaitRequest, WaitResponse],
  Stats: [StatsRequest, StatsResponse],
  Connect: [ConnectRequest, ConnectResponse],
  Shutdown: [ShutdownRequest, google_Empty],
} as const;
export const TaskServiceName = 'containerd.task.v3.Task';
