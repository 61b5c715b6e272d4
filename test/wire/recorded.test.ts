/** What real containerds and a real dockerd were recorded to ask of their shims, asked of ours, in the same order. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, type Code, KataError } from '../../host/error.ts';
import { encode } from '../../host/proto/codec.ts';
import { Status } from '../../host/proto/messages/containerd_task.ts';
import { Options } from '../../host/proto/messages/runtimeoptions.ts';
import {
  type SandboxService,
  SandboxServiceName,
  type SandboxStatusResponse,
} from '../../host/proto/messages/sandbox.ts';
import type { StateResponse, TaskService, WaitResponse } from '../../host/proto/messages/task_v2.ts';
import { type Fifo, Harness } from '../unit/shim/harness.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/wire');
/** Looks, 2 ms apart, until a call counts as lost. */
const PATIENCE = 1000;
/** ms until a wait for an end counts as lost. */
const WAIT_MS = 5000;
const STREAMS = ['stdin', 'stdout', 'stderr'] as const;

interface Call {
  readonly call: string;
  readonly service?: string;
  readonly method: keyof typeof TaskService | keyof typeof SandboxService;
  readonly request: Record<string, unknown> & { readonly id: string; readonly exec_id?: string };
}
interface Answer {
  readonly answers: string;
  readonly code?: number;
  readonly status?: keyof typeof Status;
  readonly exit_status?: number;
  /** Of a sandbox. */
  readonly state?: string;
}
type Step = Call | Answer;

/** Replays one shim's life. */
class Replay {
  private readonly pending = new Map<string, { readonly step: Call; readonly result: Promise<unknown> }>();
  private readonly fifos: Fifo[] = [];

  constructor(private readonly shim: Harness) {}

  async run(steps: readonly Step[]): Promise<void> {
    this.shim.guest.obeysTerm = false;
    const answers = new Map(steps.flatMap((step) => ('call' in step ? [] : [[step.answers, step]])));
    for (const step of steps) {
      if (!('call' in step)) {
        await this.compare(step);
        continue;
      }
      await this.settle(step, answers.get(step.call)?.status, answers.get(step.call)?.exit_status);
      this.ask(step);
    }
  }

  /** Brings the process to the state that was recorded, before it is asked for: both sides' calls overlap at will. */
  private async settle({ method, request }: Call, status: string | undefined, exit = 0): Promise<void> {
    const { id, exec_id = '' } = request;
    const start = this.startOf(id, exec_id);
    if (method !== 'State' || !start) return;
    if (status === 'RUNNING') await start.result;
    if (status !== 'STOPPED') return;
    await this.end(request, exit);
    await this.shim.call('Wait', { id, exec_id }, { timeoutMs: WAIT_MS });
  }

  private startOf(id: string, execId: string): { readonly result: Promise<unknown> } | undefined {
    return [...this.pending.values()].find(
      ({ step: { method, request } }) => method === 'Start' && request.id === id && (request.exec_id ?? '') === execId,
    );
  }

  private ask(step: Call): void {
    const request = this.request(step) as never;
    const sandbox = step.service === SandboxServiceName;
    const result: Promise<unknown> = sandbox
      ? this.shim.pod(step.method as keyof typeof SandboxService, request)
      : this.shim.call(step.method as keyof typeof TaskService, request);
    this.pending.set(step.call, { step, result: result.catch((thrown: unknown) => thrown) });
  }

  private async compare(answer: Answer): Promise<void> {
    const found = this.pending.get(answer.answers);
    if (!found) return;
    const { step, result } = found;
    const { id, exec_id } = step.request;
    if (step.method === 'Wait') await this.end(step.request, answer.exit_status ?? 0);
    const got = await result;
    const where = `${step.method} of ${id} ${exec_id ?? ''} (${answer.answers})`;
    const code = got instanceof KataError ? CODES[got.code as Code] : 0;
    // A second SIGKILL may find the process still there, or not any more.
    if (step.method === 'Kill' && code === CODES.not_found) return;
    assert.is(code, answer.code ?? 0, `${where}: ${got instanceof Error ? got.message : ''}`);
    // A State that overlapped its Start may have seen it, or not.
    if (answer.status && !(step.request.exec_id && (got as StateResponse).status === Status.CREATED))
      assert.is((got as StateResponse).status, Status[answer.status], where);
    if (answer.state) assert.is((got as SandboxStatusResponse).state, answer.state, where);
    if (answer.exit_status !== undefined && step.method !== 'State')
      assert.is((got as WaitResponse).exit_status, answer.exit_status, where);
  }

