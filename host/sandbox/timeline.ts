/** When things happened in a sandbox's life, in milliseconds since its shim started. */

/** In the order in which they happen. */
export type Moment =
  | 'shim_start'
  | 'create'
  | 'cgroup'
  | 'vm_start'
  | 'network_prepared'
  | 'share_prepared'
  | 'vm_ready'
  | 'devices_prepared'
  | 'guest_start'
  | 'agent_ready'
  | 'share_attached'
  | 'guest_settled'
  | 'network_attached'
  | 'network_told'
  | 'sandbox_created'
  | 'container_create'
  | 'container_created'
  | 'container_start'
  | 'container_started'
  | 'exit';

export class Timeline {
  private readonly moments = new Map<Moment, number>([['shim_start', 0]]);

  /** @param now milliseconds since the process started */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Notes a moment; only its first time counts. */
  mark(moment: Moment): void {
    if (!this.moments.has(moment)) this.moments.set(moment, Math.round(this.now() * 10) / 10);
  }

  /** Milliseconds by moment. */
  fields(): Record<string, number> {
    return Object.fromEntries(this.moments);
  }
}
