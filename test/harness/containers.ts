/** Containers through `ctr`, as a person would run them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandOptions, describe, type Finished } from '../../setup/command.ts';
import type { Containerd } from '../../setup/containerd.ts';
import { IMAGE_NAME } from '../../setup/image.ts';

/** Milliseconds for a virtual machine to boot without KVM on a busy machine, and for anything to come true. */
export const PATIENCE_MS = 60_000;
const INTERVAL_MS = 50;

export interface RunOptions extends CommandOptions {
  readonly id?: string;
  /** containerd namespace. */
  readonly namespace?: string;
  /** More of `ctr run`'s flags. */
  readonly flags?: readonly string[];
  /** Instead of the busybox image. */
  readonly image?: string;
}

export interface Background {
  readonly id: string;
  readonly finished: Promise<Finished>;
}

export class Containers {
  #next = 0;
  readonly #prefix = `t${process.pid.toString(36)}-`;

  constructor(
    readonly daemon: Containerd,
    readonly runtime: string,
  ) {}

  /** An id no other container of this machine has. */
  newId(): string {
    return `${this.#prefix}${this.#next++}`;
  }

  /** `ctr run --rm … COMMAND` to its end. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.daemon.ctr(this.runArgs(['--rm', ...(options.flags ?? [])], command, options), {
      timeoutMs: PATIENCE_MS,
      ...options,
    });
  }

  /** As `run`, but returns once the task runs. */
  async background(command: readonly string[], options: RunOptions = {}): Promise<Background> {
    const id = options.id ?? this.newId();
    const finished = this.run(command, { timeoutMs: 2 * PATIENCE_MS, ...options, id });
    let over: Finished | undefined;
    finished.then(
      (done) => {
        over = done;
      },
      () => {},
    );
    await until(`task ${id} runs`, async () => {
      if (over !== undefined) throw new Error(`ended early: ${describe(over)}`);
      return (await this.status(id, options.namespace)) === 'RUNNING';
    });
    return { id, finished };
  }

  /** `ctr run --detach`; without stdio. @returns the id */
  async detached(command: readonly string[], options: RunOptions = {}): Promise<string> {
    const id = options.id ?? this.newId();
    const flags = ['--detach', '--null-io', ...(options.flags ?? [])];
    await this.must(this.runArgs(flags, command, { ...options, id }), options);
    return id;
  }

  /** `ctr task exec` to its end. */
  exec(id: string, command: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const flags = ['--exec-id', options.id ?? this.newId(), ...this.daemon.fifoFlags, ...(options.flags ?? [])];
    return this.daemon.ctr([...namespaceFlags(options.namespace), 'task', 'exec', ...flags, id, ...command], {
      timeoutMs: PATIENCE_MS,
      ...options,
    });
  }

  /** As `exec`, but returns once the process has said `ready`, which it must; fails if it ends before. */
  async backgroundExec(id: string, script: string, options: RunOptions = {}): Promise<Background> {
    const execId = options.id ?? this.newId();
    let ready = false;
    const onStdout = (chunk: Buffer) => {
      ready ||= chunk.toString().includes('ready');
    };
    const finished = this.exec(id, ['sh', '-c', `echo ready; ${script}`], { ...options, id: execId, onStdout });
    await Promise.race([finished, until(`exec ${execId} is ready`, () => ready)]);
    if (!ready) throw new Error(`ended early: ${describe(await finished)}`);
    return { id: execId, finished };
  }

  /** `ctr task ARGS`, which must succeed. @returns stdout */
  task(args: readonly string[], namespace?: string): Promise<string> {
    return this.must([...namespaceFlags(namespace), 'task', ...args]);
  }

  /** The status `ctr task ls` shows, or undefined when there is no such task. */
  async status(id: string, namespace?: string): Promise<string | undefined> {
    return (await this.listed(id, namespace))?.[2];
  }

  /** The pid `ctr task ls` shows. */
  async pid(id: string, namespace?: string): Promise<number> {
    return Number((await this.listed(id, namespace))?.[1]);
  }

  /** Kills and deletes task and container. */
  async remove(id: string, namespace?: string): Promise<void> {
    const flags = namespaceFlags(namespace);
    await this.daemon.ctr([...flags, 'task', 'rm', '--force', id]);
    await this.must([...flags, 'containers', 'rm', id]);
  }

  /** Everything in every namespace, so that what is found afterwards was really left. */
  async removeAll(): Promise<void> {
    for (const namespace of lines(await this.must(['namespaces', 'ls', '--quiet']))) {
      const ids = lines(await this.must(['--namespace', namespace, 'containers', 'ls', '--quiet']));
      await Promise.all(ids.map((id) => this.remove(id, namespace)));
    }
  }

  /** `ctr run`'s arguments. */
  runArgs(flags: readonly string[], command: readonly string[], options: RunOptions = {}): string[] {
    const head = [
      ...namespaceFlags(options.namespace),
      'run',
      '--runtime',
      this.runtime,
      ...this.daemon.fifoFlags,
      ...flags,
    ];
    return [...head, options.image ?? IMAGE_NAME, options.id ?? this.newId(), ...command];
  }

  /** `ctr ARGS`, which must succeed. @returns stdout */
  async must(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const done = await this.daemon.ctr(args, { timeoutMs: PATIENCE_MS, ...options });
    if (done.code !== 0) throw new Error(`ctr ${args.join(' ')}: ${describe(done)}`);
    return done.stdout;
  }

  async #tasks(namespace?: string): Promise<string[][]> {
    return lines(await this.must([...namespaceFlags(namespace), 'task', 'ls'])).map((line) => line.split(/\s+/));
  }

  async listed(id: string, namespace?: string): Promise<string[] | undefined> {
    return (await this.#tasks(namespace)).find(([found]) => found === id);
  }
}

/** Waits until `condition` holds. @throws Error that names `what` */
export async function until(
  what: string | (() => string),
  condition: () => Promise<boolean> | boolean,
  withinMs = PATIENCE_MS,
): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await condition()); await sleep(INTERVAL_MS)) {
    if (Date.now() > deadline)
      throw new Error(`not so within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
  }
}

function namespaceFlags(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ['--namespace', namespace];
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
