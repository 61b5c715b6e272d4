/** The Task service: containerd's calls, answered from memory wherever the guest need not be asked. */
import { KataError } from '../error.ts';
import { Durations } from '../metrics/durations.ts';
import { rewriteProcess, rewriteResources } from '../oci/rewrite.ts';
import { translateProcess, translateResources } from '../oci/translate.ts';
import { encode } from '../proto/codec.ts';
import { Status } from '../proto/messages/containerd_task.ts';
import type * as task from '../proto/messages/task_v2.ts';
import type { TaskService } from '../proto/messages/task_v2.ts';
import { metricsOf } from '../resources/metrics.ts';
import type { Container } from '../sandbox/container.ts';
import { addExec, deleteExec } from '../sandbox/exec.ts';
import { checkIdentifier } from '../sandbox/identity.ts';
import type { GuestProcess, ProcessState, StreamPaths } from '../sandbox/process.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { Observer } from '../sandbox/sandbox-options.ts';
import type { CallContext, Handler, Handlers } from '../ttrpc/types.ts';
import { Creation, unlessAborted } from './creation.ts';
import type { EventSink } from './events.ts';
import { payloadOf } from './payload.ts';
import { timestamp } from './time.ts';

/** Types of the JSON documents containerd sends. */
const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
const RESOURCES_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';

const STATUS: Readonly<Record<ProcessState, number>> = {
  created: Status.CREATED,
  running: Status.RUNNING,
  paused: Status.PAUSED,
  stopped: Status.STOPPED,
};

export interface TaskOptions {
  /** Creates the container, and its sandbox if it is the first. */
  readonly create: (request: task.CreateTaskRequest) => Promise<{ sandbox: Sandbox; container: Container }>;
  /** Told that nobody waits any more for a container being created. */
  readonly abandon: (id: string) => void;
  /** A Create has failed and been undone, or a container was deleted: there may be nothing left. */
  readonly deserted: () => void;
  /** Whether the shim serves a pod of the Sandbox API, which ends by that API only. */
  readonly heldBySandboxApi: () => boolean;
  /** The sandbox, once there is one. */
  readonly sandbox: () => Sandbox | undefined;
  readonly events: EventSink;
  /** Whether the host's cgroups are of version 2. */
  readonly cgroupV2: () => boolean;
  /** Ends the sandbox, and the shim once the answer is out. */
  readonly shutdown: () => Promise<void>;
}

/** Handlers of containerd.task.v2.Task; those of v3 are the same, field by field. */
export class Tasks implements Observer {
  /** Being created, by id. */
  private readonly pending = new Map<string, Creation>();

  constructor(private readonly options: TaskOptions) {}

  /** How long calls took, by Kata's names for them. */
  readonly durations = new Durations();

  private readonly calls: Handlers<typeof TaskService> = {
    Create: (request, call) => this.create(request, call),
    Start: (request) => this.start(request),
    State: (request) => this.state(request),
    Delete: (request) => this.delete(request),
    Pids: (request) => this.pids(request),
    Pause: (request) => this.pause(request),
    Resume: (request) => this.resume(request),
    Kill: (request) => this.kill(request),
    Exec: (request) => this.exec(request),
    ResizePty: (request) => this.resizePty(request),
    CloseIO: (request) => this.closeIo(request),
    Update: (request) => this.update(request),
    Wait: (request, call) => this.wait(request, call),
    Stats: (request) => this.stats(request),
    Connect: (request) => this.connect(request),
    Shutdown: (request) => this.shutdown(request),
    Checkpoint: () => {
      throw new KataError('unimplemented', 'checkpoints are not supported for containers in virtual machines');
    },
  };

  readonly handlers: Handlers<typeof TaskService> = timed(this.calls, this.durations);

  exited(container: Container, execId: string, process: GuestProcess): void {
    // One whose Create was never answered is not known to anybody.
    if (this.pending.get(container.id)?.abandoned) return;
    this.options.events.publish('TaskExit', {
      container_id: container.id,
      id: execId || container.id,
      pid: this.pid(),
      exit_status: process.exit?.status ?? 0,
      exited_at: timestamp(process.exit?.at),
    });
  }

  oom(containerId: string): void {
    this.options.events.publish('TaskOOM', { container_id: containerId });
  }

