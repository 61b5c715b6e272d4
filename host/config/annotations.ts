/**
 * What a pod may say of its own virtual machine, by annotations `io.katacontainers.config.…`. Whoever may make pods writes
 * them: numbers in a table are taken, within the host's limits and only where the configuration enables them. Never paths, never
 * arguments of programs, never the guest's kernel parameters.
 */
import { KataError } from '../error.ts';
import type { Configuration } from './configuration.ts';
import { MAX_TIMEOUT_S } from './configuration.ts';
import { MAX_GPUS } from './remote.ts';
import { MIN_MEMORY_MIB } from './sizes.ts';
import { QEMU, REMOTE, show } from './values.ts';

/** Before every annotation of this kind. */
export const CONFIG_PREFIX = 'io.katacontainers.config.';
const HYPERVISOR = 'hypervisor.';
/** Most annotations of this kind a pod may have, and the longest name, characters. */
export const MAX_ANNOTATIONS = 64;
export const MAX_NAME_LENGTH = 128;
/** Longest name of a machine type, an image or a GPU, and longest initdata (base64), characters. */
export const MAX_WORD_LENGTH = 1024;
export const MAX_INITDATA_LENGTH = 1024 * 1024;

type Mutable = { -readonly [K in keyof Configuration]: Configuration[K] };
type Apply = (configuration: Mutable, text: string, name: string) => void;

/** Annotations of the hypervisor, by the rest of their names. Each has to be enabled by `enable_annotations`. */
const HYPERVISOR_ANNOTATIONS: Readonly<Record<string, Apply>> = {
  default_vcpus: (configuration, text, name) => {
    configuration.vcpus = numberOf(
      name,
      text,
      /^[0-9]{1,4}(\.[0-9]{1,3})?$/,
      0.001,
      configuration.machine.cpus,
      'CPUs',
    );
  },
  // As Kata spells it, with one more underscore than the key.
  default_max_vcpus: (configuration, text, name) => {
    configuration.maxVcpus = numberOf(name, text, /^[0-9]{1,4}$/, 1, configuration.machine.cpus, 'CPUs');
  },
  default_memory: (configuration, text, name) => {
    const { maxMemoryMib } = configuration;
    configuration.memoryMib = numberOf(name, text, /^[0-9]{1,8}$/, MIN_MEMORY_MIB, maxMemoryMib, 'MiB');
  },
};

/** What only a remote hypervisor is told: the peer judges the values. */
const REMOTE_ANNOTATIONS: Readonly<Record<string, Apply>> = {
  machine_type: (configuration, text, name) => {
    configuration.machineType = textOf(name, text, MAX_WORD_LENGTH);
  },
  image: (configuration, text, name) => {
    configuration.image = textOf(name, text, MAX_WORD_LENGTH) || undefined;
  },
  default_gpus: (configuration, text, name) => {
    const gpus = numberOf(name, text, /^[0-9]{1,3}$/, 0, MAX_GPUS, 'GPUs');
    if (configuration.remote) configuration.remote = { ...configuration.remote, gpus };
  },
  default_gpu_model: (configuration, text, name) => {
    const gpuModel = textOf(name, text, MAX_WORD_LENGTH);
    if (configuration.remote) configuration.remote = { ...configuration.remote, gpuModel };
  },
  cc_init_data: (configuration, text, name) => {
    const initdata = textOf(name, text, MAX_INITDATA_LENGTH);
    if (configuration.remote) configuration.remote = { ...configuration.remote, initdata };
  },
};
/** As Kata's shipped file spells it, where expressions need not match the whole name. */
const SHORT_NAMES: Readonly<Record<string, string>> = { default_gpu_model: 'gpu_model' };

/** What every pod may ask for: it only ever tightens what the configuration says. */
const RUNTIME_ANNOTATIONS: Readonly<Record<string, Apply>> = {
  'runtime.create_container_timeout': (configuration, text, name) => {
    configuration.createContainerTimeoutMs = numberOf(name, text, /^[0-9]{1,8}$/, 1, MAX_TIMEOUT_S, 's') * 1000;
  },
  'runtime.disable_guest_seccomp': (configuration, text, name) => {
    configuration.disableGuestSeccomp = tightened(name, text, configuration.disableGuestSeccomp, false);
  },
  'runtime.experimental_force_guest_pull': (configuration, text, name) => {
    configuration.forceGuestPull = tightened(name, text, configuration.forceGuestPull, true);
  },
  'runtime.sandbox_cgroup_only': (configuration, text, name) => {
    configuration.sandboxCgroupOnly = tightened(name, text, configuration.sandboxCgroupOnly, true);
  },
};