  /** The recorded process ended at this point; so does ours, unless a signal ended it already. */
  private async end({ id, exec_id }: Call['request'], status: number): Promise<void> {
    const { processes } = this.shim.guest;
    const started = [...this.pending.values()].filter(
      ({ step }) => step.method === 'Start' && step.request.id === id && step.request.exec_id,
    );
    const index = started.findIndex(({ step }) => step.request.exec_id === exec_id);
    for (let tries = 0; tries < PATIENCE; tries++) {
      // The guest has other ids for execs, in the order in which they were started.
      const execs = [...processes.keys()].filter((key) => key.startsWith(`${id}/`) && key !== `${id}/${id}`);
      const process = processes.get(exec_id ? (execs[index] ?? '') : `${id}/${id}`);
      if (process) return process.end(status);
      await sleep(2);
    }
    throw new Error(`the guest never got ${id} ${exec_id ?? ''}`);
  }

  private request({ method, request }: Call): Record<string, unknown> {
    const out: Record<string, unknown> = { ...request };
    if (method === 'CreateSandbox') out.bundle_path = this.shim.directory;
    if (method === 'Create') out.bundle = this.bundle(request.id, String(request.bundle));
    if (method === 'Create' || method === 'Exec') {
      for (const stream of STREAMS) if (request[stream]) out[stream] = this.fifo(request.id, request.exec_id, stream);
    }
    for (const field of ['spec', 'resources', 'options']) if (request[field]) out[field] = any(request[field] as Any);
    return out;
  }

  private bundle(id: string, recorded: string): string {
    const cri = recorded.includes('k8s.io');
    const name = !cri ? 'ctr' : id === 'POD_ID' ? 'sandbox' : 'container';
    const path = join(this.shim.directory, 'bundles', id);
    mkdirSync(join(path, 'rootfs'), { recursive: true });
    writeFileSync(join(path, 'config.json'), readFileSync(join(FIXTURES, `config-${name}.json`)));
    return path;
  }

  private fifo(id: string, execId: string | undefined, stream: string): string {
    const fifo = this.shim.fifo(`${id}-${execId ?? ''}-${stream}`);
    this.fifos.push(fifo);
    return fifo.path;
  }
}

interface Any {
  readonly type_url: string;
  readonly value: unknown;
}

/** Values were recorded decoded. */
function any({ type_url, value }: Any): { type_url: string; value: Uint8Array } {
  if (type_url === 'runtimeoptions.v1.Options') return { type_url, value: encode(Options, value as object) };
  // The CRI's own message was recorded as it is.
  if (type_url === 'runtime.v1.PodSandboxConfig') return { type_url, value: Buffer.from(String(value), 'base64') };
  return {
    type_url,
    value: type_url.startsWith('types.containerd.io/') ? Buffer.from(JSON.stringify(value)) : new Uint8Array(0),
  };
}

for (const name of ['containerd16', 'containerd17', 'containerd21']
  .flatMap((v) => [`${v}-ctr`, `${v}-cri`])
  .concat('containerd16-docker26', 'containerd17-sandbox', 'containerd21-sandbox')) {
  const test = suite(`recorded ${name}`);
  const { sessions } = JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8')) as { sessions: Step[][] };
  for (const [index, steps] of sessions.entries()) {
    const calls = steps.filter((step): step is Call => 'call' in step);
    const first = calls.find(({ method }) => method === 'Create' || method === 'CreateSandbox')?.request;
    const shimId = first?.id ?? (first?.sandbox_id as string | undefined);
    test(`shim ${index + 1}: ${shimId}, ${calls.length} calls`, async () => {
      const shim = await Harness.start(shimId);
      // The recorded pods size their own machines.
      writeFileSync(
        join(shim.directory, 'configuration.toml'),
        '[hypervisor.qemu]\nenable_annotations = ["default_vcpus", "default_memory"]\n',
      );
      try {
        await new Replay(shim).run(steps);
        assert.is(
          shim.exited > 0,
          calls.some(({ method }) => method === 'Shutdown' || method === 'ShutdownSandbox'),
        );
        assertOrder(shim.events);
      } finally {
        await shim.close();
      }
    });
  }
  test.run();
}

/** Per container: create, start, exits of execs, its own exit, delete; per exec: added, started, exit. */
function assertOrder(events: readonly { readonly name: string; readonly event: Record<string, unknown> }[]): void {
  const rank = ['TaskCreate', 'TaskStart', 'TaskExit', 'TaskDelete'];
  const execRank = ['TaskExecAdded', 'TaskExecStarted', 'TaskExit'];
  const last = new Map<string, number>();
  for (const { name, event } of events) {
    const container = String(event.container_id);
    const exec = String(event.exec_id ?? (event.id === container ? '' : (event.id ?? '')));
    const order = exec ? execRank.indexOf(name) : rank.indexOf(name);
    if (order < 0) continue;
    const key = `${container}/${exec}`;
    assert.ok(order > (last.get(key) ?? -1), `${name} of ${key} comes too late`);
    last.set(key, order);
    if (exec && name === 'TaskExit')
      assert.ok((last.get(`${container}/`) ?? 0) < 2, `exec ${exec} ends after its container`);
  }
}
