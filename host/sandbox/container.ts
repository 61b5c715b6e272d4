/** A container and its execs. */
import { KataError } from '../error.ts';
import type { ContainerType } from '../oci/rules.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { Hooks } from '../proto/messages/oci.ts';
import { GuestProcess, KILLED, type ProcessState, type StreamPaths } from './process.ts';

/** How long execs may take to end once their container's init has, ms: their PID namespace is gone by then. */
export const EXEC_END_MS = 5000;
/** Execs one container may have at a time. */
export const MAX_EXECS = 1024;

export interface ContainerOptions {
  readonly id: string;
  readonly namespace: string;
  /** Whether containerd is there. */
  readonly attended: () => boolean;
  readonly type: ContainerType;
  readonly bundle: string;
  readonly rootfs: readonly Mount[];
  readonly streams: StreamPaths;
  readonly annotations: Readonly<Record<string, string>>;
  /** Those of the host. */
  readonly hooks: Hooks | undefined;
  /** Runs when its init has ended and its output is written, before anybody is told. */
  readonly beforeExit?: (container: Container, status: number) => Promise<void>;
}

export interface Exec {
  readonly id: string;
  readonly process: GuestProcess;
  /** An encoded `grpc.Process`. */
  readonly spec: Uint8Array;
}

export class Container {
  readonly id: string;
  readonly type: ContainerType;
  readonly bundle: string;
  readonly rootfs: readonly Mount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly hooks: Hooks | undefined;
  readonly init: GuestProcess;
  readonly createdAt = new Date();
  readonly execs = new Map<string, Exec>();
  /** Whether the guest may have it: CreateContainer was sent. */
  inGuest = false;
  /** Whether the share may hold files of it. */
  hasFiles = false;
  /** Whether the guest mounts disks for it, which it has to write out in the end. */
  hasDisks = false;
  /** The host's file for its termination message, where that has to be fetched from the guest. */
  terminationFile: string | undefined;
  /** Whether the guest has frozen it. */
  paused = false;
  /** Whether it was sent a SIGKILL by us: its end needs no other explanation. */
  killed = false;
  /** Set while and after it is deleted; joined by later calls. */
  deletion: Promise<void> | undefined;
  private readonly namespace: string;
  private readonly attended: () => boolean;

  constructor(options: ContainerOptions) {
    this.id = options.id;
    this.namespace = options.namespace;
    this.type = options.type;
    this.bundle = options.bundle;
    this.rootfs = options.rootfs;
    this.annotations = options.annotations;
    this.hooks = options.hooks;
    const owner = { id: options.id, namespace: options.namespace, attended: options.attended };
    this.attended = options.attended;
    // Kata's agent knows a container's init by the container's own id.
    this.init = new GuestProcess({ container_id: options.id, exec_id: options.id }, options.streams, owner);
    this.init.beforeExit = async (status) => {
      await this.endExecs();
      await options.beforeExit?.(this, status);
    };
  }

  /** Whether the virtual machine lives and ends with this container. */
  get ownsSandbox(): boolean {
    return this.type !== 'pod_container';
  }

  /** State of the init process as containerd sees it. */
  get state(): ProcessState {
    return this.paused && this.init.state === 'running' ? 'paused' : this.init.state;
  }

  /**
   * Adds an exec; nothing runs yet.
   * @param guestId what the guest calls it: fresh, since containerd uses its ids again
   * @throws KataError `already_exists`, `failed_precondition`, `resource_exhausted`
   */
  addExec(id: string, guestId: string, spec: Uint8Array, streams: StreamPaths): Exec {
    if (this.execs.has(id)) {
      throw new KataError(
        'already_exists',
        `exec ${id} of container ${this.id} exists already; choose another exec id`,
      );
    }
    if (this.state !== 'running') {
      throw new KataError(
        'failed_precondition',
        `container ${this.id} is ${this.state}, not running; an exec needs a running container`,
      );
    }
    if (this.execs.size >= MAX_EXECS) {
      throw new KataError('resource_exhausted', `container ${this.id} has ${MAX_EXECS} execs; delete finished ones`);
    }
    const owner = { id: this.id, namespace: this.namespace, attended: this.attended };
    const exec: Exec = {
      id,
      spec,
      process: new GuestProcess({ container_id: this.id, exec_id: guestId }, streams, owner),
    };
    this.execs.set(id, exec);
    return exec;
  }

  /**
   * @param execId empty: the init
   * @throws KataError `not_found`
   */
  process(execId: string): GuestProcess {
    if (execId === '') return this.init;
    const exec = this.execs.get(execId);
    if (!exec) throw new KataError('not_found', `exec ${execId} of container ${this.id} not found`);
    return exec.process;
  }

  /** Every process that has not ended yet, execs first. */
  alive(): GuestProcess[] {
    const execs = [...this.execs.values()].map((exec) => exec.process);
    return [...execs, this.init].filter((process) => process.state !== 'stopped');
  }

  /** Ends the execs that have not ended by themselves. */
  private async endExecs(): Promise<void> {
    const ends: Promise<void>[] = [];
    for (const { process } of this.execs.values()) {
      if (process.state === 'running') ends.push(endWithin(process, EXEC_END_MS));
      // Never started, and now it never will be.
      else if (process.state === 'created') ends.push(process.end(KILLED));
    }
    await Promise.all(ends);
  }
}

async function endWithin(process: GuestProcess, ms: number): Promise<void> {
  const timer = setTimeout(() => void process.end(KILLED), ms);
  await process.exited;
  clearTimeout(timer);
}
