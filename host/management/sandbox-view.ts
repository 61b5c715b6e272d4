/** A sandbox as `GET /sandbox` shows it. */
import type { Container } from '../sandbox/container.ts';
import type { Managed } from '../shim/boot.ts';

/** Under which annotations containerd's CRI and CRI-O name a container. */
const CONTAINER_NAMES = ['io.kubernetes.cri.container-name', 'io.kubernetes.container.name'];
/** Longest name that is shown, characters. */
const MAX_NAME = 256;
/** Most containers that are shown. */
const MAX_CONTAINERS = 1024;

export interface ContainerView {
  readonly id: string;
  /** As its pod calls it; empty: a container by itself, or the pod's own. */
  readonly name: string;
  readonly type: string;
  readonly state: string;
  /** What containerd is told: QEMU's. */
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Processes that containerd started in it and that have not ended: its init and its execs. */
  readonly processes: number;
}

export interface SandboxView {
  readonly id: string;
  readonly namespace: string;
  readonly pod?: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly state: string;
  readonly version: string;
  readonly lib: string;
  /** Path of configuration.toml; empty: there was none. */
  readonly configuration: string;
  readonly bundle: string;
  readonly hypervisor: string;
  readonly accelerator: string;
  /** Why not KVM; empty under KVM. */
  readonly acceleratorReason: string;
  readonly transport: string;
  readonly pids: Readonly<Record<string, number>>;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Milliseconds since the shim started, by event. */
  readonly timeline: Readonly<Record<string, number>>;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly containers: readonly ContainerView[];
}

export function describeSandbox({ sandbox, description }: Managed): SandboxView {
  const { machine, state: life, containers, pid, size } = sandbox();
  const { state, hypervisor } = machine;
  const pids: Record<string, number> = { shim: state.shim.pid };
  for (const child of state.children) pids[child.name] = child.pid;
  return {
    id: state.id,
    namespace: state.namespace,
    ...(description.pod ? { pod: description.pod } : {}),
    state: life,
    version: description.program?.version ?? '',
    lib: description.program?.lib ?? '',
    configuration: description.configuration ?? '',
    bundle: state.bundle,
    hypervisor: hypervisor.kind,
    accelerator: state.accelerator ?? '',
    acceleratorReason: hypervisor.acceleratorReason,
    transport: state.transport ?? '',
    pids,
    createdAt: description.createdAt ?? 0,
    timeline: state.timeline,
    ...size,
    containers: [...containers.values()].slice(0, MAX_CONTAINERS).map((container) => viewOf(container, pid)),
  };
}

function viewOf(container: Container, pid: number): ContainerView {
  const named = CONTAINER_NAMES.find((each) => Object.hasOwn(container.annotations, each));
  return {
    id: container.id,
    name: (named === undefined ? '' : (container.annotations[named] ?? '')).slice(0, MAX_NAME),
    type: container.type,
    state: container.state,
    pid,
    createdAt: container.createdAt.getTime(),
    processes: container.alive().length,
  };
}
