/** What a sandbox is made for, whoever asks: the container that owns it (Task API), or the pod's configuration (Sandbox API). */
import { KataError, reasonOf } from '../error.ts';
import type { NamespaceEntry } from '../network/namespace.ts';
import type { SpecView } from '../oci/rewrite.ts';
import { decode } from '../proto/codec.ts';
import { NamespaceMode, PodSandboxConfig } from '../proto/messages/cri.ts';
import type { Any } from '../proto/messages/google.ts';
import type { Hooks, Mount } from '../proto/messages/oci.ts';
import { type ContainerSpec, MAX_HOSTNAME_LENGTH } from './spec.ts';

/** Type of the Sandbox API's options. */
const POD_CONFIG_TYPE = 'runtime.v1.PodSandboxConfig';
/** The pod's own, as the CRI spells its sum of limits for the sandbox's size. */
const SIZE_ANNOTATIONS = {
  cpu_period: 'io.kubernetes.cri.sandbox-cpu-period',
  cpu_quota: 'io.kubernetes.cri.sandbox-cpu-quota',
  cpu_shares: 'io.kubernetes.cri.sandbox-cpu-shares',
  memory_limit_in_bytes: 'io.kubernetes.cri.sandbox-memory',
} as const;
/** Where CRI's sandboxes stand when the pod names no cgroup of its own. */
const DEFAULT_CGROUP_PARENT = '/k8s.io';

export interface SandboxSpec {
  readonly hostname: string;
  /** Lines of resolv.conf. */
  readonly dns: readonly string[];
  /** Entries of the OCI specification; one of type `network` with an empty path: the sandbox's own. None: the host's. */
  readonly namespaces: readonly NamespaceEntry[];
  /** As the sizing rules read it. */
  readonly sizing: Pick<SpecView, 'containerType' | 'annotations' | 'resources'>;
  /** OCI cgroupsPath; empty: none given. */
  readonly cgroupsPath: string;
  readonly hooks: Hooks | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  /** Mounts of the owner's spec, for the size of /dev/shm; empty with the Sandbox API. */
  readonly mounts: readonly Mount[];
  /** Whether the pod's containers share one pid namespace from the start. */
  readonly sharedPids: boolean;
  /** The pod's configuration; undefined with the Task API. */
  readonly pod: PodSandboxConfig | undefined;
}

/** The sandbox of a pod's pause container, or of a container by itself. */
export function ownerSpec(spec: ContainerSpec): SandboxSpec {
  const { view } = spec;
  return {
    hostname: spec.hostname,
    dns: spec.dns,
    namespaces: view.namespaces.map(({ Type, Path }) => ({ type: Type, path: Path })),
    sizing: view,
    cgroupsPath: view.cgroupsPath,
    hooks: view.hooks,
    annotations: view.annotations,
    mounts: view.mounts,
    sharedPids: false,
    pod: undefined,
  };
}

/**
 * @param options of CreateSandbox
 * @param netns path of the pod's network namespace; empty: it has none
 * @param id of the sandbox
 * @throws KataError `invalid_argument` for options of another type
 */
export function podSpec(options: Any | undefined, netns: string, id: string): SandboxSpec {
  const pod = podConfigOf(options);
  const modes = pod.linux?.security_context?.namespace_options;
  const annotations: Record<string, string> = Object.create(null);
  const resources = pod.linux?.resources;
  for (const [field, annotation] of Object.entries(SIZE_ANNOTATIONS)) {
    const value = resources?.[field as keyof typeof SIZE_ANNOTATIONS];
    if (value) annotations[annotation] = String(value);
  }
  return {
    hostname: pod.hostname.slice(0, MAX_HOSTNAME_LENGTH),
    dns: resolvConf(pod),
    namespaces: modes?.network === NamespaceMode.NODE ? [] : [{ type: 'network', path: netns }],
    sizing: {
      containerType: 'pod_sandbox',
      annotations: { ...pod.annotations, ...annotations },
      resources: { memoryLimit: 0, cpuQuota: 0, cpuPeriod: 0, cpuShares: 0 },
    },
    cgroupsPath: cgroupOf(pod.linux?.cgroup_parent ?? '', id),
    hooks: undefined,
    annotations: pod.annotations,
    mounts: [],
    sharedPids: modes?.pid === NamespaceMode.POD && pod.linux?.security_context !== undefined,
    pod,
  };
}

/** The pod's resolv.conf, a line each; empty: the pod names nothing, and the node's is to be used. */
export function resolvConf({ dns_config }: PodSandboxConfig): string[] {
  if (!dns_config) return [];
  const lines: string[] = [];
  if (dns_config.searches.length > 0) lines.push(`search ${dns_config.searches.join(' ')}`);
  for (const server of dns_config.servers) lines.push(`nameserver ${server}`);
  if (dns_config.options.length > 0) lines.push(`options ${dns_config.options.join(' ')}`);
  return lines.filter((line) => !line.includes('\n'));
}

function podConfigOf(options: Any | undefined): PodSandboxConfig {
  const type = options?.type_url ?? '';
  if (!options || type.slice(type.lastIndexOf('/') + 1) !== POD_CONFIG_TYPE) {
    throw new KataError(
      'invalid_argument',
      `sandbox options of type ${JSON.stringify(type)} are not known; ${POD_CONFIG_TYPE} is expected`,
    );
  }
  try {
    return decode(PodSandboxConfig, options.value);
  } catch (thrown) {
    throw new KataError('invalid_argument', `the sandbox options are no ${POD_CONFIG_TYPE}: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** As the CRI places a sandbox's container: `<slice>:cri-containerd:<id>` below systemd, `<parent>/<id>` else. */
function cgroupOf(parent: string, id: string): string {
  if (parent.endsWith('.slice')) return `${parent.slice(parent.lastIndexOf('/') + 1)}:cri-containerd:${id}`;
  return `${parent === '' ? DEFAULT_CGROUP_PARENT : parent}/${id}`;
}

/** A container by itself has its own /dev/shm; a pod's containers share one. */
export function hasSharedMemory({ sizing, mounts }: SandboxSpec): boolean {
  const shared = mounts.some(({ destination, type }) => destination === '/dev/shm' && type === 'bind');
  return shared || sizing.containerType === 'pod_sandbox';
}