  private async create(request: task.CreateTaskRequest, call: CallContext): Promise<task.CreateTaskResponse> {
    checkIdentifier('container id', request.id);
    if (request.checkpoint) {
      throw new KataError(
        'unimplemented',
        'restoring a checkpoint is not supported for containers in virtual machines',
      );
    }
    if (this.pending.has(request.id) || this.options.sandbox()?.containers.has(request.id)) {
      throw new KataError(
        'already_exists',
        `container ${request.id} exists already; delete it first, or choose another id`,
      );
    }
    const creation = new Creation(() => this.options.abandon(request.id));
    this.pending.set(request.id, creation);
    const abandon = (): void => creation.abandon();
    call.signal.addEventListener('abort', abandon, { once: true });
    if (call.signal.aborted) abandon();
    try {
      const { sandbox, container } = await this.options.create(request);
      if (creation.abandoned) {
        await sandbox.delete(container);
        throw new KataError('cancelled', `container ${request.id} was given up while it was being created`);
      }
      this.options.events.publish('TaskCreate', {
        container_id: request.id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal },
        checkpoint: '',
        pid: sandbox.pid,
      });
      return { pid: sandbox.pid };
    } finally {
      call.signal.removeEventListener('abort', abandon);
      this.pending.delete(request.id);
      creation.settle();
      this.options.deserted();
    }
  }

  private async start({ id, exec_id }: task.StartRequest): Promise<task.StartResponse> {
    const { sandbox, container } = this.find(id);
    const { pid } = sandbox;
    const { events } = this.options;
    if (exec_id === '') {
      await sandbox.start(container, () => events.publish('TaskStart', { container_id: id, pid }));
      return { pid };
    }
    container.process(exec_id);
    const exec = container.execs.get(exec_id);
    if (!exec) throw new KataError('not_found', `exec ${exec_id} of container ${id} not found`);
    await sandbox.startExec(container, exec, () => {
      events.publish('TaskExecStarted', { container_id: id, exec_id, pid });
    });
    return { pid };
  }

  private state({ id, exec_id }: task.StateRequest): task.StateResponse {
    const { sandbox, container } = this.find(id);
    const process = container.process(exec_id);
    const state = exec_id === '' ? container.state : process.state;
    return {
      id: exec_id || id,
      bundle: container.bundle,
      pid: exec_id !== '' && state === 'created' ? 0 : sandbox.pid,
      status: STATUS[state],
      stdin: process.streams.stdin,
      stdout: process.streams.stdout,
      stderr: process.streams.stderr,
      terminal: process.streams.terminal,
      exit_status: process.exit?.status ?? 0,
      exited_at: timestamp(process.exit?.at),
      exec_id,
    };
  }

  private async delete({ id, exec_id }: task.DeleteRequest): Promise<task.DeleteResponse> {
    await this.giveUp(id);
    const { sandbox, container } = this.find(id);
    const { pid } = sandbox;
    if (exec_id !== '') return exitOf(pid, await deleteExec(container, exec_id));
    const joined = container.deletion !== undefined;
    await sandbox.delete(container);
    this.options.deserted();
    const response = exitOf(pid, container.init);
    // After the answer: containerd wants to see its call end first.
    if (!joined) setImmediate(() => this.options.events.publish('TaskDelete', { container_id: id, ...response }));
    return response;
  }

  private pids({ id }: task.PidsRequest): task.PidsResponse {
    return { processes: [{ pid: this.find(id).sandbox.pid, info: undefined }] };
  }

  private async pause({ id }: task.PauseRequest): Promise<Record<string, never>> {
    const { sandbox, container } = this.find(id);
    await sandbox.pause(container);
    this.options.events.publish('TaskPaused', { container_id: id });
    return {};
  }

  private async resume({ id }: task.ResumeRequest): Promise<Record<string, never>> {
    const { sandbox, container } = this.find(id);
    await sandbox.resume(container);
    this.options.events.publish('TaskResumed', { container_id: id });
    return {};
  }

  private async kill({ id, exec_id, signal }: task.KillRequest): Promise<Record<string, never>> {
    const { sandbox, container } = this.find(id);
    await sandbox.kill(container, exec_id, signal);
    return {};
  }

  private exec(request: task.ExecProcessRequest): Record<string, never> {
    const { container } = this.find(request.id);
    checkIdentifier('exec id', request.exec_id);
    const spec = rewriteProcess(translateProcess(payloadOf(request.spec, PROCESS_TYPE, 'the exec spec')));
    addExec(container, request.exec_id, spec, streamsOf(request));
    this.options.events.publish('TaskExecAdded', { container_id: request.id, exec_id: request.exec_id });
    return {};
  }

  private async resizePty({ id, exec_id, width, height }: task.ResizePtyRequest): Promise<Record<string, never>> {
    const { sandbox, container } = this.find(id);
    await sandbox.resize(container, exec_id, height, width);
    return {};
  }

  private closeIo({ id, exec_id, stdin }: task.CloseIORequest): Record<string, never> {
    const { container } = this.find(id);
    const process = container.process(exec_id);
    if (stdin) process.closeStdin();
    return {};
  }

  private async update({ id, resources }: task.UpdateTaskRequest): Promise<Record<string, never>> {
    const { sandbox, container } = this.find(id);
    const translated = translateResources(payloadOf(resources, RESOURCES_TYPE, 'the resources'));
    await sandbox.update(container, rewriteResources(translated), translated);
    return {};
  }

  private async wait({ id, exec_id }: task.WaitRequest, call: CallContext): Promise<task.WaitResponse> {
    const process = this.find(id).container.process(exec_id);
    const exit = process.exit ?? (await unlessAborted(process.exited, call.signal));
    return { exit_status: exit.status, exited_at: timestamp(exit.at) };
  }

  private async stats({ id }: task.StatsRequest): Promise<task.StatsResponse> {
    const { sandbox, container } = this.find(id);
    const { type, metrics } = metricsOf(await sandbox.stats(container), this.options.cgroupV2());
    return { stats: { type_url: type.name, value: encode(type, metrics) } };
  }

  private connect({ id }: task.ConnectRequest): task.ConnectResponse {
    const sandbox = this.options.sandbox();
    // containerd connects to a shim before it creates anything.
    const task_pid = sandbox?.containers.has(id) ? sandbox.pid : 0;
    return { shim_pid: process.pid, task_pid, version: '' };
  }

  private async shutdown({ now }: task.ShutdownRequest): Promise<Record<string, never>> {
    // One whose Create has not been answered is nobody's: it must not keep the shim alive.
    const ids = [...(this.options.sandbox()?.containers.keys() ?? [])];
    if (this.options.heldBySandboxApi()) return {};
    if (now || ids.every((id) => this.pending.has(id))) await this.options.shutdown();
    return {};
  }

  /** Who deletes what is still being created does not want it any more. Resolves when nothing of it is left. */
  private async giveUp(id: string): Promise<void> {
    const creation = this.pending.get(id);
    if (!creation) return;
    creation.abandon();
    await creation.settled;
  }

  private find(id: string): { sandbox: Sandbox; container: Container } {
    checkIdentifier('container id', id);
    const sandbox = this.options.sandbox();
    const container = sandbox?.containers.get(id);
    // One that is still being created is nobody's yet.
    if (!sandbox || !container || this.pending.has(id)) throw new KataError('not_found', `container ${id} not found`);
    return { sandbox, container };
  }

  private pid(): number {
    return this.options.sandbox()?.pid ?? 0;
  }
}

/** The streams of a Create or Exec request. */
export function streamsOf(request: StreamPaths): StreamPaths {
  const { stdin, stdout, stderr, terminal } = request;
  return { stdin, stdout, stderr, terminal };
}

/** The same handlers, timed. */
function timed<Table extends object>(handlers: Table, durations: Durations): Table {
  const entries = Object.entries(handlers as Record<string, Handler<unknown, unknown>>).map(([method, handler]) => {
    // `ResizePty` is `resize_pty` in Kata's metrics, `CloseIO` `close_io`.
    const action = method.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
    return [method, durations.timed(action, handler)] as const;
  });
  return Object.fromEntries(entries) as unknown as Table;
}

function exitOf(pid: number, process: GuestProcess): task.DeleteResponse {
  return { pid, exit_status: process.exit?.status ?? 0, exited_at: timestamp(process.exit?.at) };
}
