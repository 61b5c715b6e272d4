/**
 * Annotations of runtime and agent, by the rest of their names behind `io.katacontainers.` No pod needs leave for them: where one
 * could lower what protects the node, it may only raise it.
 */
import { KataError } from '../error.ts';
import { MAX_PIPE_BYTES, MAX_POLICY_BYTES } from './agent-params.ts';
import { kernelModules, MAX_ARGUMENTS_LENGTH } from './annotations-arguments.ts';
import { hashType } from './annotations-hypervisor.ts';
import { type Ask, ignores, type Row, type Rows, refuses, same, schemaOf, sets } from './annotations-row.ts';
import { administrators, choice, type Kind, refused, tightening, whole } from './annotations-values.ts';
import { MAX_TIMEOUT_S } from './configuration.ts';
import { NETWORK_MODELS } from './networking.ts';
import { MAX_SHARED_MOUNTS } from './shared-mounts.ts';

/** Longest list of shared mounts, characters. */
const MAX_SHARED_JSON = 64 * 1024;
const FORCE_GUEST_PULL = 'force_guest_pull';
const NO_SWAP = 'a guest has no swap device';

const RUNTIME: Rows = {
  disable_guest_seccomp: sets(
    'runtime.disable_guest_seccomp',
    tightening(false, (c) => c.disableGuestSeccomp),
  ),
  sandbox_cgroup_only: sets(
    'runtime.sandbox_cgroup_only',
    tightening(true, (c) => c.sandboxCgroupOnly),
  ),
  disable_new_netns: sets(
    'runtime.disable_new_netns',
    tightening(false, (c) => c.disableNewNetns),
  ),
  experimental_force_guest_pull: sets(
    'runtime.experimental_force_guest_pull',
    tightening(true, (c) => c.forceGuestPull),
  ),
  experimental: {
    gate: 'free',
    key: 'runtime.experimental_force_guest_pull',
    limits: `names by space; there is \`${FORCE_GUEST_PULL}\``,
    doc: 'Experimental features, in addition to those configured.',
    apply: ({ name, text, set }) => {
      const names = text.split(' ').filter((word) => word !== '');
      const unknown = names.find((word) => word !== FORCE_GUEST_PULL);
      if (unknown !== undefined) throw refused(name, unknown, `must be ${FORCE_GUEST_PULL}, the one feature there is`);
      if (names.length > 0) set('runtime.experimental_force_guest_pull', true);
    },
  },
  internetworking_model: sets('runtime.internetworking_model', {
    limits: `${choice(...NETWORK_MODELS).limits}; where the configuration says \`none\`, nothing else`,
    read: (text, name, configuration) => {
      const model = choice(...NETWORK_MODELS).read(text, name, configuration);
      if (configuration.networkModel !== 'none' || model === 'none') return model;
      throw administrators(
        name,
        text,
        'the configuration gives its guests no network (internetworking_model = "none")',
      );
    },
  }),
  create_container_timeout: sets('runtime.create_container_timeout', whole(1, MAX_TIMEOUT_S, 's')),
  enable_vcpus_pinning: same('runtime.enable_vcpus_pinning'),
  vfio_mode: same('runtime.vfio_mode'),
  guest_selinux_label: same('runtime.guest_selinux_label', { relied: true }),
  name: equal('runtime.name', ['virt_container', 'virt-container'], 'there is one kind of runtime'),
  agent_name: equal('runtime.agent_name', ['kata'], 'there is one kind of agent'),
  hypervisor_name: {
    gate: 'free',
    limits: "the configuration's",
    doc: 'Which of the hypervisor tables counts: a pod may only say what is so.',
    apply: ({ name, text, configuration }) => {
      const used = configuration.remote ? 'remote' : 'qemu';
      if (text !== used) throw administrators(name, text, `the hypervisor of this configuration is ${used}`);
    },
  },
  shared_mounts: sets('runtime.shared_mounts', {
    limits: 'a JSON list of objects, in place of those configured',
    read: (text, name) => {
      const list = text.length <= MAX_SHARED_JSON ? parsed(text) : undefined;
      const objects = Array.isArray(list) && list.every((each) => typeof each === 'object' && each !== null);
      if (objects && list.length <= MAX_SHARED_MOUNTS) return list;
      throw refused(name, text, `must be a JSON list of at most ${MAX_SHARED_MOUNTS} objects`);
    },
  }),
  sandbox_bind_mounts: refuses('a pod may not name files of the node', schemaOf('runtime.sandbox_bind_mounts').doc),
  enable_pprof: same('runtime.enable_pprof'),
};

