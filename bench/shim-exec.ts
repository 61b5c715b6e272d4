/** The calls that containerd makes to a shim for an ExecSync, made by us: what is measured is shim and runtime, not containerd. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Init, MessageType } from '../host/proto/codec.ts';
import { TaskService, TaskServiceName } from '../host/proto/messages/task_v2.ts';
import { TtrpcClient } from '../host/ttrpc/client.ts';
import type { Method } from '../host/ttrpc/types.ts';
import type { Containerd } from '../setup/containerd.ts';
import { FIFO_DIRECTORY } from '../setup/leftovers.ts';
import { Fifo } from '../test/unit/shim/harness.ts';

const SIGKILL = 9;
const PROCESS = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
/** What `ctr` and the CRI give an exec of root. */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
];

type Methods = typeof TaskService;
type Of<T> = T extends MessageType<infer M> ? M : never;

/** An exec that has not started. */
export interface Prepared {
  start(): Promise<void>;
  /** Waits for its end, which must be a good one, and removes it. */
  end(): Promise<void>;
  /** Ends and removes it. */
  kill(): Promise<void>;
}

export class ShimExec {
  #next = 0;

  private constructor(
    readonly client: TtrpcClient,
    readonly id: string,
    readonly directory: string,
  ) {}

  /** Connects to the shim of a running container. */
  static async connect(daemon: Containerd, id: string): Promise<ShimExec> {
    const state = join(daemon.directory, 'state', 'io.containerd.runtime.v2.task', 'default', id);
    const address = readFileSync(join(state, 'address'), 'utf8');
    const directory = join(daemon.directory, FIFO_DIRECTORY, `exec-${id}`);
    mkdirSync(directory, { recursive: true });
    return new ShimExec(await TtrpcClient.connect(address.replace('unix://', '')), id, directory);
  }

  /** Runs a program without output. @returns milliseconds from Exec to the answer of Delete */
  async run(args: readonly string[]): Promise<number> {
    const { id } = this;
    const exec_id = `s${this.#next++}`;
    // containerd has made them by then.
    const [stdout, stderr] = [this.#fifo(`${exec_id}-stdout`), this.#fifo(`${exec_id}-stderr`)];
    const spec = specOf(args);
    const since = performance.now();
    await this.#call('Exec', { id, exec_id, stdout: stdout.path, stderr: stderr.path, spec });
    await this.#call('Start', { id, exec_id });
    const { exit_status } = await this.#call('Wait', { id, exec_id });
    await this.#call('Delete', { id, exec_id });
    const ms = performance.now() - since;
    // To the end of file: both shims have let go of them.
    await Promise.all([stdout.text(), stderr.text()]);
    if (exit_status !== 0) throw new Error(`${args.join(' ')} ended with ${exit_status}`);
    return ms;
  }

  /** Makes an exec that writes into a FIFO of the caller's. */
  async prepare(args: readonly string[], stdout: string): Promise<Prepared> {
    const { id } = this;
    const exec_id = `s${this.#next++}`;
    const stderr = this.#fifo(`${exec_id}-stderr`);
    await this.#call('Exec', { id, exec_id, stdout, stderr: stderr.path, spec: specOf(args) });
    return {
      start: async () => {
        await this.#call('Start', { id, exec_id });
      },
      kill: async () => {
        await this.#call('Kill', { id, exec_id, signal: SIGKILL });
        await this.#call('Wait', { id, exec_id });
        await this.#call('Delete', { id, exec_id });
      },
      end: async () => {
        const { exit_status } = await this.#call('Wait', { id, exec_id });
        await this.#call('Delete', { id, exec_id });
        await stderr.text();
        if (exit_status !== 0) throw new Error(`${args.join(' ')} ended with ${exit_status}`);
      },
    };
  }

  /** @returns milliseconds of one State of the container */
  async state(): Promise<number> {
    const since = performance.now();
    await this.#call('State', { id: this.id });
    return performance.now() - since;
  }

  close(): void {
    this.client.close();
  }

  #fifo(name: string): Fifo {
    return new Fifo(join(this.directory, name));
  }

  #call<K extends keyof Methods>(method: K, request: Init<Of<Methods[K][0]>>): Promise<Of<Methods[K][1]>> {
    const types = TaskService[method] as unknown as Method<Of<Methods[K][0]>, Of<Methods[K][1]>>;
    return this.client.call(TaskServiceName, method, types, request);
  }
}

function specOf(args: readonly string[]): { type_url: string; value: Uint8Array } {
  const spec = { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, capabilities: sets() };
  return { type_url: PROCESS, value: new TextEncoder().encode(JSON.stringify(spec)) };
}

function sets(): Record<string, readonly string[]> {
  return { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES };
}
