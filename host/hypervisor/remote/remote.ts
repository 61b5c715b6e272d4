/**
 * `[hypervisor.remote]`: a service on this host (a cloud-api-adaptor) has the machine made, wherever it likes, and names a unix
 * socket that leads to its agent. Nothing of this host can be plugged into such a machine.
 */
import { isAbsolute } from 'node:path';
import type { DeviceArguments } from '../../agent/transport.ts';
import { MAX_SOCKET_PATH_BYTES } from '../../agent/transport.ts';
import { KataError } from '../../error.ts';
import type { Log } from '../../sandbox/log.ts';
import type { Hypervisor, RemoteTraces, RemoteVm, VmConfig, VmExit } from '../hypervisor.ts';
import { machineAnnotations } from './annotations.ts';
import { createVm, startVm, stopRemote, versionOf } from './calls.ts';

export class Remote implements Hypervisor {
  readonly kind = 'remote';
  readonly accelerator = undefined;
  readonly acceleratorReason = '';
  readonly exited: Promise<VmExit>;
  /** Where the machine's agent is reached; empty until the service has said. */
  agentSocket = '';
  /** Set before the service is asked for a machine. */
  remote: RemoteTraces | undefined;
  #settleExited: (exit: VmExit) => void = () => {};
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  readonly #abort = new AbortController();

  constructor(
    private readonly config: VmConfig,
    private readonly vm: RemoteVm,
    private readonly log: Log,
  ) {
    this.exited = new Promise((resolve) => {
      this.#settleExited = resolve;
    });
  }

  /** The shim's own, as Kata says it: there is no other process of the sandbox here. */
  get pid(): number {
    return this.#starting ? process.pid : 0;
  }

  start(_devices: DeviceArguments, spawned: () => void = () => {}, beforeGuest?: () => Promise<void>): Promise<void> {
    if (this.#starting) return Promise.reject(new KataError('already_exists', 'this machine was started before'));
    this.#starting = this.#start(spawned, beforeGuest);
    return this.#starting;
  }

  async plugVirtioFs(): Promise<string> {
    throw cannot('share a directory of this host', 'copies of files are all it can have');
  }

  async plugBlock(_id: string, path: string): Promise<string> {
    throw cannot(`be given the block device ${path} of this host`, 'use a volume the machine can reach by itself');
  }

  async plugNic(): Promise<string> {
    throw cannot('be given a network interface of this host', 'its service joins it to the pod');
  }

  async resizeBlock(id: string): Promise<void> {
    throw cannot(`have the block device ${id} of this host grow`, 'use a volume the machine can reach by itself');
  }

  async unplug(): Promise<void> {}

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Its console is not ours to see. */
  consoleTail(): string {
    return '';
  }

  async #start(spawned: () => void, beforeGuest?: () => Promise<void>): Promise<void> {
    const { vm, config, log } = this;
    const { socket, timeoutMs } = vm;
    const { signal } = this.#abort;
    const version = await versionOf(socket, signal);
    const id = config.sandboxId;
    this.remote = { socket, id };
    // From here on there may be a machine, whatever becomes of this process.
    spawned();
    const request = {
      id,
      annotations: machineAnnotations(config, vm),
      networkNamespacePath: config.networkNamespace ?? '',
    };
    const { agentSocketPath } = await createVm(socket, request, { timeoutMs, signal });
    this.agentSocket = checkedSocket(agentSocketPath);
    log.info('remote machine created', { machine: id, agent: agentSocketPath, version: version || undefined });
    await beforeGuest?.();
    await startVm(socket, id, { timeoutMs, signal });
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new KataError('cancelled', 'the machine is not wanted any more'));
    await this.#starting?.catch(() => {});
    if (this.remote) await stopRemote(this.remote, this.log);
    this.#settleExited({ code: null, signal: null, stderr: '' });
  }
}

function checkedSocket(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (isAbsolute(path) && bytes <= MAX_SOCKET_PATH_BYTES && !path.includes('\0')) return path;
  throw new KataError(
    'failed_precondition',
    `the remote hypervisor names ${JSON.stringify(path.slice(0, 200))} as its agent's socket; it has to be an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes`,
  );
}

function cannot(what: string, instead: string): KataError {
  return new KataError(
    'failed_precondition',
    `a machine of hypervisor.remote cannot ${what}: it is elsewhere; ${instead}`,
  );
}