const AGENT: Rows = {
  kernel_modules: {
    gate: 'free',
    key: 'agent.kata.kernel_modules',
    limits: `modules by semicolon, each \`name parameter=value …\`, up to ${MAX_ARGUMENTS_LENGTH} characters; they follow those configured`,
    doc: schemaOf('agent.kata.kernel_modules').doc,
    apply: ({ name, text, configuration, set }) =>
      set('agent.kata.kernel_modules', [...configuration.kernelModules, ...kernelModules(text, name)]),
  },
  enable_tracing: same('agent.kata.enable_tracing'),
  container_pipe_size: sets('agent.kata.container_pipe_size', whole(0, MAX_PIPE_BYTES, 'bytes')),
  cdh_api_timeout: sets('agent.kata.cdh_api_timeout', whole(1, MAX_TIMEOUT_S, 's')),
  cdh_api_timeout_ms: sets('agent.kata.cdh_api_timeout_ms', whole(1, MAX_TIMEOUT_S * 1000, 'ms')),
  policy: sets('agent.kata.policy', policy(), { relied: true }),
};

/** All but those of the hypervisor. */
export const RUNTIME_ROWS: Rows = {
  asset_hash_type: hashType('free'),
  // As Kata's Go runtime has it; runtime-rs has the other.
  enable_vcpus_pinning: same('runtime.enable_vcpus_pinning'),
  ...prefixed('config.runtime.', RUNTIME),
  ...prefixed('config.agent.', AGENT),
  config_path: refuses('a pod may not choose the configuration of the node', 'The configuration file, of older Kata.'),
  'container.resource.swappiness': ignores(NO_SWAP, 'How much a container prefers swapping to dropping caches.'),
  'container.resource.swap_in_bytes': ignores(NO_SWAP, 'How much a container may swap.'),
};

/** Names that do not begin with `io.katacontainers.` */
export const OTHER_ROWS: Rows = {
  'sgx.intel.com/epc': refuses('a guest has no SGX', 'Memory of Intel SGX enclaves.'),
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function equal(key: string, words: readonly string[], why: string): Row {
  return {
    gate: 'free',
    limits: words.map((word) => `\`${word}\``).join(', '),
    doc: schemaOf(key).doc,
    apply: ({ name, text }: Ask) => {
      if (words.includes(text)) return;
      throw new KataError('unimplemented', `annotation ${name} is ${JSON.stringify(text.slice(0, 80))}, and ${why}`);
    },
  };
}

/** The text itself is the agent's to judge. */
function policy(): Kind<string> {
  return {
    limits: `base64 of a text, up to ${MAX_POLICY_BYTES / 1024} KiB`,
    read: (text, name) => {
      const base64 = text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
      const bytes = text.length <= 2 * MAX_POLICY_BYTES && base64 ? Buffer.from(text, 'base64') : undefined;
      if (bytes && bytes.length > 0 && bytes.length <= MAX_POLICY_BYTES) return text;
      throw refused(name, text, `must be base64 of a text of at most ${MAX_POLICY_BYTES / 1024} KiB`);
    },
  };
}

function prefixed(prefix: string, rows: Rows): Rows {
  return Object.fromEntries(Object.entries(rows).map(([name, row]) => [prefix + name, row]));
}