/** Whoever sets one of these counts on it: to leave it out would be worse than to refuse the pod. */
const RELIED_ON = [
  'agent.policy',
  'runtime.guest_selinux_label',
  'runtime.internetworking_model',
  'runtime.disable_new_netns',
  'runtime.vfio_mode',
];

export interface Annotated {
  readonly configuration: Configuration;
  /** Annotations of this kind without effect, for the log. */
  readonly ignored: readonly string[];
}

/**
 * Applies a pod's annotations.
 * @param annotations of the sandbox, not of containers in it
 * @throws KataError `permission_denied` for one that the configuration does not enable, naming the key that would;
 *   `unimplemented` for one that we do not have; `invalid_argument` for a value
 */
export function annotate(configuration: Configuration, annotations: Readonly<Record<string, string>>): Annotated {
  const names = Object.keys(annotations).filter((name) => name.startsWith(CONFIG_PREFIX));
  if (names.length === 0) return { configuration, ignored: [] };
  if (names.length > MAX_ANNOTATIONS) {
    throw invalid(`${names.length} annotations ${CONFIG_PREFIX}*`, `at most ${MAX_ANNOTATIONS} are taken`);
  }
  const result: Mutable = { ...configuration };
  const ignored: string[] = [];
  for (const name of names.sort()) {
    if (name.length > MAX_NAME_LENGTH) throw invalid(`annotation ${show(name)}`, 'its name is too long');
    const apply = find(name.slice(CONFIG_PREFIX.length), name, configuration);
    if (apply) apply(result, annotations[name] ?? '', name);
    else ignored.push(name);
  }
  if (result.vcpus > result.maxVcpus) {
    throw invalid(
      `annotation ${CONFIG_PREFIX}${HYPERVISOR}default_vcpus or default_max_vcpus`,
      `${result.vcpus} CPUs are more than the ${result.maxVcpus} that the virtual machine may have`,
    );
  }
  return { configuration: result, ignored };
}

/** @returns undefined for one that is ignored */
function find(rest: string, name: string, { enableAnnotations, remote }: Configuration): Apply | undefined {
  if (!rest.startsWith(HYPERVISOR)) {
    if (Object.hasOwn(RUNTIME_ANNOTATIONS, rest)) return RUNTIME_ANNOTATIONS[rest];
    if (RELIED_ON.includes(rest)) throw unimplemented(name);
    return undefined;
  }
  const key = rest.slice(HYPERVISOR.length);
  const names = remote && SHORT_NAMES[key] ? [key, SHORT_NAMES[key]] : [key];
  // Kata only searches: its "image" enables image_hash as well. Ours has to match from end to end.
  const enabled = enableAnnotations.map((expression) => new RegExp(`^(?:${expression})$`, 'u'));
  if (!enabled.some((expression) => names.some((known) => expression.test(known)))) {
    throw new KataError(
      'permission_denied',
      `annotation ${show(name)} is not enabled; the node's administrator can add ${show(key)} to ${remote ? REMOTE : QEMU}.enable_annotations in configuration.toml`,
    );
  }
  const known = remote ? { ...HYPERVISOR_ANNOTATIONS, ...REMOTE_ANNOTATIONS } : HYPERVISOR_ANNOTATIONS;
  if (!Object.hasOwn(known, key)) throw unimplemented(name);
  return known[key];
}

function textOf(name: string, text: string, longest: number): string {
  if (text.length > longest) {
    throw invalid(`annotation ${name}`, `has ${text.length} characters; at most ${longest} are taken`);
  }
  return text;
}

function numberOf(name: string, text: string, syntax: RegExp, least: number, most: number, unit: string): number {
  const value = syntax.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw invalid(`annotation ${name}`, `is ${show(text)}; it must be a number from ${least} to ${most} (${unit})`);
}

/** @param tight the value that asks for more protection */
function tightened(name: string, text: string, configured: boolean, tight: boolean): boolean {
  if (!['true', 'false'].includes(text))
    throw invalid(`annotation ${name}`, `is ${show(text)}; it must be true or false`);
  const wanted = text === 'true';
  if (wanted === tight || wanted === configured) return wanted;
  throw new KataError(
    'permission_denied',
    `annotation ${name} is ${text}, and a pod may only ask for ${tight}; the node's administrator can set it in configuration.toml`,
  );
}

function unimplemented(name: string): KataError {
  return new KataError('unimplemented', `annotation ${show(name)} is not supported; remove it from the pod`);
}

function invalid(what: string, why: string): KataError {
  return new KataError('invalid_argument', `${what} ${why}`);
}
