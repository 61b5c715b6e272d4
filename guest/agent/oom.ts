/** Out of memory: memory.events of every container is watched, and GetOOMEvent waits for the next kill. */
import type { Cgroup } from './cgroup.ts';
import { attempt } from './files.ts';
import { type Call, type Loop, POLLPRI } from './loop-interface.ts';
import { table } from './stats.ts';
import type { Sys } from './sys.ts';

/** Most events kept for a host that does not ask. The oldest goes first. */
export const MAX_EVENTS = 256;
/** memory.events is a few lines. */
const MAX_FILE_BYTES = 4096;

interface Waiter {
  readonly call: Call | undefined;
  readonly resolve: (containerId: string) => void;
}

export class OomEvents {
  private readonly events: string[] = [];
  private readonly waiters: Waiter[] = [];

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
  ) {}

  /** The container of the next kill. */
  next(call?: Call): Promise<string> {
    const event = this.events.shift();
    if (event !== undefined) return Promise.resolve(event);
    return new Promise((resolve) => {
      this.waiters.push({ call, resolve });
    });
  }

  /** Watches a container's cgroup until the returned function is called or the cgroup goes. */
  watch(containerId: string, cgroup: Cgroup): () => void {
    const path = `${cgroup.directory}/memory.events`;
    let kills = 0;
    let fd = -1;
    let unwatch: (() => void) | undefined;
    const stop = () => {
      unwatch?.();
      unwatch = undefined;
      if (fd >= 0) this.sys.close(fd);
      fd = -1;
    };
    // The kernel tells of a change once per open file that was read before.
    const look = () => {
      stop();
      const ok = attempt(() => {
        fd = this.sys.open(path, 0);
        const text = new TextDecoder().decode(this.sys.read(fd, MAX_FILE_BYTES) ?? new Uint8Array(0));
        const now = table(text).get('oom_kill') ?? 0;
        if (now > kills) this.tell(containerId);
        kills = now;
      });
      if (!ok) stop();
      else unwatch = this.loop.watch(fd, POLLPRI, look);
    };
    look();
    return stop;
  }

  private tell(containerId: string): void {
    for (let waiter = this.waiters.shift(); waiter; waiter = this.waiters.shift()) {
      if (waiter.call?.gone) continue;
      waiter.resolve(containerId);
      return;
    }
    if (this.events.length >= MAX_EVENTS) this.events.shift();
    this.events.push(containerId);
  }
}
