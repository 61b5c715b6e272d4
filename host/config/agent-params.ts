/**
 * `[agent.kata]` as the guest learns of it: parameters of the agent on its kernel's command line, the port it listens on, its
 * policy. Nothing of it depends on a pod where the guest is our own.
 */
import { KataError } from '../error.ts';
import type { Merged } from './files.ts';
import { nameOf, placeOf } from './show.ts';
import type { Values } from './values.ts';

/** Where Kata's agent listens unless it is told otherwise. */
export const DEFAULT_AGENT_PORT = 1024;
/** How long the agent may take to answer a health check where the configuration is silent, ms. */
export const DEFAULT_HEALTH_TIMEOUT_MS = 90_000;
/** Longest of these times, ms: an hour. */
export const MAX_HEALTH_TIMEOUT_MS = 3_600_000;
/** Largest pipe of a container's stdio, bytes: what the kernel gives without privilege. */
export const MAX_PIPE_BYTES = 1024 * 1024;
/** Longest policy, bytes of its text: an agent takes messages of up to 4 MiB. */
export const MAX_POLICY_BYTES = 1024 * 1024;

const TABLE = 'agent.kata';
const MEM_AGENT = 'agent.kata.mem_agent';
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const;

/** What our own agent knows nothing of. */
const OF_KATA: Readonly<Record<string, string>> = {
  enable_tracing: 'our own agent sends no traces; its calls are traced from the host',
  cdh_api_timeout: 'our own guest has no confidential data hub',
  cdh_api_timeout_ms: 'our own guest has no confidential data hub',
  launch_process_timeout: 'our own agent starts no programs beside itself',
  visible_cdi_devices: 'our own guest has no CDI devices',
  container_pipe_size: 'pipes in our own guest grow with what is written into them',
  server_port: 'our own agent listens on a virtio-serial port',
};
const NO_MEM_AGENT = 'our own guest has no agent that tends memory';
const ELSEWHERE = 'a machine elsewhere has a kernel command line of its own';

export interface AgentSettings {
  /** Parameters for the guest kernel's command line, by space. */
  readonly params: string;
  /** Vsock port on which a Kata guest's agent listens. */
  readonly port: number;
  readonly healthTimeoutMs: number;
  /** Text of the policy that the agent is given before anything else; empty: none. */
  readonly policy: string;
}

/** A key without effect in our own guest. */
export interface UnheardKey {
  readonly table: string;
  readonly key: string;
  readonly why: string;
}

/**
 * @param ownGuest whether the guest is our own, and not one of Kata's
 * @throws KataError `invalid_argument` naming file and key
 */
export function agentOf(values: Values, ownGuest: boolean): AgentSettings {
  const port = values.number(TABLE, 'server_port', 0) || DEFAULT_AGENT_PORT;
  const level = levelOf(values);
  const words = [
    ...(level === 'info' ? [] : [`agent.log=${level}`]),
    ...(ownGuest ? [] : [...kataParams(values, port), ...memAgentParams(values)]),
  ];
  const healthTimeoutMs = values.number(TABLE, 'health_check_request_timeout_ms', 0) || DEFAULT_HEALTH_TIMEOUT_MS;
  return { params: words.join(' '), port, healthTimeoutMs, policy: policyOf(values) };
}

/** Why no sandbox is made: a policy that the agent would not follow. */
export function agentObstacles({ merged }: Values, ownGuest: boolean): KataError[] {
  const policy = merged.get(TABLE)?.get('policy');
  if (!ownGuest || !policy || policy.value === '') return [];
  return [
    new KataError(
      'unimplemented',
      `${placeOf(policy)}: ${nameOf(TABLE, 'policy')} is set: our own guest's agent follows no policy, and a pod that counts on one must not run without; use a guest of Kata's (kernel and image), or remove the policy`,
    ),
  ];
}

/**
 * Keys that are set and mean nothing to the guest.
 * @param remote whether the machine is elsewhere
 */
export function unheardKeys(merged: Merged, ownGuest: boolean, remote: boolean): UnheardKey[] {
  if (!ownGuest && !remote) return [];
  const deaf = [...Object.keys(OF_KATA), ...(remote ? ['enable_debug', 'log_level'] : [])];
  const agent = [...(merged.get(TABLE)?.keys() ?? [])].filter((key) => deaf.includes(key));
  const memory = [...(merged.get(MEM_AGENT)?.keys() ?? [])];
  return [
    ...agent.map((key) => ({ table: TABLE, key, why: remote ? ELSEWHERE : (OF_KATA[key] ?? '') })),
    ...memory.map((key) => ({ table: MEM_AGENT, key, why: remote ? ELSEWHERE : NO_MEM_AGENT })),
  ];
}

/** `enable_debug` is Go's way to say debug, at least. */
function levelOf(values: Values): string {
  const level = values.choice(TABLE, 'log_level', LEVELS, 'info');
  const debug = values.boolean(TABLE, 'enable_debug', false);
  return debug && level !== 'trace' ? 'debug' : level;
}

function kataParams(values: Values, port: number): string[] {
  const cdhMs = values.number(TABLE, 'cdh_api_timeout_ms', 0);
  // The agent counts seconds.
  const cdh = values.number(TABLE, 'cdh_api_timeout', 0) || Math.ceil(cdhMs / 1000);
  const launch = values.number(TABLE, 'launch_process_timeout', 0);
  const pipe = values.number(TABLE, 'container_pipe_size', 0);
  return [
    ...(port === DEFAULT_AGENT_PORT ? [] : [`agent.server_addr=vsock://-1:${port}`]),
    ...(values.boolean(TABLE, 'enable_tracing', false) ? ['agent.trace=true'] : []),
    ...(pipe > 0 ? [`agent.container_pipe_size=${pipe}`] : []),
    ...(cdh > 0 ? [`agent.cdh_api_timeout=${cdh}`] : []),
    ...(launch > 0 ? [`agent.launch_process_timeout=${launch}`] : []),
    ...(values.boolean(TABLE, 'visible_cdi_devices', false) ? ['agent.visible_cdi_devices=true'] : []),
  ];
}

/** The kernel has to measure pressure for it; what is not set is the agent's to choose. */
function memAgentParams({ merged }: Values): string[] {
  const keys = merged.get(MEM_AGENT);
  if (keys?.get('mem_agent_enable')?.value !== true) return [];
  const words = ['psi=1', 'agent.mem_agent_enable=1'];
  for (const [key, { value }] of [...keys].sort(([one], [other]) => (one < other ? -1 : 1))) {
    if (key === 'mem_agent_enable' || !/^(memcg|compact)_[a-z_]+$/.test(key)) continue;
    words.push(`agent.mem_agent_${key}=${typeof value === 'boolean' ? Number(value) : String(value)}`);
  }
  return words;
}

function policyOf(values: Values): string {
  const encoded = values.string(TABLE, 'policy', '');
  if (encoded === '') return '';
  const bytes = /^[A-Za-z0-9+/]+={0,2}$/.test(encoded) ? Buffer.from(encoded, 'base64') : undefined;
  if (!bytes || bytes.length > MAX_POLICY_BYTES) {
    throw values.invalid(TABLE, 'policy', `must be base64 of a text of at most ${MAX_POLICY_BYTES} bytes`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw values.invalid(TABLE, 'policy', 'is no text in UTF-8');
  }
}
