/** A sandbox's timeline, divided among those who spend the time. */
import { type Dirent, readdirSync, readFileSync } from 'node:fs';

const SANDBOXES = '/run/kata-containers';

/** Whose the time is that ends at a moment. What runs beside something longer has no moment here: it costs nothing. */
const SPENT_BY: Readonly<Record<string, Part>> = {
  create: 'shim',
  network_prepared: 'network',
  cgroup: 'cgroup',
  vm_start: 'shim',
  vm_ready: 'QEMU',
  // Longer than QEMU's start: what is to be plugged.
  devices_prepared: 'storage',
  share_attached: 'storage',
  network_attached: 'network',
  guest_start: 'QEMU',
  agent_ready: 'guest boot',
  // The guest's kernel links its drivers and probes its devices; with it the agent takes clock and entropy, 3 ms.
  guest_settled: 'guest kernel: devices',
  // Beside each other: the one that ends first costs nothing.
  network_told: 'network',
  sandbox_created: 'agent',
  container_create: 'storage',
  container_created: 'crun',
  container_start: 'containerd',
  // The agent's byte into exec.fifo: crun has no part in it.
  container_started: 'agent',
};

export const PARTS = [
  'shim',
  'cgroup',
  'network',
  'storage',
  'agent',
  'QEMU',
  'guest boot',
  'guest kernel: devices',
  'crun',
  'containerd',
] as const;
export type Part = (typeof PARTS)[number];
/** Not ours: the VMM, the guest's kernel, the OCI runtime, and waiting for the next call. */
const OTHERS: readonly Part[] = ['QEMU', 'guest boot', 'guest kernel: devices', 'crun', 'containerd'];

/** Milliseconds by part. */
export type Parts = Readonly<Record<Part, number>>;

/** @param timeline milliseconds since the shim's start, by moment */
export function partsOf(timeline: Readonly<Record<string, number>>): Parts {
  const parts = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;
  const moments = Object.entries(timeline).filter(([moment]) => Object.hasOwn(SPENT_BY, moment));
  let last = 0;
  for (const [moment, ms] of moments.sort(([, a], [, b]) => a - b)) {
    parts[SPENT_BY[moment] as Part] += ms - last;
    last = ms;
  }
  return parts;
}

/** Milliseconds that are our own to shorten. */
export function ownShare(parts: Parts): number {
  return PARTS.filter((part) => !OTHERS.includes(part)).reduce((sum, part) => sum + parts[part], 0);
}

/** The timeline in the state file of a running sandbox; undefined where there is none. */
export function timelineOf(sandboxId: string): Readonly<Record<string, number>> | undefined {
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(SANDBOXES, { withFileTypes: true });
  } catch {
    return undefined;
  }
  for (const { name } of entries) {
    try {
      const state = JSON.parse(readFileSync(`${SANDBOXES}/${name}/state.json`, 'utf8')) as {
        id: string;
        timeline: Record<string, number>;
      };
      if (state.id === sandboxId) return state.timeline;
    } catch {
      // Another sandbox's, and on its way.
    }
  }
  return undefined;
}
