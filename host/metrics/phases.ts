/** A sandbox's start, cut into phases that do not overlap, by the moments of its timeline. */
import type { Moment } from '../sandbox/timeline.ts';

/**
 * From one moment to another. What lies between the phases is containerd's: before Create (`shim` ends with it), and between
 * the container's Create and Start.
 *
 * - `shim`: from the start of the process to containerd's Create
 * - `host`: configuration, cgroup, network of the host
 * - `vmm`: QEMU, its devices and the share, until the guest's first instruction
 * - `guest_boot`: kernel and agent, until the agent answers
 * - `agent`: the sandbox in the guest: clock, network, shared files
 * - `create`: the first container, made
 * - `start`: the first container, started
 */
export const PHASES = {
  shim: ['shim_start', 'create'],
  host: ['create', 'vm_start'],
  vmm: ['vm_start', 'guest_start'],
  guest_boot: ['guest_start', 'agent_ready'],
  agent: ['agent_ready', 'sandbox_created'],
  create: ['container_create', 'container_created'],
  start: ['container_start', 'container_started'],
} as const satisfies Record<string, readonly [Moment, Moment]>;

export type Phase = keyof typeof PHASES;
export const PHASE_NAMES = Object.keys(PHASES) as readonly Phase[];

/**
 * @param timeline milliseconds since the shim's start, by moment
 * @returns seconds by phase; a phase that has not ended is missing
 */
export function phasesOf(timeline: Readonly<Record<string, number>>): Map<Phase, number> {
  const phases = new Map<Phase, number>();
  for (const phase of PHASE_NAMES) {
    const [from, to] = PHASES[phase];
    const seconds = (numberOf(timeline[to]) - numberOf(timeline[from])) / 1000;
    if (seconds >= 0) phases.set(phase, seconds);
  }
  return phases;
}

/** Seconds from the shim's start until the first container ran; undefined: it does not yet. */
export function startOf(timeline: Readonly<Record<string, number>>): number | undefined {
  const milliseconds = numberOf(timeline.container_started);
  return milliseconds >= 0 ? milliseconds / 1000 : undefined;
}

/** A state file is read back from disk: what stands there need not be numbers. */
function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : NaN;
}
